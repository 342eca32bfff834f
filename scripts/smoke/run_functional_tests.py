#!/usr/bin/env python3
"""Run the service's own tests against the staged candidate, and record the verdicts in its attempt."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff.checks import runner
from kickoff.host import handover


def main() -> int:
    """Run the check; return the exit code."""
    return runner.main("functional", description=__doc__)


if __name__ == "__main__":
    sys.exit(handover.run(main))
