#!/usr/bin/env python3
"""Open, update or close the repository's one issue about drift, from the evidence of the scheduled check."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff import evidence, github
from kickoff.environment.drift import issue
from kickoff.errors import KickoffError, run


def main() -> int:
    """Settle the issue; return 0 when GitHub has taken it.

    Raises:
        KickoffError: The arguments are wrong (exit code 2), or GitHub cannot be asked (exit code 4).
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evidence", type=Path, required=True, help="folder of the checks' evidence")
    parser.add_argument("--planned", required=True, help="JSON list of the environments that were checked")
    arguments = parser.parse_args()
    where = github.context()
    if not where.repository:
        raise KickoffError("GITHUB_REPOSITORY is not set", hint="run this in a workflow")
    try:
        planned = json.loads(arguments.planned)
    except ValueError:
        planned = None
    if not isinstance(planned, list) or not all(isinstance(name, str) and name for name in planned):
        raise KickoffError("--planned is no JSON list of names", hint='write it like ["staging"]')
    found = evidence.read(arguments.evidence) if arguments.evidence.is_dir() else []
    text = issue.render(found, planned)
    done = issue.settle(text, where.repository, where.run_url)
    sys.stdout.write(f"{done}\n")
    github.append_summary(f"{text or '**Nothing has drifted.**'}\n\n{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
