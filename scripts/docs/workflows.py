#!/usr/bin/env python3
"""Write this repository's cd.yml, drift.yml and rollback.yml; with --check only say what is out of date."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
from collections.abc import Mapping

from kickoff import service, stack
from kickoff.environment import schema, secret_source
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.program import run
from kickoff.project import workflows


def rendered(root: Path) -> Mapping[str, str]:
    """Return the files of the repository at ``root``, whose actions stand beside them."""
    return workflows.render(
        environments=service.load(root).environments,
        default_branch="main",
        actions="./actions",
        version="",
        secrets={*schema.read(root).secrets, *secret_source.BESIDE_SCHEMA, *stack.every_key(root)},
        requirements="requirements/dev.txt",
        also=("drift.yml",),
    )


def main() -> int:
    """Bring every file up to date, or fail when one is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something would")
    check = parser.parse_args().check
    stale = []
    for name, text in rendered(Path.cwd()).items():
        path = Path(name)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                write_atomic(path, text)
    if check and stale:
        raise KickoffError(
            f"out of date: {', '.join(stale)}",
            code=ExitCode.REJECTED,
            hint="python3 scripts/docs/workflows.py",
        )
    print(f"{len(stale)} rewritten" if stale else "every workflow is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
