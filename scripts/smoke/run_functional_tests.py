#!/usr/bin/env python3
"""Run the service's interface tests against the staged candidate, and record the verdict in its attempt."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import os
import tempfile

from kickoff import evidence, foreign, github, quality
from kickoff.artifact import source
from kickoff.checks import functional
from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, Verdict
from kickoff.host import handover
from kickoff.release.session import Session, open_session
from kickoff.service import Command


def main() -> int:
    """Run the tests, leave the evidence and return the exit code."""
    arguments = _parser().parse_args()
    session = open_session(arguments.env, Path.cwd())
    release = session.expected_release("candidate")
    document = Evidence(
        stage=functional.STAGE,
        environment=arguments.env,
        verdict=Verdict.NOT_APPLICABLE,
        summary="configs/service.yml names no functional test",
        started=evidence.now(),
        service=session.service.name,
        release=release,
        attempt=arguments.attempt,
    )
    command = session.service.functional
    if command is not None:
        _test(arguments, session, command, document)
    document.finished = evidence.now()
    path = document.write(_evidence())
    print(f"{document.verdict}: {document.summary}\n  evidence  {path}", file=sys.stderr)
    github.set_output("verdict", document.verdict.value)
    if document.verdict.exit_code != ExitCode.PASS:
        github.annotate("error", document.summary, title="Functional test")
    session.record_check(arguments.attempt, document)
    return document.verdict.exit_code


def _test(arguments: argparse.Namespace, session: Session, command: Command, document: Evidence) -> None:
    root = Path.cwd()
    environ = foreign.environment() | {key: session.environment.text(key) for key in command.environment}
    if arguments.requirements:
        folder = quality.tools(root / arguments.requirements, quality.cache_folder(os.environ))
        environ["PATH"] = f"{folder}{os.pathsep}{environ.get('PATH', '')}"
    commit = source.resolve(root, arguments.commit or "HEAD")
    with (
        tempfile.TemporaryDirectory(prefix="kickoff-functional-") as name,
        session.reach("candidate") as found,
    ):
        # The files of the commit, which are what ships: those checked out may be filtered or changed.
        where = Path(name) / "tree"
        source.checkout(root, commit, where)
        outcome = functional.run(
            command,
            url=found.url,
            release=document.release,
            headers={**found.headers, **session.check_headers()},
            root=where,
            logs=_evidence() / "logs",
            environ=environ,
            show=sys.stdout.write,
        )
    rule = functional.rule(outcome)
    document.rules.append(rule)
    document.verdict = rule.verdict
    document.summary = f"{rule.rule}: {rule.measured}"
    document.inputs = {"commit": commit, "command": list(outcome.command.run)}
    document.facts = {"seconds": round(outcome.seconds, 2)}
    if not outcome.passed:
        document.log_tail = outcome.tail()


def _evidence() -> Path:
    return Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", required=True, metavar="NAME", help="environment to test")
    parser.add_argument("--attempt", required=True, metavar="ID", help="the attempt that gets the verdict")
    parser.add_argument("--commit", help="the commit whose tests run (default: the one checked out)")
    parser.add_argument(
        "--requirements", help="hash-locked file with the tools of the tests (default: what is on PATH)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(handover.run(main))
