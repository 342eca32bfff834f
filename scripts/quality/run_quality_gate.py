#!/usr/bin/env python3
"""Run the quality gate of configs/service.yml on a commit and write its evidence."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff import errors
from kickoff.checks import runner


def main() -> int:
    """Run the check; return the exit code."""
    return runner.main("check", description=__doc__)


if __name__ == "__main__":
    sys.exit(errors.run(main))
