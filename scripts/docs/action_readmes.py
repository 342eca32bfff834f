#!/usr/bin/env python3
"""Write the tables in actions/*/README.md from action.yml; with --check only say what is out of date."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import yaml

from kickoff import action_docs, generated
from kickoff.errors import KickoffError
from kickoff.program import run


def rendered() -> dict[str, str]:
    """Return every README with its tables as they are now."""
    fresh = {}
    for definition in sorted(ROOT.glob("actions/*/action.yml")):
        readme = definition.with_name("README.md")
        name = str(readme.relative_to(ROOT))
        if not readme.is_file():
            raise KickoffError(f"{name} is missing", hint="copy another action's README and adapt it")
        action = yaml.safe_load(definition.read_text(encoding="utf-8"))
        try:
            fresh[name] = action_docs.refresh(readme.read_text(encoding="utf-8"), action)
        except ValueError as error:
            raise KickoffError(f"{name} {error}", at=name) from None
    return fresh


if __name__ == "__main__":
    sys.exit(run(lambda: generated.main(Path(__file__), __doc__, ROOT, rendered)))
