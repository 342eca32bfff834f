"""The verb ``kickoff deploy``: one run of cd.yml on this machine."""

import argparse

from kickoff.cli.parser import RELEASE_CODES, Verbs, add_verb
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verb."""
    deploy = add_verb(
        verbs,
        "deploy",
        VERBS["deploy"].text,
        _run,
        examples=("deploy", "deploy --env staging", "deploy --env production --release v1.4.0"),
        codes=RELEASE_CODES,
        env="",
    )
    deploy.add_argument(
        "--env", default="development", metavar="NAME", help="where to deploy (default: development)"
    )
    deploy.add_argument(
        "--event",
        default="workflow_dispatch",
        choices=["workflow_dispatch", "push"],
        help="the event to act out (default: workflow_dispatch)",
    )
    deploy.add_argument("--ref", default="", help="full ref of the event (default: the current branch)")
    deploy.add_argument(
        "--release", default="", metavar="REVISION", help="tag, commit or release id to ship instead of HEAD"
    )
    deploy.add_argument(
        "--unproven-reason", default="", metavar="TEXT", help="why production may get an unproven commit"
    )
    deploy.add_argument("--allow-dirty", action="store_true", help="ship the commit without what is changed")
    deploy.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for another run's lock before anything begins (default: 0)",
    )
    deploy.add_argument(
        "--no-reuse", action="store_true", help="run the quality gate even where the same content has passed"
    )
    deploy.add_argument("--plain", action="store_true", help="one line per event, as without a terminal")


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import deploy

    return deploy.run(arguments)
