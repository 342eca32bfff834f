#!/usr/bin/env python3
"""Decide what this event deploys, or enter how its jobs ended; the plan is part of the evidence."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import json
import os

from kickoff import github, plan, service
from kickoff.artifact import source
from kickoff.errors import KickoffError, run
from kickoff.evidence import write_atomic


def main() -> int:
    """Run the command the arguments name."""
    arguments = _parser().parse_args()
    evidence = Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence")
    return _decide(arguments, evidence) if arguments.command == "decide" else _results(arguments, evidence)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    decide = commands.add_parser("decide", help="write plan.json and the step outputs")
    decide.add_argument("--event", help="event name (default: GITHUB_EVENT_NAME)")
    decide.add_argument("--ref", help="full ref (default: GITHUB_REF)")
    decide.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="dispatch input")
    results = commands.add_parser("results", help="enter how each job ended")
    results.add_argument("--jobs", required=True, help="GitHub's `needs` as JSON")
    return parser


def _decide(arguments: argparse.Namespace, evidence: Path) -> int:
    root = Path.cwd()
    context = github.context()
    inputs = dict(context.inputs) | dict(_pair(text) for text in arguments.input)
    revision = plan.wanted_revision(inputs) or context.sha or "HEAD"
    decision = plan.decide(
        event=arguments.event or context.event,
        ref=arguments.ref or context.ref,
        inputs=inputs,
        default_branch=context.default_branch,
        commit=source.resolve(root, revision),
    )
    document = decision.to_document(service.load(root).name, {})
    evidence.mkdir(parents=True, exist_ok=True)
    write_atomic(evidence / plan.FILE, json.dumps(document, indent=1) + "\n")
    github.set_output("deployments", list(decision.deployments))
    github.set_output("commit", decision.commit)
    github.set_output("needs-proof", decision.needs_proof)
    github.set_output("reason", decision.reason)
    github.set_output("unproven-reason", decision.unproven_reason)
    where = ", ".join(decision.deployments) or "nowhere"
    print(f"{decision.commit[:7]} → {where}: {decision.reason}")
    return 0


def _results(arguments: argparse.Namespace, evidence: Path) -> int:
    try:
        jobs = json.loads(arguments.jobs)
    except ValueError as error:
        raise KickoffError(f"--jobs is not JSON: {error}", hint="pass toJSON(needs) as it is") from None
    if not isinstance(jobs, dict):
        raise KickoffError("--jobs is not a JSON object", hint="pass toJSON(needs) as it is")
    plan.record_results(evidence, jobs)
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise KickoffError(f"--input {text!r} has no value", hint="write NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(run(main))
