"""The verbs of a project: what it is described by is written, checked, and brought to a new version."""

import argparse
from functools import partial

from kickoff.cli.parser import Run, Verbs, add_verb
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    verb = partial(add_verb, verbs, env="")
    init = verb(
        "init",
        VERBS["init"].text,
        _body("init"),
        examples=(
            "init --yes",
            "init --run 'node server.js' --health /healthz",
            "init --env qa --env live --actions acme/kickoff@kickoff-v1.2.3",
        ),
        codes=(0, 1, 2),
    )
    init.add_argument("--yes", action="store_true", help="ask nothing: take what is there, found or given")
    init.add_argument("--name", default="", metavar="NAME", help="the service's name (default: found)")
    init.add_argument("--run", dest="start", default="", metavar="COMMAND", help="its start command")
    init.add_argument("--gate", default="", metavar="COMMAND", help="checks a commit, e.g. its tests")
    init.add_argument("--health", default="", metavar="PATH", help="path that answers when it can serve")
    init.add_argument(
        "--env",
        dest="environments",
        action="append",
        default=[],
        metavar="NAME",
        help="an environment; repeat it, in promotion order",
    )
    init.add_argument("--default-branch", default="", metavar="NAME", help="the branch that is deployed")
    _actions(init)
    init.add_argument("--docker", action="store_true", help="also write a Dockerfile and compose files")
    init.add_argument("--force", action="store_true", help="also replace what kickoff did not write")
    verb("validate", VERBS["validate"].text, _body("validate"), examples=("validate",), codes=(0, 2))
    upgrade = verb(
        "upgrade",
        VERBS["upgrade"].text,
        _body("upgrade"),
        examples=(
            "upgrade",
            "upgrade --dry-run",
            "upgrade --check",
            "upgrade --actions acme/kickoff@kickoff-v1.2.3",
        ),
        codes=(0, 1, 2),
    )
    _actions(upgrade)
    group = upgrade.add_mutually_exclusive_group()
    group.add_argument("--dry-run", action="store_true", help="show the differences; write nothing")
    group.add_argument("--check", action="store_true", help="write nothing; end with 1 when anything differs")


def _actions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--actions", default="", metavar="SOURCE", help="where kickoff's actions are: OWNER/REPO@REF"
    )


def _body(name: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from kickoff.cli.run import project

        body: Run = getattr(project, name)
        return body(arguments)

    return run
