"""What runs on the target, read from its state folder and its processes or containers; changes nothing."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from kickoff import service, stack
from kickoff.environment.drift import Running, fingerprints
from kickoff.errors import ExitCode, KickoffError
from kickoff.places import state_root
from kickoff.release.model import EMPTY, State
from kickoff.release.targets.supervision import Supervisor

_ADDED = frozenset({"PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "KICKOFF_DATA_DIR"})


def read(root: Path, name: str, secret: bytes) -> Running:
    """Return what runs live in environment ``name``, as hashes under ``secret``.

    Args:
        root: The project's folder.
        name: The environment.
        secret: The key of the hashes.

    Raises:
        KickoffError: Nothing was ever released here, or a release is on its way (exit code 3); the live
            release's process does not run, or may not be looked into (exit code 4).
    """
    folder = state_root(service.load(root).name, name)
    state = _state(folder / "state.json")
    if state.live is None:
        raise KickoffError(
            f"{name} has no live release on this machine, so there is nothing to compare with",
            code=ExitCode.INCONCLUSIVE,
            at=str(folder),
            hint="run this on the target; KICKOFF_STATE_ROOT names its state folder",
        )
    release = state.release_of(state.live)
    record = folder / "releases" / release
    contained = (folder / "stack").is_dir()
    places: dict[str, Mapping[str, str]] = {"the record": _json(record / "environment.json")}
    if contained:
        places["the container"] = _contained(root, name, str(state.live), record)
    else:
        places |= {
            "the start file": _json(folder / "supervisor" / f"{state.live}.json", "environment"),
            "the process": _environment_of(Supervisor(folder).info(str(state.live)).get("pid", 0), release),
        }
    if _state(folder / "state.json") != state:
        raise KickoffError(
            f"a release of {name} is on its way",
            code=ExitCode.INCONCLUSIVE,
            hint="run this again when it is over",
        )
    # Whoever moves the port by KICKOFF_PORT moves it past the file.
    moved = contained or "KICKOFF_PORT" in os.environ
    proxy = {} if moved else {"PUBLIC_PORT": str(_json(folder / "ports.json").get("public", ""))}
    return Running(
        release=release,
        environment_hash=str(_json(record / "release.json", "facts").get("environment", "")),
        variables={"KICKOFF_DATA_DIR": str(folder / "data")},
        places={place: fingerprints(values, secret) for place, values in places.items()},
        added=_ADDED,
        proxy=fingerprints(proxy, secret),
    )


def _contained(root: Path, name: str, colour: str, record: Path) -> Mapping[str, str]:
    """Return what a colour's container has: its variables without those of its image, and its secrets."""
    from kickoff.release.targets.compose import given_to  # noqa: PLC0415 - most machines have no Docker

    project = stack.open_stack(name, root).compose.project
    given = given_to(project, colour)
    if given is None:
        return _no_process(record.name)
    held = {path.name.upper(): path.read_text("utf-8") for path in (record / "secrets").iterdir()}
    return {**given, **held}


def _environment_of(pid: int, release: str) -> Mapping[str, str]:
    try:
        return psutil.Process(pid).environ() if pid else _no_process(release)
    except psutil.NoSuchProcess:
        return _no_process(release)
    except psutil.AccessDenied:
        raise KickoffError(
            f"the process of {release} belongs to somebody else",
            code=ExitCode.UNREACHABLE,
            hint="run this as the user who deploys",
        ) from None


def _no_process(release: str) -> Mapping[str, str]:
    raise KickoffError(
        f"{release} is recorded as live, and its process does not run",
        code=ExitCode.UNREACHABLE,
        hint="`kickoff status --env NAME` and `kickoff logs --env NAME` say more",
    )


def _state(path: Path) -> State:
    document = _json(path)
    try:
        return State.from_document(document) if document else EMPTY
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _damaged(path) from None


def _json(path: Path, part: str = "") -> dict[str, Any]:
    """Return an object, or the object ``part`` of it; empty when there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document.get(part, {}) if part else document
        return dict(found.items())
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> KickoffError:
    # What stands in the file may be a secret, so the parser's words are left out.
    return KickoffError(f"{path.name} is damaged", code=ExitCode.UNREACHABLE, at=str(path))
