"""Decide what this event deploys; the plan is part of the evidence."""

import argparse
import json
from pathlib import Path

from kickoff import environments, freeze, git, github, locks, plan, service
from kickoff.artifact import source
from kickoff.cli import output
from kickoff.cli.run import proved
from kickoff.environment import schema
from kickoff.environments import BRANCH
from kickoff.errors import KickoffError
from kickoff.performance import allowance
from kickoff.plan import Plan
from kickoff.project import neighbours
from kickoff.service import Service


def plan_event(arguments: argparse.Namespace) -> int:
    """Write ``plan.json`` and the step outputs."""
    root, evidence = Path.cwd(), output.evidence_folder()
    context, described = github.context(), service.load(root)
    neighbours.require_own_name(root, described.name)
    environments.require_files(described.environments, root, schema.FOLDER)
    inputs = dict(context.inputs) | _given(arguments.inputs) | dict(_pair(text) for text in arguments.input)
    wanted = proved.revision(root, described, inputs.get("environment", ""), plan.wanted_revision(inputs))
    revision = wanted or context.sha or "HEAD"
    decision = plan.decide(
        event=arguments.event or context.event,
        ref=arguments.ref or context.ref,
        inputs=inputs,
        declared=described.environments,
        default_branch=context.default_branch,
        commit=source.resolve(root, revision),
    )
    allowance.parse(decision.perf_allow_once)
    for name in decision.deployments:
        freeze.require_open(name, described.declared(name).freezes, decision.freeze_reason)
        if environments.take_comments(described.environments):
            locks.require_free(name)
    nothing_new = _nothing_new(root, described, decision, context.before)
    decision = plan.without(decision, nothing_new) if nothing_new else decision
    document = decision.write(evidence, described.name)
    github.set_output("deployments", list(decision.deployments))
    github.set_output("commit", decision.commit)
    github.set_output("needs-proof", bool(decision.after))
    github.set_output("reason", decision.reason)
    github.set_output("unproven-reason", decision.unproven_reason)
    github.set_output("freeze-reason", decision.freeze_reason)
    github.set_output("perf-allow-once", decision.perf_allow_once)
    where = ", ".join(decision.deployments) or "nowhere"
    output.result(document, f"{decision.commit[:7]} → {where}: {decision.reason}")
    return 0


def _nothing_new(root: Path, described: Service, decision: Plan, before: str) -> str:
    """Return why a push to a branch brings nothing to a project in a folder; empty when it may.

    It is compared with the live release, where that is on this machine, and with what the branch was at
    before: a push of others' work must not bring back what somebody has rolled back.
    """
    below = git.below_top(root)
    if not below or not decision.deployments or not decision.ref.startswith(BRANCH):
        return ""
    if decision.event != "push":  # a person asked
        return ""
    live = _live(root, described.name, decision.deployments[0])
    if live and decision.commit.startswith(live.partition("-")[0]):
        return f"nothing changed in {below} since the live release {live}"
    if not before or not git.commit_of(root, before) or not source.holds(root, before, ""):
        return ""
    same = source.resolve(root, before) == decision.commit
    return f"nothing changed in {below} since {before[:7]}, where the branch was before" if same else ""


def _live(root: Path, service: str, environment: str) -> str:
    """Return the live release of an environment whose state is on this machine; empty for any other."""
    store = proved.recorded_here(root, service, environment)
    if store is None:
        return ""
    state = store.state()
    return state.release_of(state.live)


def _given(text: str) -> dict[str, str]:
    """Return the inputs that a workflow was called with; an event of its own says none.

    Raises:
        KickoffError: They are not JSON as ``toJSON(inputs)`` writes it (exit 2).
    """
    try:
        document = json.loads(text or "null") or {}
        return {str(name): str(value) for name, value in document.items() if value is not None}
    except (ValueError, AttributeError):
        raise KickoffError("--inputs holds no inputs", hint="pass toJSON(inputs) as it is") from None


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise KickoffError(f"--input {text!r} has no value", hint="write NAME=VALUE")
    return name, value
