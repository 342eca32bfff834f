"""Decide what this event deploys; the plan is part of the evidence."""

import argparse
import json
from pathlib import Path

from kickoff import environments, github, plan, service
from kickoff.artifact import source
from kickoff.cli import output
from kickoff.environment import schema
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic


def plan_event(arguments: argparse.Namespace) -> int:
    """Write ``plan.json`` and the step outputs."""
    root, evidence = Path.cwd(), output.evidence_folder()
    context, described = github.context(), service.load(root)
    environments.require_files(described.environments, root, schema.FOLDER)
    inputs = dict(context.inputs) | dict(_pair(text) for text in arguments.input)
    revision = plan.wanted_revision(inputs) or context.sha or "HEAD"
    decision = plan.decide(
        event=arguments.event or context.event,
        ref=arguments.ref or context.ref,
        inputs=inputs,
        declared=described.environments,
        default_branch=context.default_branch,
        commit=source.resolve(root, revision),
    )
    document = decision.to_document(described.name, {})
    evidence.mkdir(parents=True, exist_ok=True)
    write_atomic(evidence / plan.FILE, json.dumps(document, indent=1) + "\n")
    github.set_output("deployments", list(decision.deployments))
    github.set_output("commit", decision.commit)
    github.set_output("needs-proof", bool(decision.after))
    github.set_output("reason", decision.reason)
    github.set_output("unproven-reason", decision.unproven_reason)
    where = ", ".join(decision.deployments) or "nowhere"
    output.result(document, f"{decision.commit[:7]} → {where}: {decision.reason}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise KickoffError(f"--input {text!r} has no value", hint="write NAME=VALUE")
    return name, value
