#!/usr/bin/env python3
"""Run the pipeline, cd.yml, on this machine through act."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from kickoff import bootstrap

bootstrap.ensure("dev")

from kickoff.errors import run
from kickoff.pipeline import cli

if __name__ == "__main__":
    sys.exit(run(cli.main))
