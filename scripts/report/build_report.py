#!/usr/bin/env python3
"""Turn a run's evidence into its summary, its report page and its outcome; fail when evidence is missing."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse

from kickoff import errors
from kickoff.report import command


def main() -> int:
    """Parse the arguments and build the report; return the run's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    command.add_arguments(parser)
    return command.run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(errors.run(main))
