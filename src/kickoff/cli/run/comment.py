"""Say on the pull request what became of its commit: one comment, edited by every run."""

import argparse
import json
import os
from pathlib import Path

from kickoff import github, pull_request
from kickoff.cli import output
from kickoff.errors import KickoffError
from kickoff.plan import FILE as PLAN
from kickoff.report import comment
from kickoff.report.run import read_plan


def run(arguments: argparse.Namespace) -> int:
    """Write the comment; return 0 when GitHub has taken it, or there is nothing to say.

    Raises:
        KickoffError: There is no report (exit code 2), or GitHub cannot be asked (exit code 4).
    """
    where = github.context()
    if not where.repository:
        raise KickoffError("GITHUB_REPOSITORY is not set", hint="run this in a workflow")
    evidence = arguments.evidence or output.evidence_folder()
    folder = arguments.report or Path(os.environ.get("KICKOFF_REPORT_DIR") or evidence.parent / "report")
    try:
        outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "write it first: `kickoff report`"
        raise KickoffError("there is no report", at=str(folder), hint=hint) from None
    done = ["nothing was deployed, so there is nothing to say"]
    if outcome["environment"]:
        plan, _ = read_plan(evidence / PLAN)
        commit = plan.commit if plan else where.sha
        part = (folder / comment.FILE).read_text(encoding="utf-8")
        done = pull_request.settle(where.repository, commit, outcome["service"], outcome["environment"], part)
        done = done or [f"no pull request holds {commit[:7]}"]
    output.result({"done": done}, "\n".join(done))
    return 0
