#!/usr/bin/env python3
"""Write the tables in actions/*/README.md from action.yml; with --check only say what is out of date."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse

import yaml

from kickoff import action_docs
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.program import run


def main() -> int:
    """Bring every README up to date, or fail when one is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something would")
    check = parser.parse_args().check
    stale = []
    for definition in sorted(Path("actions").glob("*/action.yml")):
        readme = definition.with_name("README.md")
        if not readme.is_file():
            raise KickoffError(f"{readme} is missing", hint="copy another action's README and adapt it")
        text = readme.read_text(encoding="utf-8")
        try:
            fresh = action_docs.refresh(text, yaml.safe_load(definition.read_text(encoding="utf-8")))
        except ValueError as error:
            raise KickoffError(f"{readme} {error}", at=str(readme)) from None
        if fresh != text:
            stale.append(str(readme))
            if not check:
                write_atomic(readme, fresh)
    if check and stale:
        raise KickoffError(
            f"out of date: {', '.join(stale)}",
            code=ExitCode.REJECTED,
            hint="python3 scripts/docs/action_readmes.py",
        )
    print(f"{len(stale)} rewritten" if stale else "every table is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
