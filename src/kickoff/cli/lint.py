"""The verb ``kickoff lint``: the linter, for any repository with workflows."""

import argparse
from pathlib import Path

from kickoff.cli.parser import Verbs, add_verb
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verb."""
    child = add_verb(
        verbs,
        "lint",
        VERBS["lint"].text,
        _run,
        examples=("lint", "lint ../other .github/workflows/cd.yml", "lint --format sarif > lint.sarif"),
        codes=(0, 1, 2, 3),
        env="",
    )
    child.add_argument(
        "paths",
        nargs="*",
        type=Path,
        default=[],
        metavar="PATH",
        help="workflows, actions, shell scripts, or folders of repositories (default: this one)",
    )
    child.add_argument(
        "--format",
        choices=("text", "github", "sarif"),
        metavar="FORMAT",
        help="text, github (annotations; the default there) or sarif",
    )


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import lint

    return lint.run(arguments)
