"""The words of a command: a comment that begins with a dot and a word is one, and nothing else is. Pure."""

import re
from typing import NamedTuple

from kickoff.errors import KickoffError

USAGE = {
    "plan": (".plan [ENVIRONMENT]", "say what this pull request would do, without doing it"),
    "deploy": (".deploy ENVIRONMENT", "deploy the last commit of this branch, if every rule lets it through"),
    "lock": (".lock ENVIRONMENT REASON", "keep an environment from releases of others, until it is unlocked"),
    "unlock": (".unlock ENVIRONMENT", "let releases through again"),
    "help": (".help", "say this"),
}
"""Every command: how it is written, and what it does."""
_ARGUMENTS = {"plan": (0, 1), "deploy": (1, 1), "lock": (2, 2), "unlock": (1, 1), "help": (0, 0)}
"""Fewest and most arguments; the reason of a lock is the rest of the line."""
_LONGEST_REASON = 200


class Command(NamedTuple):
    """A command: a word of :data:`USAGE`, the environment as it was written, and why it is locked."""

    word: str
    environment: str = ""
    reason: str = ""


def is_command(body: str) -> bool:
    """Return whether a comment is meant as a command: it begins with a dot and a letter."""
    return re.match(r"\.[A-Za-z]", body) is not None


def parse(body: str) -> Command:
    """Return the command that a comment is, for which :func:`is_command` holds.

    Raises:
        KickoffError: There is no such command, an argument is missing or too much, or a second line.
    """
    line, *more = body.rstrip().splitlines()
    first, *_ = line.split(None, 1)
    word = first[1:].lower()
    if word not in USAGE:
        known = ", ".join(usage for usage, _ in USAGE.values())
        raise KickoffError(f".{word[:30]} is not a command", hint=f"there are {known}")
    if more:
        raise KickoffError("a command is a comment of one line", hint="write a comment for each")
    fewest, most = _ARGUMENTS[word]
    given = line.split(None, 2 if word == "lock" else -1)[1:]
    if not fewest <= len(given) <= most:
        raise KickoffError(f"{line[:60]} is not complete, or too much", hint=f"write {USAGE[word][0]}")
    command = Command(word, *given)
    if len(command.reason) > _LONGEST_REASON or not command.reason.isprintable():
        raise KickoffError(
            f"the reason is longer than {_LONGEST_REASON} characters, or holds some that cannot be shown",
            hint="write one short sentence",
        )
    return command
