#!/usr/bin/env python3
"""Run load scenarios against a service and judge them; compare with a second address when one is given."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("performance")

from kickoff.checks import runner
from kickoff.host import handover


def main() -> int:
    """Run the check; return the exit code."""
    return runner.main("perf", description=__doc__)


if __name__ == "__main__":
    sys.exit(handover.run(main))
