"""The services of a release, out of a resolved compose file."""

from collections.abc import Mapping
from typing import Any

from kickoff.release.model import Colour
from kickoff.release.targets import worker_of

PORT = 8000
"""Where a colour's container listens."""
LISTENING = {"PORT": str(PORT), "HOST": "0.0.0.0"}  # noqa: S104 - within the container's own network
"""Variables that tell a container where to listen."""
ADDED = frozenset({"PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "KICKOFF_DATA_DIR", "NO_PROXY", *LISTENING})
"""Names of the variables that a compose file may give to every container, and no release records."""
HOOKS = "migrate"
"""Service of the compose file in whose place hooks run."""
WORKER = "kickoff.worker"
"""Label of a worker's container; it names the colour."""
_OF_WEB = frozenset({"container_name", "expose", "hostname", "ports"})
"""Keys of a colour's service that its workers do not share."""


def with_workers(document: Mapping[str, Any], workers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved compose file in which each colour has its workers beside it.

    A worker is the colour's own service with another command, reached by nobody.
    """
    services = dict(document["services"])
    for colour in Colour:
        own = services.get(str(colour), {})
        apart = {key: value for key, value in own.items() if key not in _OF_WEB}
        apart["networks"] = dict.fromkeys(own.get("networks") or {})  # without its addresses and aliases
        apart["labels"] = {WORKER: str(colour)}  # by those of the web a proxy would find it
        apart["healthcheck"] = {"disable": True}  # the image's own asks the web process, too
        for name, worker in workers.items():
            services[worker_of(colour, name)] = {**apart, "command": list(worker["command"])}
    return {**document, "services": services}


def with_values(document: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return a resolved compose file in which each service has these variables beside its own."""
    given = {key: text.replace("$", "$$") for key, text in values.items()}  # compose reads the file once more
    services = {
        name: {**service, "environment": {**(service.get("environment") or {}), **given}}
        for name, service in document["services"].items()
    }
    return {**document, "services": services}
