"""The record in a release folder: the environment and the service it was made for.

An emergency needs little: going back, stopping, starting and looking work from this, whatever today's
checkout or secrets look like.
"""

import json
import shutil
from pathlib import Path

from kickoff import service as services
from kickoff.environment import Environment
from kickoff.evidence import write_atomic
from kickoff.release.folder import SETTINGS, damaged, environment_of
from kickoff.service import Service

SERVICE = "service.yml"


def write(folder: Path, environment: Environment, service: Path) -> None:
    """Record an environment and the service description at ``service`` in a release folder."""
    own = {key: text for key, text in environment.values.items() if key not in environment.service}
    document = {
        "environment": environment.name,
        "values": own,
        "secrets": sorted(environment.secrets),
        "service": sorted(environment.service),
    }
    write_atomic(folder / SETTINGS, json.dumps(document, indent=1), mode=0o600)
    shutil.copyfile(service, folder / SERVICE)


def described(folder: Path) -> Service | None:
    """Return the service as a release folder describes it; ``None`` for one without a record.

    Raises:
        KickoffError: The record is damaged (exit 4).
    """
    try:
        text = (folder / SERVICE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except ValueError:
        raise damaged(folder / SERVICE) from None
    try:
        return services.parse(text, str(folder / SERVICE), recorded=True)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise damaged(folder / SERVICE) from None


def read(folder: Path) -> tuple[Environment, Service] | None:
    """Return what a release folder records; ``None`` for one without a record (made by an older version).

    Raises:
        KickoffError: The record is damaged (exit 4).
    """
    try:
        document = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise damaged(folder / SETTINGS) from None
    service = described(folder)
    if service is None:
        return None
    given = {key: value for key, value in environment_of(folder).items() if key != "KICKOFF_RELEASE"}
    try:
        environment = Environment(
            name=document["environment"],
            values=document["values"] | given,
            secrets=frozenset(document["secrets"]),
            service=frozenset(document["service"]),
        )
    except (KeyError, TypeError):
        raise damaged(folder / SETTINGS) from None
    return environment, service
