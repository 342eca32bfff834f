#!/usr/bin/env python3
"""Validate, show, compare and export the environments in configs/environments."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff.environment import cli
from kickoff.environment.drift import Running
from kickoff.errors import run


def read_running(root: Path, name: str, secret: bytes) -> Running:
    """Read what runs on the local target; the release engine is loaded for this command alone."""
    from kickoff import running  # noqa: PLC0415 - it triples the time of every other command

    return running.read(root, name, secret)


if __name__ == "__main__":
    sys.exit(run(lambda: cli.main(read_running=read_running)))
