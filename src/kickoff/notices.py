"""Who is told what became of a run: ``notify:`` of the description, and what they read."""

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
_SAID = ("why", "cause", "users", "fix", "serving", "live_down", "judged", "measures", "address")
_LONGEST = 500
"""Characters of one line: a log may have said anything."""


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


def message(outcome: Mapping[str, Any], place: str) -> tuple[str, str]:
    """Return title and text about the end of a run.

    Args:
        outcome: The run's ``outcome.json``.
        place: Address of the run, or path of its report.
    """
    lines = [f"{key.replace('_', ' ')}: {_line(outcome[key])}" for key in _SAID if outcome.get(key)]
    lines += [f"next: {_line(' · '.join(outcome['next']))}"] if outcome.get("next") else []
    return _line(outcome["headline"]), "\n".join([*lines, f"run: {place}"])


def _line(text: object) -> str:
    """Return foreign text as one line that calls nobody: a log decides neither layout nor who is woken."""
    line = " ".join(str(text).split())
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    return line.replace("@", "@\u200b").replace("<!", "<\u200b!")
