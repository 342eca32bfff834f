#!/usr/bin/env python3
"""Release commands on one environment: stage, promote, abort, rollback, resume, status and more."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff.host.handover import run
from kickoff.release.cli import main

if __name__ == "__main__":
    sys.exit(run(main))
