"""Questions of the pipeline to git: which commit would ship, and whether it is all there is."""

from dataclasses import dataclass
from pathlib import Path

from kickoff import git
from kickoff.artifact import source
from kickoff.errors import KickoffError

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
        KickoffError: git is missing, there is no repository or commit, ``root`` is not the repository's
            top folder, or something is not committed.
    """
    git.require_repository(root)
    top = git.run(root, "rev-parse", "--show-toplevel").stdout.rstrip("\n")
    if Path(top).resolve() != root.resolve():
        raise KickoffError(
            "this is not the top folder of the git repository", at=str(root), hint=f"run again in {top}"
        )
    commit = source.resolve(root)
    changed = git.shown(
        git.run(root, "status", "--porcelain", "--untracked-files=normal").stdout
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


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints; empty when it refuses."""
    done = git.run(root, *arguments, check=False)
    return done.stdout.rstrip("\n") if done.returncode == 0 else ""
