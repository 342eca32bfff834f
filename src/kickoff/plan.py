"""The plan of a run: what an event deploys, and where. Pure; every job of ``cd.yml`` follows it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kickoff import environments
from kickoff.environments import BRANCH, TAG, DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic

FILE = "plan.json"
PROVED = "proved"
"""Given for a release, it stands for what the environment before proved last."""

_UNPLANNED = {"deployments": [], "reason": "the workflow makes no plan: its evidence says what was deployed"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
COMMENT = "issue_comment"
"""Event of a command; what it deploys, its workflow has decided."""
REASONS = ("unproven-reason", "freeze-reason", "perf-allow-once")
"""Inputs by which a person gives one release leave for something, each with its reason."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision for one event.

    Attributes:
        deployments: Environments that get this commit, in order; empty for checks only.
        event: Name of the event.
        ref: Full ref of the event.
        commit: The commit that is shipped, as 40 hex digits.
        reason: Why, in one sentence.
        unproven_reason: Why a commit that was never proved may go on all the same; recorded.
        freeze_reason: Why it is shipped in spite of a freeze; recorded.
        perf_allow_once: By how much it may be slower than live, and why; recorded.
        after: The environment that must have proved the commit before it is shipped; empty for none.
    """

    deployments: tuple[str, ...]
    event: str
    ref: str
    commit: str
    reason: str
    unproven_reason: str = ""
    after: str = ""
    freeze_reason: str = ""
    perf_allow_once: str = ""

    @property
    def jobs(self) -> tuple[str, ...]:
        """Names of the jobs of ``cd.yml`` that run when nothing fails."""
        checks = ("pre-deployment-checks", "quality-gate")
        if not self.deployments:
            return (*checks, "deployment-summary")
        deploys = tuple(f"deploy-{name}" for name in self.deployments)
        return (*checks, "build-and-push", *deploys, "post-deployment", "deployment-summary")

    def to_document(self, service: str) -> dict[str, Any]:
        """Return the JSON form that the report reads; how each job ended is entered later."""
        return {
            "deployments": list(self.deployments),
            "event": self.event,
            "ref": self.ref,
            "commit": self.commit,
            "service": service,
            "reason": self.reason,
            "unproven_reason": self.unproven_reason,
            "jobs": {},
        }

    def write(self, directory: Path, service: str) -> dict[str, Any]:
        """Write ``directory/plan.json``, for the report; return the document."""
        document = self.to_document(service)
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(directory / FILE, json.dumps(document, indent=1) + "\n")
        return document


def wanted_revision(inputs: Mapping[str, str]) -> str:
    """Return the tag or commit a dispatch asks for; empty for the head of the ref.

    A release id (``4f2c1ab-0a1b2c3d``) stands for the commit it begins with; :data:`PROVED` is no revision
    and is returned as it is.

    Raises:
        KickoffError: The input is no tag, commit or release id.
    """
    release = inputs.get("release", "").strip()
    if not release:
        return ""
    identifier = re.fullmatch(r"([0-9a-f]{7})-[0-9a-f]{8}", release)
    if identifier:
        return identifier[1]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}", release) or ".." in release:
        raise KickoffError(
            f"release {release!r} is no tag, commit or release id",
            hint="give a tag (v1.4.0), a commit, or an id from `kickoff history --env NAME`",
        )
    return release


def decide(
    *,
    event: str,
    ref: str,
    inputs: Mapping[str, str],
    declared: Sequence[DeclaredEnvironment],
    default_branch: str,
    commit: str,
) -> Plan:
    """Decide what an event deploys.

    Args:
        event: Name of the event.
        ref: Full ref the event happened on.
        inputs: Inputs of a ``workflow_dispatch``, or those with which a comment's workflow calls this one;
            ignored for every other event.
        declared: The environments of the service.
        default_branch: Name of the repository's default branch.
        commit: The commit to ship, as 40 hex digits.

    Raises:
        KickoffError: A dispatch names an unknown environment, or a reason with control characters; or a push
            to the default branch would reach two environments.
    """
    if event == "workflow_dispatch" or (event == COMMENT and inputs):
        chosen = environments.require(declared, inputs.get("environment", ""))
        given = {name: inputs.get(name, "").strip() for name in REASONS}
        for name, text in given.items():
            if _CONTROL.search(text):
                raise KickoffError(f"{name} must be one line of text", hint="leave out line breaks")
        unproven, into_freeze, cost = given.values()
        reason = f"a person asked for {chosen.name}"
        return Plan((chosen.name,), event, ref, commit, reason, unproven, chosen.after, into_freeze, cost)
    where = ref.removeprefix(BRANCH).removeprefix(TAG)
    if event == "push":
        for one in environments.resolve(declared, default_branch):
            if one.takes(ref):
                what = f"the tag {where}" if ref.startswith(TAG) else f"every push to {where}"
                return Plan((one.name,), event, ref, commit, f"{what} goes to {one.name}", after=one.after)
    return Plan(
        (), event, ref, commit, f"{event or 'no event'} on {where or 'no ref'} deploys nothing: checks only"
    )


def without(decision: Plan, reason: str) -> Plan:
    """Return the plan that deploys nothing of what ``decision`` would, for this reason."""
    return replace(decision, deployments=(), reason=reason, after="")


def record_results(
    directory: Path, jobs: Mapping[str, Any], interrupted: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Enter how each job ended into ``directory/plan.json`` and return the document.

    Where the workflow makes no plan, the file begins here, and the evidence alone says what was deployed.

    Args:
        directory: The folder with the evidence.
        jobs: GitHub's ``needs``: job name to ``{"result": ..., "outputs": ...}``.
        interrupted: Who stopped the run (``by``), when (``at``, ISO 8601), ``during`` what; empty for nobody.

    Raises:
        KickoffError: ``needs`` has another shape, or a job made a plan that is not in the folder.
    """
    path = directory / FILE
    results = {name: job.get("result") if isinstance(job, dict) else None for name, job in jobs.items()}
    broken = sorted(name for name, result in results.items() if not isinstance(result, str))
    if broken:
        raise KickoffError(f"no result for {', '.join(broken)}", hint="pass toJSON(needs) as it is")
    document: dict[str, Any] = dict(_UNPLANNED)
    if path.is_file():
        document = json.loads(path.read_text(encoding="utf-8"))
    elif planner := next((name for name, job in jobs.items() if _planned(job)), ""):
        raise KickoffError(
            f"the plan that {planner} made is missing", at=str(path), hint="fetch that job's evidence first"
        )
    document["jobs"] = results
    if interrupted:
        document["interrupted"] = dict(interrupted)
    directory.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(document, indent=1) + "\n")
    return document


def _planned(job: Mapping[str, Any]) -> bool:
    outputs = job.get("outputs")
    return isinstance(outputs, dict) and bool(outputs.get("deployments"))
