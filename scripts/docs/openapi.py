#!/usr/bin/env python3
"""Write the service's OpenAPI document to docs/reference/openapi.json, or check that it is up to date."""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
from kickoff import bootstrap

bootstrap.ensure("dev")

from app.main import create_app
from app.settings import Settings
from kickoff.errors import ExitCode, KickoffError, run
from kickoff.evidence import write_atomic

TARGET = Path("docs/reference/openapi.json")


def main() -> int:
    """Write the document, or fail when it is not what the code says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something would")
    check = parser.parse_args().check
    # Nothing of the document depends on the environment.
    document = create_app(Settings.model_construct()).openapi()
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    target = ROOT / TARGET
    fresh = target.is_file() and target.read_text(encoding="utf-8") == text
    if check and not fresh:
        raise KickoffError(
            f"{TARGET} is not what the code says",
            code=ExitCode.REJECTED,
            at=str(TARGET),
            hint="python3 scripts/docs/openapi.py",
        )
    if not fresh:
        write_atomic(target, text)
    print("up to date" if fresh else f"{TARGET} rewritten")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
