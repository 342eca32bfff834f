"""The verb ``kickoff lint``: the linter, for any repository with workflows."""

import argparse
from pathlib import Path

from kickoff.cli.parser import Verbs, add_verb, path
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verb."""
    child = add_verb(
        verbs,
        "lint",
        VERBS["lint"].text,
        _run,
        examples=(
            "lint",
            "lint ../other .github/workflows/cd.yml",
            "lint --format sarif --output lint.sarif",
        ),
        codes=(0, 1, 2, 3),
        env="",
    )
    child.add_argument(
        "paths",
        nargs="*",
        type=Path,
        default=[],
        metavar="PATH",
        help="workflow, action, script or repository (default: this one)",
    )
    child.add_argument(
        "--format",
        choices=("text", "github", "sarif"),
        metavar="FORMAT",
        help="text, github (annotations; the default there) or sarif",
    )
    child.add_argument(
        "--output",
        type=path,
        default=None,
        metavar="FILE",
        help="write the findings into a file (default: standard output)",
    )


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import lint

    return lint.run(arguments)
