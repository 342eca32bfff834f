"""The commit as the only source: what git has recorded, never what lies about in the working tree."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from kickoff.errors import KickoffError

_SUBMODULE = "160000"


def resolve(root: Path, revision: str = "HEAD") -> str:
    """Return the full id of the commit that ``revision`` (branch, tag, commit) stands for.

    Raises:
        KickoffError: No repository, no commit yet, or no such revision.
    """
    inside = git(root, "rev-parse", "--git-dir", check=False)
    if inside.returncode != 0:
        raise KickoffError(
            f"{root} is not in a git repository, so there is no commit to ship",
            hint="git init && git add -A && git commit -m 'First release'",
        )
    found = git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False)
    if found.returncode == 0 and not revision.startswith("-"):
        return found.stdout.strip()
    if git(root, "rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode != 0:
        raise KickoffError(
            "the repository has no commit yet, and only commits are shipped",
            hint="git add -A && git commit -m 'First release'",
        )
    raise KickoffError(
        f"no commit is called {revision!r} here",
        hint="see `git log --oneline` and `git tag`; a shallow clone needs `git fetch --unshallow`",
    )


def committed_at(root: Path, commit: str) -> str:
    """Return when ``commit`` was committed, ISO 8601; empty when it is not in this repository."""
    found = git(root, "show", "--no-patch", "--format=%cI", f"{commit}^{{commit}}", check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def tags(root: Path, commit: str) -> list[str]:
    """Return the tags of ``commit`` that are known in this repository."""
    return git(root, "tag", "--points-at", commit).stdout.split()


def changes(root: Path, paths: Sequence[str] = ()) -> list[str]:
    """Return the files below ``paths`` (default: all) that differ from the last commit or are new."""
    listed = git(root, "status", "--porcelain", "--untracked-files=all", "-z", "--", *paths).stdout
    entries = listed.split("\0")
    changed, index = [], 0
    while index < len(entries) and entries[index]:
        changed.append(entries[index][3:])
        # With -z a rename is followed by the old name as an entry of its own.
        index += 2 if entries[index][0] in "RC" else 1
    return changed


def archive(root: Path, commit: str, paths: Sequence[str], target: Path) -> None:
    """Write the tar that git makes of ``paths`` in ``commit`` (no path: everything) to ``target``.

    Raises:
        KickoffError: A path is not in the commit, or is a submodule, whose files git leaves out.
    """
    missing = [
        path for path in paths if git(root, "cat-file", "-e", f"{commit}:{path}", check=False).returncode != 0
    ]
    if missing:
        raise KickoffError(
            f"commit {commit[:7]} does not hold {', '.join(missing)}",
            at="configs/service.yml",
            hint=f"commit it (`git add {missing[0]}`), or take it out of `bundle:`",
        )
    tree = git(root, "ls-tree", "-r", "-z", commit, "--", *paths).stdout.split("\0")
    submodules = [entry.split("\t", 1)[1] for entry in tree if entry.startswith(_SUBMODULE)]
    if submodules:
        raise KickoffError(
            f"{submodules[0]} is a submodule: git does not archive its files",
            hint="ship it as a package in the service's requirements, or copy it into the repository",
        )
    git(root, "archive", "--format=tar", f"--output={target}", commit, "--", *paths)


def git(root: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git in ``root``, independent of the user's configuration of line ends and modes.

    Raises:
        KickoffError: git is not installed, or it failed while ``check`` is set.
    """
    command = ["git", "-c", "core.autocrlf=false", "-c", "core.quotePath=false", "-c", "tar.umask=0022"]
    try:
        done = subprocess.run(
            [*command, *arguments],
            cwd=root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise KickoffError("git is not installed", hint="install git and run again") from None
    if check and done.returncode != 0:
        raise KickoffError(f"git {arguments[0]} failed", causes=done.stderr.strip().splitlines()[-3:])
    return done
