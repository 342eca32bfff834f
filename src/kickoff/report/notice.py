"""What people who are told of a run read: the words of its outcome as plain text."""

from collections.abc import Mapping
from typing import Any

from kickoff.report.messages import line

_SAID = (
    "why", "cause", "users", "fix", "serving", "live_down", "judged", "measures", "address", "next",
)  # fmt: skip
_LONGEST = 500
"""Characters of one line: a log may have said anything."""


def message(outcome: Mapping[str, Any], place: str) -> tuple[str, str]:
    """Return title and text about the end of a run.

    Args:
        outcome: The run's ``outcome.json``.
        place: Address of the run, or path of its report.
    """
    lines = [f"{key.replace('_', ' ')}: {_quiet(outcome[key])}" for key in _SAID if outcome.get(key)]
    return _quiet(outcome["headline"]), "\n".join([*lines, f"run: {place}"])


def _quiet(text: object) -> str:
    """Return foreign text as one line that calls nobody: a log does not decide who is woken."""
    return line(text, _LONGEST).replace("@", "@\u200b").replace("<!", "<\u200b!")
