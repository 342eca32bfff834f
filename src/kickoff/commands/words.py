"""The words of a command: a comment that begins with a dot and a word is one, and nothing else is. Pure."""

import re
from dataclasses import dataclass

from kickoff.errors import KickoffError

USAGE = {
    "plan": ".plan [ENVIRONMENT]",
    "deploy": ".deploy ENVIRONMENT",
    "lock": ".lock ENVIRONMENT REASON",
    "unlock": ".unlock ENVIRONMENT",
    "help": ".help",
}
"""Every command, as it is written."""
MEANING = {
    "plan": "say what this pull request would do, without doing it",
    "deploy": "deploy the last commit of this branch, if every rule lets it through",
    "lock": "keep an environment from releases of others, until somebody unlocks it",
    "unlock": "let releases through again",
    "help": "say this",
}
_COMMAND = re.compile(r"\.[A-Za-z]")
_ARGUMENTS = {"plan": (0, 1), "deploy": (1, 1), "lock": (2, 2), "unlock": (1, 1), "help": (0, 0)}
"""Fewest and most arguments; the last one of a lock is the rest of the line."""
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Command:
    """A command that somebody wrote.

    Attributes:
        word: One of :data:`USAGE`.
        environment: The environment, as it was written; empty for none.
        reason: Why it is locked; empty for another command.
    """

    word: str
    environment: str = ""
    reason: str = ""


def is_command(body: str) -> bool:
    """Return whether a comment is meant as a command: it begins with a dot and a letter."""
    return _COMMAND.match(body) is not None


def parse(body: str) -> Command:
    """Return the command that a comment is.

    Args:
        body: The comment, for which :func:`is_command` holds.

    Raises:
        KickoffError: There is no such command, an argument is missing or too much, or a second line.
    """
    line, *more = body.rstrip().splitlines()
    first, _, rest = line[1:].partition(" ")
    word = first.strip().lower()
    if word not in USAGE:
        raise KickoffError(f".{first[:30]} is not a command", hint=f"there are {', '.join(USAGE.values())}")
    if more:
        raise KickoffError("a command is a comment of one line", hint="write a comment for each")
    fewest, most = _ARGUMENTS[word]
    given = rest.split(None, most - 1) if most else rest.split()
    if not fewest <= len(given) <= most or (word != "lock" and len(rest.split()) > most):
        raise KickoffError(f"{line[:60]} is not complete, or too much", hint=f"write {USAGE[word]}")
    environment, reason, *_ = [*(one.strip() for one in given), "", ""]
    if len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise KickoffError(
            f"the reason is longer than {_LONGEST_REASON} characters, or holds some that cannot be shown",
            hint="write one short sentence",
        )
    return Command(word, environment, reason)
