"""Who is told what became of a run: ``notify:`` of the description."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kickoff.description import Reader

KEY = "notify"
_EVENTS = {
    "released": ("released",),
    "rolled-back": ("rolled-back", "taken-back", "rollback-failed"),
    "failed": (
        "rejected",
        "invalid",
        "unreachable",
        "busy",
        "interrupted",
        "inconclusive",
        "rollback-failed",
    ),
}
"""Verdicts of a run by event. What changed nothing and failed at nothing is no event."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One address, and what is sent there.

    Attributes:
        secret: Name of the secret that holds the address: a token is part of it.
        events: ``released``, ``rolled-back``, ``failed``.
        environments: The environments whose runs are told; all of them when empty.
    """

    secret: str
    events: tuple[str, ...]
    environments: tuple[str, ...]

    def wants(self, verdict: str, environment: str) -> bool:
        """Return whether a run that ended so is told here."""
        told = any(verdict in _EVENTS[event] for event in self.events)
        return told and (not self.environments or environment in self.environments)


def read(reader: Reader, document: Mapping[str, Any], environments: Iterable[str]) -> tuple[Notice, ...]:
    """Return what a description says.

    Args:
        reader: Its text.
        document: Its content, which keeps the schema.
        environments: Names of the declared environments.

    Raises:
        KickoffError: An environment is not declared; names file and line (exit 2).
    """
    known = list(environments)
    for place, entry in enumerate(document.get(KEY, ())):
        for number, name in enumerate(entry.get("environments", ())):
            if name not in known:
                raise reader.error(
                    f"notify: no environment is called {name!r}",
                    *(KEY, place, "environments", number),
                    hint=f"declared are {', '.join(known)}",
                )
    return tuple(
        Notice(one["secret"], tuple(one.get("when", _EVENTS)), tuple(one.get("environments", ())))
        for one in document.get(KEY, ())
    )
