"""The verb ``kickoff notify``: it tells people what became of a run."""

import argparse

from kickoff.cli.parser import Verbs, add_verb, path
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verb."""
    notify = add_verb(
        verbs,
        "notify",
        VERBS["notify"].text,
        _run,
        examples=("notify", "notify --report .kickoff/runs/7/report"),
        codes=(0, 2),
        env="",
    )
    notify.add_argument(
        "--report", type=path, metavar="DIR", help="the run's report (default: KICKOFF_REPORT_DIR)"
    )


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import notify

    return notify.run(arguments)
