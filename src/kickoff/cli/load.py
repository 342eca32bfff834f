"""The verb ``kickoff perf``, apart from the other checks: its libraries take seconds to import."""

from kickoff.cli.checks import add_check
from kickoff.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add the verb."""
    add_check(verbs, "perf")
