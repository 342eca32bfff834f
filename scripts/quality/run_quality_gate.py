#!/usr/bin/env python3
"""Run the quality gate of configs/service.yml on a commit and write its evidence."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import os
import tempfile
from collections.abc import Callable

from kickoff import foreign, github, quality, service
from kickoff.artifact import source
from kickoff.errors import ExitCode, KickoffError, run
from kickoff.evidence import now


def main() -> int:
    """Run every command, print one line for each, and end with the verdict's exit code."""
    arguments = _parser().parse_args()
    root = Path.cwd()
    described = service.load(root)
    if not described.quality_gate:
        raise KickoffError(
            "the quality gate is empty, and an empty gate proves nothing",
            code=ExitCode.INCONCLUSIVE,
            at=str(service.CONFIG),
            hint="name at least one command under `quality_gate:`",
        )
    commit = source.resolve(root, arguments.commit or "HEAD")
    environ = foreign.environment()
    if arguments.requirements:
        folder = quality.tools(root / arguments.requirements, quality.cache_folder(os.environ))
        environ["PATH"] = f"{folder}{os.pathsep}{environ.get('PATH', '')}"
    evidence = Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence")
    with tempfile.TemporaryDirectory(prefix="kickoff-gate-") as folder_name:
        # The files of the commit, which are what ships: those checked out may be filtered or changed.
        where = Path(folder_name) / "tree"
        source.checkout(root, commit, where)
        started = now()
        outcomes = quality.gate(
            described.quality_gate,
            root=where,
            logs=evidence / "logs",
            environ=environ,
            show=sys.stdout.write,
            around=_around,
        )
    document = quality.evidence(outcomes, service=described.name, commit=commit, started=started)
    document.write(evidence)
    for outcome in outcomes:
        sign, rule = ("✓" if outcome.passed else "✗"), outcome.result()
        print(f"{sign} {rule.rule:<12} {outcome.seconds:6.1f} s  {rule.reason}".rstrip())
    if document.verdict.exit_code != ExitCode.PASS:
        github.annotate("error", document.summary, str(service.CONFIG), title="Quality gate")
    github.set_output("verdict", document.verdict.value)
    return document.verdict.exit_code


def _around(command: service.Command, call: Callable[[], quality.Outcome]) -> quality.Outcome:
    with github.group(f"{command.name}: {' '.join(command.run)}"):
        return call()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", help="the commit to check (default: the one checked out)")
    parser.add_argument(
        "--requirements",
        help="hash-locked file with the tools of the commands (default: what is on PATH)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
