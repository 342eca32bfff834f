"""What the pipeline asks git: which commit would ship, and whether it is all there is."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from kickoff.errors import ExitCode, KickoffError

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
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None:
        raise KickoffError(
            "this folder is no git repository, and only commits are shipped",
            hint="run `git init && git add --all && git commit -m 'First commit'`",
        )
    if Path(top).resolve() != root.resolve():
        raise KickoffError(
            "this is not the top folder of the git repository", at=str(root), hint=f"run again in {top}"
        )
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not commit:
        raise KickoffError(
            "the repository has no commit yet, and only commits are shipped",
            hint="run `git add --all && git commit -m 'First commit'`",
        )
    changed = (_git(root, "status", "--porcelain", "--untracked-files=normal") or "").splitlines()
    if changed and not allow_dirty:
        names = ", ".join(line[2:].strip() for line in changed[:_SHOWN])
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise KickoffError(
            f"not everything is committed, and only commits are shipped: {names}{more}",
            hint=f"commit or stash it, or ship {commit[:7]} without it: `make deploy ARGS=--allow-dirty`",
        )
    remote = _git(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD") or ""
    return Head(
        commit=commit,
        branch=_git(root, "symbolic-ref", "--quiet", "--short", "HEAD") or "",
        default_branch=remote.removeprefix("origin/") or "main",
        author=_git(root, "log", "-1", "--format=%an") or "",
    )


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, or ``None`` when it refuses."""
    command = ["git", "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=60,
        )
    except FileNotFoundError:
        raise KickoffError("git is missing", hint="install git, e.g. `apt-get install git`") from None
    except subprocess.TimeoutExpired:
        raise KickoffError(
            f"`git {' '.join(arguments)}` did not answer within 60 s", code=ExitCode.UNREACHABLE
        ) from None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
