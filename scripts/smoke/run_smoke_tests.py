#!/usr/bin/env python3
"""Send the smoke checks of configs/service.yml to the candidate or the live release; judge the answers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff.checks import runner
from kickoff.host import handover


def main() -> int:
    """Run the check; return the exit code."""
    return runner.main("smoke", description=__doc__)


if __name__ == "__main__":
    sys.exit(handover.run(main))
