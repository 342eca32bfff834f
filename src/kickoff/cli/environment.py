"""The verbs of ``kickoff env``: environments as files, as values, and as what runs."""

import argparse
from pathlib import Path

from kickoff.cli.parser import Parser, Run, Verbs, add_group, add_verb
from kickoff.cli.verbs import VERBS

FORMAT = "how the result is written (default: text)"
AUDIENCES = ("all", "service", "pipeline")
FORMATS = ("dotenv", "compose", "shell", "github-env", "json")
"""Those of :mod:`kickoff.environment.export`, which is not imported for a help text; a test compares."""


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    group = add_group(verbs, "env", VERBS["env"].text)
    _findings(group)
    _files(group)
    _values(group)
    _github(group)


def _findings(group: Verbs) -> None:
    validate = add_verb(
        group,
        "validate",
        "check the files against the schema and against each other",
        _body("validate"),
        examples=(
            "env validate",
            "env validate --env production",
            "env validate --env staging --with-secrets",
        ),
        env="",
        # The files are checked here; secrets are where the environment runs.
        at_target=lambda arguments: bool(arguments.with_secrets),
    )
    which = validate.add_mutually_exclusive_group()
    which.add_argument("--env", default="", metavar="NAME", help="check this environment alone")
    which.add_argument("--all", action="store_true", help="check every environment (the default)")
    validate.add_argument(
        "--with-secrets", action="store_true", help="look the secrets up and check them too"
    )
    _reporting(validate)
    running = add_verb(
        group,
        "drift",
        "compare the file with the schema and with what runs on the target",
        _body("drift"),
        examples=("env drift --env production", "env drift --env staging --without-secrets"),
        codes=(0, 1, 2, 3, 4),
        at_target=True,
    )
    running.add_argument(
        "--without-secrets",
        action="store_true",
        help="compare secrets between the places of the target alone, not with where they come from",
    )
    _reporting(running)


def _files(group: Verbs) -> None:
    diff = add_verb(
        group,
        "diff",
        "show where two environments differ, and whether they may",
        _body("diff"),
        examples=("env diff staging production",),
        env="",
    )
    diff.add_argument("left", metavar="A", help="an environment")
    diff.add_argument("right", metavar="B", help="another one")
    diff.add_argument("--format", choices=("text", "json"), default="text", help=FORMAT)
    explain = add_verb(
        group,
        "explain",
        "describe a key: meaning, limits, rules, its value everywhere",
        _body("explain"),
        examples=("env explain DEPLOY_TARGET",),
        env="",
    )
    explain.add_argument("key", metavar="KEY", help="its name")
    template = add_verb(
        group,
        "template",
        "print the file of a new environment",
        _body("template"),
        examples=("env template --env qa", "env template --env qa --output configs/environments/qa.env"),
    )
    template.add_argument("--output", type=Path, metavar="FILE", help="write this new file instead")
    docs = add_verb(
        group,
        "docs",
        "write docs/reference/environments.md from the schema",
        _body("docs"),
        examples=("env docs", "env docs --check"),
        env="",
    )
    docs.add_argument("--check", action="store_true", help="only tell whether the page is up to date")


def _values(group: Verbs) -> None:
    load = add_verb(
        group,
        "load",
        "show what a release would see; secrets are hidden, or not set",
        _body("load"),
        examples=("env load --env staging", "env load --env staging --with-secrets --json"),
    )
    _with_secrets(load)
    load.add_argument("--format", choices=("text", "json"), default="text", help=FORMAT)
    export = add_verb(
        group,
        "export",
        "write the values, secrets included where they are set, for another program",
        _body("export"),
        examples=(
            "env export --env development",
            "env export --env staging --output .env.staging --with-secrets",
            "env export --env staging --format json --audience service",
        ),
    )
    _with_secrets(export)
    export.add_argument(
        "--output", type=Path, metavar="FILE", help="write this file with mode 0600, at once or not at all"
    )
    export.add_argument("--format", choices=FORMATS, default="dotenv", help="default: dotenv")
    export.add_argument("--audience", choices=AUDIENCES, default="all", help="whose keys (default: all)")
    add_verb(
        group,
        "hash",
        "print a hash that changes with any value and reveals none",
        _body("hash"),
        examples=("env hash --env staging",),
    )
    secrets = add_verb(
        group,
        "secrets",
        "list the secrets of an environment and whether they are set, by name only",
        _body("secrets"),
        examples=("env secrets --env production",),
    )
    secrets.add_argument("--format", choices=("text", "json"), default="text", help=FORMAT)


def _github(group: Verbs) -> None:
    issue = add_verb(
        group,
        "issue",
        "open, update or close the repository's one issue about drift",
        _issue,
        examples=("env issue --planned '[\"staging\"]' --evidence .kickoff/evidence",),
        codes=(0, 2, 4),
        env="",
    )
    issue.add_argument("--evidence", type=Path, metavar="DIR", help="folder of the checks' evidence")
    issue.add_argument(
        "--planned", required=True, metavar="JSON", help="list of the environments that were checked"
    )
    protect = add_verb(
        group,
        "protect",
        "protect the environments on GitHub: reviewers, waiting time, refs",
        _protect,
        examples=(
            "env protect --reviewer ada --wait-minutes 5 --dry-run",
            "env protect --reviewer my-org/shippers",
        ),
        codes=(0, 1, 2, 4),
        env="",
    )
    protect.add_argument(
        "--repository", default="", metavar="OWNER/NAME", help="default: that of this folder"
    )
    protect.add_argument(
        "--reviewer",
        action="append",
        default=[],
        metavar="NAME",
        help="a login or ORG/TEAM that may approve environments of class production; repeat it, at most 6",
    )
    protect.add_argument(
        "--wait-minutes",
        type=int,
        default=0,
        metavar="N",
        help="how long environments of class production wait (default: 0)",
    )
    protect.add_argument("--dry-run", action="store_true", help="print each call and change nothing")


def _with_secrets(parser: Parser) -> None:
    parser.add_argument("--with-secrets", action="store_true", help="demand that every secret is set")


def _reporting(parser: Parser) -> None:
    parser.add_argument(
        "--format",
        choices=("text", "json", "github", "markdown"),
        help="how findings are shown (default: github inside a workflow on GitHub, else text)",
    )
    parser.add_argument("--evidence", type=Path, metavar="DIR", help="keep the outcome in this folder")


def _body(name: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from kickoff.cli.run import environment

        return environment.run(name, arguments)

    return run


def _issue(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import drift_issue

    return drift_issue.run(arguments)


def _protect(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import protection

    return protection.run(arguments)
