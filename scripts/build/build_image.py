#!/usr/bin/env python3
"""Build and push the image of a commit; content that the registry has is not built again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff.artifact import cli
from kickoff.artifact.kind import Kind
from kickoff.errors import run

if __name__ == "__main__":
    sys.exit(run(lambda: cli.main(sys.argv[1:], Kind.IMAGE, __doc__)))
