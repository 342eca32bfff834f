#!/usr/bin/env python3
"""Build the content-addressed bundle of a commit; the same content gives the same digest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff.artifact import cli
from kickoff.artifact.kind import Kind
from kickoff.errors import run

if __name__ == "__main__":
    sys.exit(run(lambda: cli.main(sys.argv[1:], Kind.BUNDLE, __doc__)))
