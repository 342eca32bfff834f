"""Python environments made from hash-locked files, and the programs that come with the pipeline."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from kickoff import foreign
from kickoff.errors import ExitCode, KickoffError

_COMPLETE = "complete"


def tool(name: str) -> str:
    """Return the path of a program that comes with the pipeline, or is on ``PATH``.

    Raises:
        KickoffError: There is none (exit 2).
    """
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if found is None:
        raise KickoffError(f"{name} is not installed", hint="`kickoff doctor` says what is missing")
    return found


def home_of(lock: Path) -> str:
    """Return the name for the environment of a lock; it follows from the lock's content and this Python."""
    version = "{}.{}".format(*sys.version_info[:2]).encode()
    return hashlib.sha256(version + lock.read_bytes()).hexdigest()[:16]


def install(home: Path, lock: Path, problem: str, *, code: ExitCode, hint: str = "") -> None:
    """Make ``home`` an environment with exactly what a hash-locked file names; once it is, do nothing.

    Args:
        home: The environment's folder; an unfinished one is made anew.
        lock: The file.
        problem: The message of a failure.
        code: The exit code of a failure.
        hint: The way out of a failure.

    Raises:
        KickoffError: The installation failed, or uv is not installed (exit 2).
    """
    if (home / _COMPLETE).exists():
        return
    uv, python = tool("uv"), str(home / "bin" / "python")
    shutil.rmtree(home, ignore_errors=True)
    for command in (
        ("venv", "--quiet", "--python", sys.executable, str(home)),
        ("pip", "sync", "--system-certs", "--quiet", "--require-hashes", "--python", python, str(lock)),
    ):
        done = subprocess.run(
            [uv, *command],
            env=foreign.installing(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            causes = done.stderr.strip().splitlines()[-5:]
            raise KickoffError(problem, code=code, causes=causes, hint=hint)
    (home / _COMPLETE).touch()
