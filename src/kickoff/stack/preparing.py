"""Preparation of a host before its stack of containers comes up: secrets, rendered files, variables.

Preparing again changes nothing that is there: secrets are made once, and what was given stays what was given.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dotenv import dotenv_values

from kickoff import masking
from kickoff.environment import schema
from kickoff.environment.export import compose as compose_format
from kickoff.environment.loader import inspect, load
from kickoff.environment.model import Environment
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.paths import METRICS, public_port, state_root
from kickoff.service import load as load_service
from kickoff.stack import declaration, primary, rotation, secret_files
from kickoff.stack.changes import VALUES, Stack
from kickoff.stack.compose import compose_files
from kickoff.stack.declaration import Declaration
from kickoff.stack.secret_files import READABLE, Held

_SECRETS = "secrets"
"""Folder of the stack's secrets, in the stack's own."""
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")
_VALUE = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of :func:`prepare`.

    Attributes:
        folder: Where secrets and rendered files are.
        made: Names of the secrets that were not there before.
    """

    folder: Path
    made: list[str]


def folder_of(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a stack's secrets and files, in the state folder of its environment."""
    return state_root(load_service(root).name, name, environ) / "stack"


def sources(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return ``environ`` with each secret that the stack holds as ``KEY_FILE``, unless it is given anyhow.

    Raises:
        KickoffError: The compose file's declaration is not valid (exit code 2).
    """
    folder = folder_of(name, root, environ) / _SECRETS
    if not folder.is_dir():
        return dict(environ)
    keys = declaration.read(root, name).keys
    held = {key: folder / file for key, file in keys.items() if (folder / file).is_file()}
    return dict(environ) | {
        f"{key}_FILE": str(path)
        for key, path in held.items()
        if not environ.get(key) and not environ.get(f"{key}_FILE")
    }


def prepare(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> Prepared:
    """Make everything that ``docker compose up`` expects to find, except the networks.

    Args:
        name: The environment.
        root: The project's folder.
        environ: The process environment; secrets come from ``KEY`` or ``KEY_FILE`` there, and it may set
            the other variables that the compose files name. What it set once is kept.

    Raises:
        KickoffError: There is no such stack, its declaration is not valid, a secret is missing, or one
            differs from the secret that the stack was made with (exit code 2).
    """
    # Nothing is written before everything that was given has been checked.
    wanted = _wanted(name, root, environ)
    held = Held(wanted.folder / _SECRETS)
    held.folder.mkdir(parents=True, exist_ok=True)
    for private in (wanted.folder.parent, wanted.folder):
        private.chmod(0o700)
    made = held.keep(wanted.secrets)
    for file, text in wanted.files.items():
        write_atomic(wanted.folder / file, text, mode=READABLE)
    for place in _shared(wanted.folder).values():
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)  # read by containers of other users; the state folder keeps those of the host out
    return Prepared(wanted.folder, made)


def upcoming(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the text of each file that :func:`prepare` would write now, by its place in the stack's folder.

    Raises:
        KickoffError: As :func:`prepare` does.
    """
    wanted = _wanted(name, root, environ)
    return wanted.files | {f"{_SECRETS}/{file}": text for file, text in wanted.secrets.items()}


class _Wanted(NamedTuple):
    """The contents of a stack's folder; ``files`` are those without secrets."""

    folder: Path
    secrets: dict[str, str]
    files: dict[str, str]


def _wanted(name: str, root: Path, environ: Mapping[str, str]) -> _Wanted:
    compose_files(root, name)  # there must be some
    folder = folder_of(name, root, environ)
    needs, held = declaration.read(root, name), Held(folder / _SECRETS)
    found = secret_files.lookup(needs, name, root, environ)
    rotation.require_current(folder, needs, found)
    secrets = secret_files.resolve(needs, found, held)
    given = {key: secrets[file] for key, file in needs.keys.items()}
    hidden = {f"{key}_FILE" for key in given}
    environment = load(name, root, {key: environ[key] for key in environ.keys() - hidden} | given)
    own = {"KICKOFF_STACK_DIR": str(folder)} | {key: str(place) for key, place in _shared(folder).items()}
    values = _compose_values(name, root, environment, environ, folder / VALUES)
    files = render(needs, root, environment, environ) | {VALUES: compose_format(values | own)}
    if needs.primary is not None:
        files[primary.FILE] = primary.recorded(folder) or f"{needs.primary.services[0]}\n"
    return _Wanted(folder, secrets, files)


def _shared(folder: Path) -> dict[str, Path]:
    """Return the folders that the release engine writes and containers read, by their variables."""
    return {"KICKOFF_ROUTE_DIR": _routes(folder), "KICKOFF_METRICS_DIR": folder.parent / METRICS}


def render(
    needs: Declaration, root: Path, environment: Environment, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the text of each rendered file, by name.

    A template names values of the environment as ``{KEY}``; they are written in base units (seconds, bytes,
    shares of one), an empty one as nothing.

    Raises:
        KickoffError: A template names a secret, or no key of the environment (exit code 2).
    """
    texts = {file: (root / template).read_text(encoding="utf-8") for file, template in needs.files.items()}
    for file, text in texts.items():
        for place in _VALUE.finditer(text):
            if place[1] not in environment.values.keys() - environment.secrets:
                line = text.count("\n", 0, place.start()) + 1
                raise KickoffError(
                    f"{needs.files[file]} names {place[1]}, which is a secret or not in the environment",
                    at=f"{needs.files[file]}:{line}",
                    hint="docs/reference/environments.md lists the keys; a secret is mounted as a file",
                )
    if not texts:
        return {}
    typed = inspect(environment.name, root, schema.read(root), environ, with_secrets=False).typed
    # An empty value has no type.
    return {
        file: _VALUE.sub(lambda place: _base(typed.get(place[1], "")), text) for file, text in texts.items()
    }


def _base(value: Any) -> str:  # noqa: ANN401 - any value of an environment
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_base, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _compose_values(
    name: str, root: Path, environment: Environment, environ: Mapping[str, str], kept: Path
) -> dict[str, str]:
    """Return the values of the compose files' variables, without any secret."""
    values = {key: value for key, value in environment.values.items() if key not in environment.secrets}
    values["PUBLIC_PORT"] = str(public_port(environment.integer("PUBLIC_PORT"), environ))
    known = dotenv_values(kept, interpolate=False)
    for variable in variables(root, name) - set(environment.values):
        value = environ.get(variable) or known.get(variable) or ""
        if value and not variable.startswith("KICKOFF_"):
            values[variable] = value
    return values


def variables(root: Path, name: str) -> set[str]:
    """Return the variables that a stack's compose files name."""
    files = compose_files(root, name)
    return {variable for path in files for variable in _VARIABLE.findall((root / path).read_text("utf-8"))}


def open_stack(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> Stack:
    """Return the stack of an environment that was prepared on this host.

    Raises:
        KickoffError: It was not (exit code 2).
    """
    folder = folder_of(name, root, environ)
    if not (folder / VALUES).is_file():
        raise KickoffError(
            f"this host was not prepared for {name} yet",
            at=str(folder),
            hint=f"`kickoff stack prepare --env {name}`; the first release does it, too",
        )
    shown = declaration.read(root, name).logins
    held = [path for path in (folder / _SECRETS).glob("*") if path.name not in shown]
    masking.hide(*(path.read_text("utf-8") for path in held))
    return Stack(root, name, folder, _routes(folder))


def _routes(folder: Path) -> Path:
    """Return the folder that Traefik watches, where the release engine looks for it."""
    return folder.parent / "traefik" / "dynamic"
