"""The Python environment of a release on this machine, and commands that run in it."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kickoff import foreign
from kickoff.errors import ExitCode, KickoffError
from kickoff.release.folder import describe, environment_of


def tool(name: str) -> str:
    """Return the path of a program that comes with the pipeline, or is on ``PATH``.

    Raises:
        KickoffError: There is none (exit 2).
    """
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if found is None:
        raise KickoffError(f"{name} is not installed", hint="`kickoff doctor` says what is missing")
    return found


def install(state: Path, release_folder: Path) -> None:
    """Create the release's Python environment, shared by all releases with the same lock.

    Raises:
        KickoffError: The requirements cannot be installed (exit 1).
    """
    lock = describe(release_folder)["requirements"]
    if not lock:
        return
    home = _home(state, release_folder)
    if (home / "complete").exists():
        return
    uv, python = tool("uv"), str(home / "bin" / "python")
    shutil.rmtree(home, ignore_errors=True)
    sync = ("pip", "sync", "--system-certs", "--quiet", "--require-hashes", "--python", python)
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
        [uv, *sync, str(release_folder / "bundle" / lock)],
    ):
        done = subprocess.run(
            command,
            env=foreign.installing(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise KickoffError(
                f"the service's requirements ({lock}) cannot be installed",
                code=ExitCode.REJECTED,
                causes=done.stderr.strip().splitlines()[-5:],
            )
    (home / "complete").touch()


def variables(state: Path, release_folder: Path) -> dict[str, str]:
    """Return the whole environment of a release's processes; what the release records comes first."""
    requirements = describe(release_folder)["requirements"]
    programs = _home(state, release_folder) / "bin" if requirements else Path(sys.executable).parent
    return _own(state, programs) | environment_of(release_folder)


def _own(state: Path, programs: Path) -> dict[str, str]:
    return {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "KICKOFF_DATA_DIR": str(state / "data"),
    }


ADDED = frozenset(_own(Path(), Path()))
"""Names of the variables that :func:`variables` adds to those of the release."""


def run(folder: Path, command: tuple[str, ...], environment: Mapping[str, str], timeout: float) -> str:
    """Run a command of the service with nothing but ``environment``; return its output.

    Raises:
        KickoffError: It failed or ran out of time (exit 1), or it is not there (exit 2).
    """
    resolved = shutil.which(command[0], path=environment["PATH"]) or command[0]
    name = " ".join(command)
    try:
        process = subprocess.Popen(
            [resolved, *command[1:]],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError:
        raise KickoffError(f"`{command[0]}` is not installed with the service") from None
    with process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException as error:
            # The whole group: what the command started itself must not go on without it.
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise KickoffError(
                    f"`{name}` did not end within {timeout:g} s",
                    code=ExitCode.REJECTED,
                    hint="raise HOOK_TIMEOUT",
                ) from None
            raise
    if process.returncode != 0:
        raise KickoffError(
            f"`{name}` failed with exit code {process.returncode}",
            code=ExitCode.REJECTED,
            causes=(output + errors).strip().splitlines()[-10:],
        )
    return output


def _home(state: Path, release_folder: Path) -> Path:
    lock = release_folder / "bundle" / describe(release_folder)["requirements"]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(python.encode() + lock.read_bytes()).hexdigest()
    return state / "runtimes" / digest[:16]
