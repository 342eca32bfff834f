"""Open, update or close the repository's one issue about drift, from the evidence of the scheduled check."""

import argparse
import json

from kickoff import evidence, github
from kickoff.cli import output
from kickoff.environment.drift import issue
from kickoff.errors import KickoffError


def run(arguments: argparse.Namespace) -> int:
    """Settle the issue; return 0 when GitHub has taken it.

    Raises:
        KickoffError: The arguments are wrong (exit code 2), or GitHub cannot be asked (exit code 4).
    """
    repository = github.repository()
    try:
        planned = json.loads(arguments.planned)
    except ValueError:
        planned = None
    if not isinstance(planned, list) or not all(isinstance(name, str) and name for name in planned):
        raise KickoffError("--planned is no JSON list of names", hint='write it like ["staging"]')
    folder = arguments.evidence or output.evidence_folder()
    found = evidence.read(folder) if folder.is_dir() else []
    text = issue.render(found, planned)
    done = issue.settle(text, repository, github.context().run_url)
    output.result({"drifted": bool(text), "done": done}, done)
    github.append_summary(f"{text or '**Nothing has drifted.**'}\n\n{done}\n")
    return 0
