"""The verbs that ship a commit as a whole: through cd.yml on this machine, or in one command."""

import argparse

from kickoff.cli.parser import RELEASE_CODES, Verbs, add_allowance, add_verb, add_wait
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    _deploy(verbs)
    _release(verbs)


def _deploy(verbs: Verbs) -> None:
    deploy = add_verb(
        verbs,
        "deploy",
        VERBS["deploy"].text,
        _run,
        examples=("deploy --env production --release proved",),
        codes=RELEASE_CODES,
        env="",
    )
    deploy.add_argument(
        "--env", default="", metavar="NAME", help="where to deploy (default: the first one declared)"
    )
    deploy.add_argument(
        "--event",
        default="workflow_dispatch",
        choices=["workflow_dispatch", "push"],
        metavar="EVENT",
        help="act out push, or workflow_dispatch (the default)",
    )
    deploy.add_argument("--ref", default="", help="its full ref (default: the current branch)")
    deploy.add_argument(
        "--release",
        default="",
        metavar="REVISION",
        help="tag, commit, release id, or proved: the last proved",
    )
    deploy.add_argument(
        "--unproven-reason", default="", metavar="TEXT", help="why a commit may go on unproven"
    )
    deploy.add_argument(
        "--freeze-reason", default="", metavar="TEXT", help="why this ships in spite of a freeze; recorded"
    )
    add_allowance(deploy)
    deploy.add_argument("--allow-dirty", action="store_true", help="ship the commit without what is changed")
    add_wait(deploy, 0.0, "another run's lock")
    deploy.add_argument(
        "--no-reuse", action="store_true", help="check again what has passed for the same content"
    )
    deploy.add_argument("--plain", action="store_true", help="one line per event, as without a terminal")


def _release(verbs: Verbs) -> None:
    release = add_verb(
        verbs,
        "release",
        VERBS["release"].text,
        _run_release,
        examples=(
            "release --env development",
            "release --env staging --commit v1.4.0 --wait 60",
        ),
        codes=RELEASE_CODES,
    )
    release.add_argument("--commit", default="", help="tag, branch or commit (default: the one checked out)")
    release.add_argument(
        "--requirements",
        default="",
        metavar="FILE",
        help="hash-locked file with the tools of gate and tests (default: what is on PATH)",
    )
    release.add_argument(
        "--summary", default="", metavar="FILE", help="file the report's summary is appended to"
    )
    release.add_argument(
        "--unproven-reason", default="", metavar="TEXT", help="why this ships without a proof; recorded"
    )
    release.add_argument(
        "--freeze-reason", default="", metavar="TEXT", help="why this ships in spite of a freeze; recorded"
    )
    add_allowance(release)
    add_wait(release, 0.0, "another run's lock")


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import deploy

    return deploy.run(arguments)


def _run_release(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import whole_release

    return whole_release.run(arguments)
