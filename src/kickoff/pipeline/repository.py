"""Questions of the pipeline to git: which commit would ship, and whether it is all there is."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from kickoff import git
from kickoff.artifact import source
from kickoff.errors import KickoffError
from kickoff.service import EVERYTHING

ATTRIBUTES = "info/attributes"
"""File of a copy: git writes and compares the bytes of its objects, whatever attributes are committed."""
_SETTINGS = """
[core]
    bare = false
    fsmonitor = false
    sparseCheckout = false
    symlinks = true
    trustctime = false # a link to a file changes it
"""
_SHOWN = 5
"""Changed files that an error names."""


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that ships.

    Attributes:
        commit: 40 hex digits.
        branch: Name of the branch; empty for a detached head.
        default_branch: The branch whose pushes go to staging.
        author: Who committed, for the event.
    """

    commit: str
    branch: str
    default_branch: str
    author: str


def inspect(root: Path, *, allow_dirty: bool) -> Head:
    """Return the commit of the project at ``root``.

    Args:
        root: The project's folder.
        allow_dirty: Whether changes that are not committed, and hence not shipped, are accepted.

    Raises:
        KickoffError: git is missing, there is no repository or commit, or something of the project is not
            committed.
    """
    commit = source.resolve(root)
    changed = git.shown(
        git.run(root, "status", "--porcelain", "--untracked-files=normal", "--", EVERYTHING).stdout
    ).splitlines()
    if changed and not allow_dirty:
        names = ", ".join(line[2:].strip() for line in changed[:_SHOWN])
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise KickoffError(
            f"not everything is committed, and only commits are shipped: {names}{more}",
            hint=f"commit or stash it, or ship {commit[:7]} without it: `kickoff deploy --allow-dirty`",
        )
    remote = _git(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    return Head(
        commit=commit,
        branch=_git(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        default_branch=remote.removeprefix("origin/") or "main",
        author=_git(root, "log", "-1", "--format=%an"),
    )


def copy(top: Path, folder: Path) -> Path:
    """Make a repository that has the head of the one at ``top`` checked out, and shares its objects.

    act copies the folder that it works in for every job, with whatever git has gathered there.

    Args:
        top: The top folder of a repository.
        folder: Where the copy is made.

    Returns:
        The copy's folder; ``top`` itself where its references cannot be copied as files.

    Raises:
        KickoffError: git refuses, or an object is missing (exit 4).
    """
    refs = git.run(top, "for-each-ref", "--format=%(objectname) %(refname)").stdout
    if _git(top, "config", "extensions.refStorage") or not refs:
        return top
    places = git.run(top, "rev-parse", "--path-format=absolute", "--git-common-dir", "--git-path", "objects")
    common, objects = map(Path, places.stdout.splitlines())
    head = git.run(top, "rev-parse", "HEAD").stdout.strip()
    folder.mkdir()
    git.run(folder, "init", "--quiet", "--template=")
    mine = folder / ".git"
    # What comes last counts.
    (mine / "config").write_bytes((common / "config").read_bytes() + _SETTINGS.encode())
    git.run(folder, "config", "--unset-all", "core.worktree", check=False)
    if (common / "shallow").is_file():
        shutil.copyfile(common / "shallow", mine / "shallow")
    (mine / "info").mkdir(exist_ok=True)
    (mine / ATTRIBUTES).write_text("* -text -eol -ident -filter -working-tree-encoding\n", encoding="utf-8")
    (mine / "objects" / "info").mkdir(exist_ok=True)
    (mine / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
    (mine / "packed-refs").write_text(refs, encoding="utf-8", errors="surrogateescape")
    # act copies no empty folder, and without `refs` git takes it for no repository.
    value, _, name = refs.splitlines()[0].partition(" ")
    (mine / name).parent.mkdir(parents=True, exist_ok=True)
    (mine / name).write_text(f"{value}\n", encoding="utf-8")
    branch = _git(top, "symbolic-ref", "--quiet", "HEAD")
    (mine / "HEAD").write_text(f"ref: {branch}\n" if branch else f"{head}\n", encoding="utf-8")
    git.run(folder, "read-tree", "--reset", "-u", "HEAD")
    return folder


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints; empty when it refuses."""
    done = git.run(root, *arguments, check=False)
    return done.stdout.rstrip("\n") if done.returncode == 0 else ""
