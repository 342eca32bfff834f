"""The verbs of a release on one environment, and the phases that a pipeline runs one by one."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kickoff.cli.parser import (
    READ_CODES,
    RELEASE_CODES,
    Parser,
    Verbs,
    add_allowance,
    add_verb,
    add_wait,
    positive,
)
from kickoff.cli.verbs import VERBS

FORMAT = "how the result is written (default: text)"


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    verb = partial(_verb, verbs)
    plan = verb("plan", "plan --env staging", "plan --env development --commit v1.4.0", codes=(0, 1, 2, 4))
    plan.add_argument("--commit", default="HEAD", help="tag, branch or commit (default: HEAD)")
    _artefact(plan, "built from the commit by default", required=False)
    status = verb("status", "status --env production", "status --env staging --json", codes=READ_CODES)
    status.add_argument("--wide", action="store_true", help="whole digests, of the warm release, too")
    logs = verb(
        "logs",
        "logs --env staging",
        "logs --env staging --process candidate --lines 200",
        "logs --env staging --process 4f2c1ab-9d3e1f20",
        codes=READ_CODES,
    )
    logs.add_argument(
        "--process",
        default="",
        metavar="NAME",
        help="live (default), candidate (also the last one), blue, green, traefik, or a refused release's id",
    )
    logs.add_argument("--follow", action="store_true", help="also what is to come, until Ctrl-C")
    logs.add_argument("--lines", type=int, default=50, metavar="N", help="how many (default: 50)")
    _rollback(verb)
    start = verb("start", "start --env production")
    add_wait(start, 0, "another run's lock")
    verb("stop", "stop --env development", codes=(0, 2, 4, 75))
    resume = verb("resume", "resume --env production", "resume --env production --rebuild-state")
    resume.add_argument(
        "--rebuild-state", action="store_true", help="first derive a lost state.json again from what runs"
    )
    history = verb(
        "history", "history --env production", "history --env production --verify", codes=(0, 1, 2)
    )
    history.add_argument(
        "--limit", type=_count, default=0, metavar="N", help="the newest N (default: 20; with --json all)"
    )
    history.add_argument("--verify", action="store_true", help="check that nobody rewrote it")
    show = verb(
        "show",
        "show 4f2c1ab --env production",
        "show 4f2c1ab-9d3e1f20 --env staging --json",
        codes=READ_CODES,
    )
    show.add_argument("release", metavar="ID", help="release id, or how it begins")
    metrics = verb(
        "metrics",
        "metrics --env production --days 90",
        "metrics --env production --format prometheus",
        codes=(0, 2),
    )
    metrics.add_argument("--days", type=positive, default=30.0, help="length of the window (default: 30)")
    metrics.add_argument("--format", choices=["text", "prometheus"], default="text", help=FORMAT)
    unlock = verb("unlock", "unlock --env staging --force", codes=(0, 2))
    unlock.add_argument("--force", action="store_true", help="the run that holds it is gone for good")
    _phases(verb)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return value


def _phases(verb: "partial[Parser]") -> None:
    stage = verb("stage", "stage --env staging --artifact-digest sha256:… --commit 4f2c1ab")
    _artefact(stage, "the artefact to deploy", required=True)
    stage.add_argument("--commit", required=True, help="the commit it was built from")
    add_wait(stage, 0, "another run's lock")
    stage.add_argument("--force", action="store_true", help="ship even when this release is live already")
    stage.add_argument(
        "--unproven-reason", default="", metavar="TEXT", help="why this ships without a proof; recorded"
    )
    stage.add_argument(
        "--freeze-reason", default="", metavar="TEXT", help="why this ships in spite of a freeze; recorded"
    )
    add_allowance(stage)
    promote = verb("promote", "promote --env staging --attempt 7-ab12")
    promote.add_argument("--attempt", required=True, metavar="ID", help="what `stage` began")
    watch = verb("watch", "watch --env production", "watch --env production --release 4f2c1ab-9d3e1f20")
    watch.add_argument(
        "--release", default="", metavar="ID", help="the release that must be live (default: whichever is)"
    )
    abort = verb("abort", "abort --env staging --reason 'found a mistake'")
    abort.add_argument("--attempt", default="", metavar="ID", help="only this one (default: the open one)")
    abort.add_argument("--reason", default="", metavar="TEXT", help="why; recorded")
    abort.set_defaults(before=_complete)


def _rollback(verb: "partial[Parser]") -> None:
    rollback = verb(
        "rollback",
        "rollback --env production",
        "rollback --env production --to 4f2c1ab-9d3e1f20 --reason 'wrong price'",
        "rollback --env production --failed 4f2c1ab-9d3e1f20",
    )
    rollback.add_argument(
        "--to", default="", metavar="ID", help="release id (default: the last good one before)"
    )
    rollback.add_argument(
        "--failed",
        default="",
        metavar="ID",
        help="take back this release and no other; a first one then serves no more",
    )
    rollback.add_argument("--force", action="store_true", help="go to a release that never was good")
    rollback.add_argument(
        "--reason", default="", metavar="TEXT", help="why; recorded; must be given with --force"
    )
    rollback.add_argument(
        "--unproven-reason",
        default="",
        metavar="TEXT",
        help="with --force, where only proved releases serve: why; recorded",
    )
    add_wait(rollback, 60, "another command's lock")
    rollback.set_defaults(before=_complete)


def _verb(verbs: Verbs, name: str, *examples: str, codes: Sequence[int] = RELEASE_CODES) -> Parser:
    child = add_verb(verbs, name, VERBS[name].text, _run, examples=examples, codes=codes, at_target=True)
    child.set_defaults(command=name)
    return child


def _artefact(parser: Parser, text: str, *, required: bool) -> None:
    parser.add_argument(
        "--artifact-digest", required=required, default="", metavar="ID", help=f"{text}: sha256:…"
    )
    parser.add_argument(
        "--artifact-directory",
        type=Path,
        metavar="DIR",
        help="folder that holds it (default: where `build` puts it)",
    )


def _complete(arguments: argparse.Namespace) -> None:
    if arguments.command == "rollback" and not arguments.failed:
        return  # nothing of a run's evidence is about it
    from kickoff.cli.run import reasons

    reasons.complete(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import release

    return release.run(arguments)
