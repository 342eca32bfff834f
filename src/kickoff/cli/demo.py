"""The verb ``kickoff demo``: the quickest look at what the others do."""

import argparse
import sys

from kickoff.cli import output
from kickoff.cli.parser import Verbs, add_verb
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verb."""
    demo = add_verb(
        verbs, "demo", VERBS["demo"].text, _run, examples=("demo", "demo --keep"), codes=(0, 1, 2), env=""
    )
    demo.add_argument(
        "--keep", action="store_true", help="leave the service's repository and its state there, too"
    )


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.demo import play
    from kickoff.demo.screen import Screen

    document = play.play(Screen(sys.stderr, silent=output.is_quiet()), keep=arguments.keep)
    output.result(document, play.verdict(document))
    return 0
