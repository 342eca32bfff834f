#!/usr/bin/env python3
"""Write this repository's generated workflows; with --check only say which are out of date."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from collections.abc import Mapping

from kickoff import generated, service, stack
from kickoff.program import run
from kickoff.project import workflows


def rendered(root: Path) -> Mapping[str, str]:
    """Return the files of the repository at ``root``, whose actions stand beside them."""
    return workflows.render(
        environments=service.load(root).environments,
        default_branch="main",
        actions="./actions",
        version="",
        secrets=stack.every_secret(root),
        notify=[one.secret for one in service.load(root).notices],
        requirements="requirements/dev.txt",
        also=("drift.yml",),
    )


if __name__ == "__main__":
    sys.exit(run(lambda: generated.main(Path(__file__), __doc__, ROOT, lambda: rendered(ROOT))))
