"""The compose file of a release: kept in its folder with its own values, and the command line on it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kickoff.environment import Environment
from kickoff.environment.export import compose as compose_format
from kickoff.evidence import write_atomic
from kickoff.release.folder import environment_of, workers_of
from kickoff.release.targets.compose.services import with_values, with_workers
from kickoff.stack import Compose, Stack, copied, file_of, release_only

SECRETS = "secrets"
"""Subfolder of a release that its containers mount; each file holds one."""
_VALUES, _OWN, _STACK, _RESOLVED = "compose.env", "release.env", "stack", "compose.json"
_HOST = "host.env"
"""The variables of the host that the release was made on, for one that has none of its own."""


def keep(folder: Path, stack: Stack, environment: Environment, image: str) -> None:
    """Put the stack's compose file of today into a release folder, with the values of this release.

    Args:
        folder: The release folder.
        stack: The stack that it belongs to.
        environment: Its environment.
        image: Reference of its image.
    """
    for path in stack.release_files():
        kept = folder / _STACK / copied(path, stack.name)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stack.root / path, kept)
    own = {
        "KICKOFF_IMAGE": image,
        # Mounted by the containers under its final name, which the folder does not have yet.
        "KICKOFF_STACK_DIR": str(stack.folder),
        "KICKOFF_ROUTE_DIR": str(stack.routes),
    }
    write_atomic(folder / _HOST, (stack.folder / _VALUES).read_text("utf-8"), mode=0o600)
    shown = {key: text for key, text in environment.values.items() if key not in environment.secrets}
    write_atomic(folder / _VALUES, compose_format(shown | own), mode=0o600)


def described(folder: Path, stack: Stack) -> dict[str, Any]:
    """Return the compose file that a release folder keeps, resolved."""
    own = {
        "KICKOFF_RELEASE": environment_of(folder)["KICKOFF_RELEASE"],
        "KICKOFF_SECRETS_DIR": str(folder / SECRETS),
    }
    write_atomic(folder / _OWN, compose_format(own), mode=0o600)
    # The host's own variables first: what a release says comes before them.
    host = stack.folder / _VALUES
    values_of = [host if host.is_file() else folder / _HOST, folder / _VALUES, folder / _OWN]
    return Compose(folder / _STACK, file_of(stack.name), values_of).resolved()


def startable(
    folder: Path, stack: Stack, environment: Environment, added: Mapping[str, str]
) -> dict[str, Any]:
    """Return the services that a release may start, resolved, and give it its secrets as files.

    Args:
        folder: The release folder.
        stack: The stack that it belongs to.
        environment: Says which of its values are secrets.
        added: Variables that every container gets besides.
    """
    values, secrets = environment_of(folder), folder / SECRETS
    secrets.mkdir(exist_ok=True)
    # Other users of the host do not get as far as this folder; the container's user must.
    secrets.chmod(0o755)
    for key in environment.secrets & values.keys():
        write_atomic(secrets / key.lower(), values[key], mode=0o444)
    shown = {key: text for key, text in values.items() if key not in environment.secrets}
    return with_values(release_only(described(folder, stack)), {**shown, **added})


def command_line(folder: Path, stack: Stack, environment: Environment, added: Mapping[str, str]) -> Compose:
    """Return the command line on what a release may start, with its workers; see :func:`startable`."""
    document = with_workers(startable(folder, stack, environment, added), workers_of(folder))
    write_atomic(folder / _RESOLVED, json.dumps(document, indent=1), mode=0o600)
    return Compose(folder, _RESOLVED, [])
