"""The verb ``kickoff explain``: what an exit code or a verdict means, and what to do."""

import argparse

from kickoff.cli.parser import Verbs, add_verb
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verb."""
    child = add_verb(
        verbs,
        "explain",
        VERBS["explain"].text,
        _run,
        examples=("explain", "explain 75", "explain rolled-back --env staging"),
        env="optional",
    )
    child.add_argument(
        "code", nargs="?", default="", metavar="CODE", help="its number or name (default: list all)"
    )


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import explain

    return explain.run(arguments)
