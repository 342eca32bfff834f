#!/usr/bin/env python3
"""Validate, show, compare and export the environments in configs/environments."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff.environment import cli
from kickoff.errors import run

if __name__ == "__main__":
    sys.exit(run(cli.main))
