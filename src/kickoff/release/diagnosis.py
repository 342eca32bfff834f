"""Diagnosis of a release that did not get ready: the likely cause, where it is written, and the fix. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kickoff import logs
from kickoff.environment.schema import FOLDER
from kickoff.probing.readiness import Readiness
from kickoff.service import Service

_TAKEN = re.compile(r"EADDRINUSE|address (?:is )?already in use", re.IGNORECASE)
_NO_SERVICE = frozenset({0, 502, 503, 504})
"""Statuses that the proxy answers with in place of the service, and 0 for no answer at all."""
_LISTEN = "listen on the port that PORT holds; in the command it is {port}"


@dataclass(frozen=True, slots=True)
class Symptoms:
    """Observations of the release.

    Attributes:
        found: The end of the wait for it.
        port: The port that it was given.
        listening: The ports that it listens on; ``None`` when they cannot be told.
        log: The last lines of its log.
    """

    found: Readiness
    port: int
    listening: frozenset[int] | None
    log: Sequence[str]


class Diagnosis(NamedTuple):
    """The cause in words, the file and line to look at, and what to do there; each may be empty."""

    cause: str = ""
    at: str = ""
    hint: str = ""


def of(seen: Symptoms, service: Service, environment: str) -> Diagnosis:
    """Return the likely cause of what was seen."""
    found = seen.found
    if found.ended:
        return _ended(seen, service)
    if found.wrong:
        return _misnamed(found, service)
    settings = f"{FOLDER}/{environment}.env"
    if found.status in _NO_SERVICE and seen.listening is not None and seen.port not in seen.listening:
        if seen.listening:
            others = ", ".join(map(str, sorted(seen.listening)))
            cause = f"nothing listens on port {seen.port}; the process ignores PORT and listens on {others}"
            return Diagnosis(cause, service.command_at, _LISTEN)
        cause = f"still starting: it runs, and nothing listens on port {seen.port} yet"
        hint = f"raise READY_TIMEOUT if it only needs longer; if not, see {service.command_at}: {_LISTEN}"
        return Diagnosis(cause, settings, hint)
    if 400 <= found.status < 500:
        hint = "correct the path of the health check, or let the service answer it with 200"
        return Diagnosis("", service.at("health", "ready"), hint)
    at, hint = settings, f"raise READY_TIMEOUT if {service.ready_path} only needs longer"
    if found.status == 500 or (found.status in (502, 504) and seen.listening is not None):
        hint = f"its log says why {service.ready_path} fails; in {settings} {hint}"
        at = service.at("health", "ready")
    return Diagnosis("", at, hint)


def of_live(found: Readiness, service: Service) -> Diagnosis:
    """Return why the proxy would find ill what is ready."""
    if found.status in (401, 403):
        hint = f"the proxy sends no key: let {service.live_path} answer without one"
    elif 400 <= found.status < 500:
        hint = "correct the path of the liveness check, or let the service answer it with 200"
    else:
        hint = f"the proxy asks {service.live_path} all the time: let it answer with 200, and soon"
    return Diagnosis("", service.at("health", "live"), hint)


def _misnamed(found: Readiness, service: Service) -> Diagnosis:
    header = service.release_header
    if found.named:
        return Diagnosis("", service.command_at, f"{header} must hold the value of KICKOFF_RELEASE")
    hint = f"send the value of KICKOFF_RELEASE in {header}, or write `release_header: none`"
    return Diagnosis("", service.at("release_header"), hint)


def _ended(seen: Symptoms, service: Service) -> Diagnosis:
    if any(_TAKEN.search(line) for line in seen.log):
        return Diagnosis("it asked for a port that is in use", service.command_at, _LISTEN)
    return Diagnosis(logs.essence(seen.log), service.command_at, "its log says why")
