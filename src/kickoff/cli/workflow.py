"""The verbs of ``kickoff workflow``: what a workflow asks at its beginning, and says at its end."""

import argparse

from kickoff.cli.parser import Verbs, add_group, add_verb, path
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    group = add_group(verbs, "workflow", VERBS["workflow"].text)
    plan = add_verb(
        group,
        "plan",
        "decide what an event deploys; write plan.json and the step outputs",
        _plan,
        examples=(
            "workflow plan",
            "workflow plan --event workflow_dispatch --input environment=staging",
        ),
        env="",
    )
    plan.add_argument("--event", metavar="NAME", help="event name (default: GITHUB_EVENT_NAME)")
    plan.add_argument("--ref", help="full ref (default: GITHUB_REF)")
    plan.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="dispatch input")
    comment = add_verb(
        group,
        "comment",
        "say on the commit's pull request what became of it, in one comment",
        _comment,
        examples=("workflow comment",),
        env="",
    )
    comment.add_argument(
        "--evidence", type=path, metavar="DIR", help="the run's evidence (default: KICKOFF_EVIDENCE_DIR)"
    )
    comment.add_argument(
        "--report", type=path, metavar="DIR", help="the run's report (default: KICKOFF_REPORT_DIR)"
    )


def _plan(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import workflow

    return workflow.plan_event(arguments)


def _comment(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import comment

    return comment.run(arguments)
