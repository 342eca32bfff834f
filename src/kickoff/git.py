"""Asking git, independent of what redirects it and of the user's configuration of files."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from kickoff.errors import ExitCode, KickoffError

TIMEOUT = 600
"""Seconds git gets; a partial clone may have to fetch."""

# How git reaches a remote and which folders it trusts. Any other GIT_* variable may point it at another
# repository (a hook has GIT_DIR and GIT_INDEX_FILE) or change what it says.
_KEPT = re.compile(
    r"GIT_(CONFIG_(COUNT|KEY_\d+|VALUE_\d+|GLOBAL|SYSTEM|NOSYSTEM)|SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS"
    r"|TERMINAL_PROMPT|SSL_\w+|PROXY_\w+|HTTP_\w+|EXEC_PATH|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM)"
)
_OPTIONS = ("-c", "core.autocrlf=false", "-c", "core.quotePath=false", "-c", "log.showSignature=false")
_NOT_A_REPOSITORY = "not a git repository"


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return ``environ`` (the process's by default) without what redirects git."""
    given = os.environ if environ is None else environ
    return {
        name: value for name, value in given.items() if not name.startswith("GIT_") or _KEPT.fullmatch(name)
    }


def run(root: Path, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run git in ``root`` and return what it printed, as text that keeps bytes which are no UTF-8.

    Args:
        root: A folder in the repository.
        arguments: The command.
        check: Whether a failure is an error.

    Raises:
        KickoffError: git is not installed or does not end, or it failed while ``check`` is set.
    """
    try:
        done = subprocess.run(
            ["git", *_OPTIONS, *arguments],
            cwd=root,
            env=_plain(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise _missing() from None
    except subprocess.TimeoutExpired:
        raise KickoffError(
            f"`git {' '.join(arguments[:2])}` did not answer within {TIMEOUT} s", code=ExitCode.UNREACHABLE
        ) from None
    if check and done.returncode != 0:
        raise KickoffError(f"git {arguments[0]} failed", causes=lines(done.stderr)[-3:])
    return done


def commit_of(root: Path, revision: str) -> str:
    """Return the full id of the commit that a branch, tag or commit stands for; empty where there is none."""
    if revision.startswith("-"):  # an option to git
        return ""
    found = run(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def start(root: Path, *arguments: str, given: IO[bytes], said: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start git in ``root`` with its answers to be read while it runs.

    Raises:
        KickoffError: git is not installed.
    """
    try:
        return subprocess.Popen(
            ["git", *_OPTIONS, *arguments],
            cwd=root,
            env=_plain(),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=said,
        )
    except FileNotFoundError:
        raise _missing() from None


def _plain() -> dict[str, str]:
    """Return the environment git runs in: objects as they were committed, messages in English."""
    return environment() | {"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


def require_repository(root: Path) -> None:
    """Make sure that git takes ``root`` for a repository.

    Raises:
        KickoffError: There is none, or git refuses it; then with git's reason and fix.
    """
    inside = run(root, "rev-parse", "--git-dir", check=False)
    if inside.returncode == 0:
        return
    said = lines(inside.stderr)
    reason = (said or ["no message"])[0].removeprefix("fatal: ")
    if _NOT_A_REPOSITORY in reason:
        raise KickoffError(
            f"{root} is not in a git repository, and only commits are shipped",
            hint="git init && git add --all && git commit -m 'First release'",
        )
    fix = next((line.strip() for line in said[1:] if line.strip().startswith("git ")), "")
    raise KickoffError(f"git refuses the repository: {reason}", at=str(root), hint=fix)


def top(root: Path) -> Path:
    """Return the top folder of the repository that ``root`` is in."""
    return Path(run(root, "rev-parse", "--show-toplevel").stdout.rstrip("\n"))


def below_top(root: Path) -> str:
    """Return the path of ``root`` below its repository's top; empty for the top itself and without one."""
    return run(root, "rev-parse", "--show-prefix", check=False).stdout.rstrip("\n").rstrip("/")


def lines(text: str) -> list[str]:
    """Return the lines of a message of git's that are not empty, fit to be shown."""
    return [line for line in shown(text).splitlines() if line.strip()]


def shown(text: str) -> str:
    """Return what git printed, fit to be shown: a name may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _missing() -> KickoffError:
    """Return the error for a machine without git."""
    return KickoffError("git is not installed", hint="install git and run again, e.g. `apt-get install git`")
