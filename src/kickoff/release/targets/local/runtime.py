"""The Python environment of a release on this machine, and commands that run in it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kickoff import foreign, packages, process_group
from kickoff.errors import ExitCode, KickoffError
from kickoff.release.folder import describe, environment_of, workers_of

_SYSTEM = "/usr/local/bin:/usr/bin:/bin"
_BROUGHT = "node_modules/.bin"
"""Folder of an artefact in which an installer leaves programs; they are found wherever it is unpacked."""


def install(state: Path, release_folder: Path) -> None:
    """Create the release's Python environment, shared by all releases with the same lock.

    Raises:
        KickoffError: The requirements cannot be installed (exit 1), or the program that starts the service
            is neither in the artefact nor on this machine (exit 2).
    """
    description = describe(release_folder)
    lock = description["requirements"]
    if lock:
        packages.install(
            _home(state, release_folder),
            release_folder / "bundle" / lock,
            f"the service's requirements ({lock}) cannot be installed",
            code=ExitCode.REJECTED,
        )
    environment = variables(state, release_folder)
    resolve(release_folder, description["command"], environment, description.get("command_at", ""))
    for worker in workers_of(release_folder).values():
        resolve(release_folder, worker["command"], environment, worker["at"])


def resolve(
    release_folder: Path, command: Sequence[str], environment: Mapping[str, str], at: str = ""
) -> list[str]:
    """Return a command of the service with its program found: in the artefact, or else on ``PATH``.

    ``at`` says where the command is written, for the error.

    Raises:
        KickoffError: It is nowhere (exit 2).
    """
    name, *rest = command
    found = foreign.program(name, release_folder / "bundle", environment)
    if found is None:
        where = "the artefact" if "/" in name else "the artefact and on PATH"
        hint = "commit it as an executable file" if "/" in name else "install it"
        raise KickoffError(
            f"the program {name!r} was not found in {where}",
            at=at,
            causes=[] if "/" in name else [f"PATH is {environment['PATH']}"],
            hint=f"{hint}, or correct the command",
        )
    return [found, *rest]


def variables(state: Path, release_folder: Path) -> dict[str, str]:
    """Return the whole environment of a release's processes; what the release records comes first."""
    requirements = describe(release_folder)["requirements"]
    programs = _home(state, release_folder) / "bin" if requirements else Path(sys.executable).parent
    brought = release_folder / "bundle" / _BROUGHT
    # Of whoever staged it, so that a start after a reboot finds what the first one found.
    path = describe(release_folder).get("path") or _SYSTEM
    return _own(state, f"{programs}:{brought}:{path}") | environment_of(release_folder)


def _own(state: Path, path: str) -> dict[str, str]:
    return {
        "PATH": path,
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "KICKOFF_DATA_DIR": str(state / "data"),
    }


def listening(port: int) -> dict[str, str]:
    """Return the variables that tell a process of the service where to listen."""
    return {"PORT": str(port), "HOST": "127.0.0.1"}


ADDED = frozenset({**_own(Path(), ""), **listening(0)})
"""Names of the variables that are added to those of the release."""


def run(
    release_folder: Path, command: tuple[str, ...], environment: Mapping[str, str], timeout: float
) -> str:
    """Run a command of the service in its bundle with nothing but ``environment``; return its output.

    Raises:
        KickoffError: It failed or ran out of time (exit 1), or it is not there (exit 2).
    """
    name = " ".join(command)
    bundle, line = release_folder / "bundle", resolve(release_folder, command, environment)
    with process_group.started(line, bundle, environment, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise KickoffError(
                f"`{name}` did not end within {timeout:g} s",
                code=ExitCode.REJECTED,
                hint="raise HOOK_TIMEOUT",
            ) from None
    if process.returncode != 0:
        raise KickoffError(
            f"`{name}` failed with exit code {process.returncode}",
            code=ExitCode.REJECTED,
            causes=(output + errors).strip().splitlines()[-10:],
        )
    return output


def _home(state: Path, release_folder: Path) -> Path:
    lock = release_folder / "bundle" / describe(release_folder)["requirements"]
    return state / "runtimes" / packages.home_of(lock)
