"""The verbs that check a commit or a release, and those that report on what was found."""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kickoff.cli import output
from kickoff.cli.parser import Parser, Run, Verbs, add_verb, path, positive
from kickoff.cli.verbs import VERBS
from kickoff.errors import KickoffError

if TYPE_CHECKING:
    from kickoff.checks.check import Check
    from kickoff.evidence import Evidence

_EXAMPLES = {
    "check": ("check", "check --commit v1.4.0 --requirements requirements/dev.txt"),
    "audit": (
        "audit",
        "audit --deployments '[\"production\"]'",
        "audit --base origin/main",
    ),
    "smoke": (
        "smoke --env staging --phase live",
        "smoke --env staging --phase candidate --attempt 7-ab12",
    ),
    "functional": ("functional --env staging --attempt 7-ab12",),
    "perf": (
        "perf --list",
        "perf --scenario light",
        "perf --suite smoke light medium --report",
        "perf --scenario light --host http://127.0.0.1:8000",
    ),
}


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    for name in ("check", "audit", "smoke", "functional"):
        add_check(verbs, name)
    _trend(verbs)
    _probe(verbs)
    _report(verbs)


def add_check(verbs: Verbs, name: str) -> None:
    """Add a check of the registry, which knows its own arguments."""
    from kickoff.checks import registry

    checks, run = None, partial(_missing, name)
    with contextlib.suppress(ImportError):  # its libraries are not installed: it is told when it is asked for
        checks = registry.load(name)
        run = partial(_run, checks)
    child = add_verb(
        verbs,
        name,
        VERBS[name].text,
        run,
        examples=_EXAMPLES[name],
        codes=(0, 1, 2, 3, 4),
        env="",
        at_target=lambda arguments: bool(getattr(arguments, "env", "")),
    )
    if checks is not None:
        checks[0].add_arguments(child)


def _run(checks: "Sequence[Check]", arguments: argparse.Namespace) -> int:
    from kickoff.checks import runner

    found: list[Evidence] = []
    with contextlib.redirect_stdout(sys.stderr) if output.is_json() else contextlib.nullcontext():
        code = runner.run(checks, arguments, found.append)
    output.result({"checks": [asdict(one) for one in found]})
    return code


def _missing(name: str, _arguments: argparse.Namespace) -> int:
    raise KickoffError(
        f"the libraries of `kickoff {name}` are not installed",
        hint="install kickoff with its extra `performance`, or run it from a checkout",
    )


def _trend(verbs: Verbs) -> None:
    child = _verb(verbs, "trend", "trend --evidence .kickoff/runs --env staging", codes=(0, 1, 2, 3))
    child.add_argument(
        "--evidence",
        nargs="+",
        type=Path,
        default=[Path(".kickoff/runs")],
        metavar="DIR",
        help="folders with the evidence of releases, searched in depth (default: .kickoff/runs)",
    )
    child.add_argument("--env", default="", metavar="NAME", help="this environment alone")
    child.add_argument(
        "--output", type=Path, default=Path(".kickoff/trend"), metavar="DIR", help="default: .kickoff/trend"
    )


def _probe(verbs: Verbs) -> None:
    child = _verb(verbs, "probe", "probe --url http://127.0.0.1:8000 --watch 30", codes=(0, 1, 2, 3, 4))
    child.add_argument("--url", required=True, help="address of the service, e.g. http://127.0.0.1:8000")
    child.add_argument(
        "--expect-release", default="", metavar="ID", help="the release that must answer (default: any)"
    )
    child.add_argument(
        "--wait", type=positive, default=30.0, metavar="SECONDS", help="how long to wait (default: 30)"
    )
    child.add_argument("--watch", type=positive, metavar="SECONDS", help="then probe for that long")
    child.add_argument(
        "--rate", type=positive, default=20.0, metavar="N", help="probes a second (default: 20)"
    )


def _report(verbs: Verbs) -> None:
    child = _verb(
        verbs, "report", "report", "report --evidence .kickoff/runs/7/evidence", codes=tuple(range(7))
    )
    child.add_argument(
        "--evidence",
        type=path,
        metavar="DIR",
        help="folder with the evidence (default: $KICKOFF_EVIDENCE_DIR)",
    )
    child.add_argument(
        "--output",
        type=path,
        metavar="DIR",
        help="folder that receives the three files (default: $KICKOFF_REPORT_DIR, else beside the evidence)",
    )
    child.add_argument(
        "--index",
        action="store_true",
        help="write index.html, the page of all kept runs (in .kickoff/runs)",
    )
    child.add_argument("--lang", default="", help="language of its words: en, zh_CN (default: by locale)")
    child.add_argument(
        "--jobs", default="", metavar="JSON", help="how the jobs ended: GitHub's `needs` as JSON"
    )
    child.add_argument(
        "--planned",
        type=path,
        metavar="FILE",
        help="the plan with the results of the jobs (default: plan.json beside the evidence)",
    )
    child.add_argument(
        "--summary", type=path, metavar="FILE", help="file the summary is appended to ($GITHUB_STEP_SUMMARY)"
    )


def _verb(verbs: Verbs, name: str, *examples: str, codes: tuple[int, ...]) -> Parser:
    return add_verb(verbs, name, VERBS[name].text, _body(name), examples=examples, codes=codes, env="")


def _body(name: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        body: Run = importlib.import_module(f"kickoff.cli.run.{name}").run
        return body(arguments)

    return run
