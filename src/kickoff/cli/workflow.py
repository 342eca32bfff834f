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
        codes=(0, 1, 2, 4),
        env="",
    )
    plan.add_argument("--event", metavar="NAME", help="event name (default: GITHUB_EVENT_NAME)")
    plan.add_argument("--ref", help="full ref (default: GITHUB_REF)")
    plan.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="dispatch input")
    plan.add_argument("--inputs", default="", metavar="JSON", help="those a workflow was called with")
    change = add_verb(
        group,
        "change",
        "show what a change would do to each environment, before it is merged",
        _change,
        examples=("workflow change --base main", "workflow change --base v1.2.0 --head topic --json"),
        codes=(0, 2, 4),
        env="",
    )
    change.add_argument(
        "--base", default="", metavar="REV", help="what it is compared with (default: the pull request's)"
    )
    change.add_argument("--head", default="HEAD", metavar="REV", help="the change (default: HEAD)")
    change.add_argument(
        "--comment", action="store_true", help="say it on the pull request, in the one comment there"
    )
    change.add_argument("--lang", default="", help="language of the text, e.g. zh_CN (default: the locale's)")
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
    _add_command(group)


def _add_command(group: Verbs) -> None:
    command = add_verb(
        group,
        "command",
        "carry out the command that a comment on a pull request is, or reply why not",
        _command,
        examples=(
            "workflow command",
            "workflow command --result success --environment staging",
        ),
        codes=(0, 2, 4),
        env="",
    )
    command.add_argument("--result", default="", help="how the deployment ended: say that instead")
    command.add_argument("--commit", default="", metavar="SHA", help="what was to be deployed")
    command.add_argument("--environment", default="", metavar="NAME", help="where to")


def _plan(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import workflow

    return workflow.plan_event(arguments)


def _change(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import change

    return change.run(arguments)


def _comment(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import comment

    return comment.run(arguments)


def _command(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import command

    return command.run(arguments)
