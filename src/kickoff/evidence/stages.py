"""The catalogue of stages: every name that evidence may have, in the order of a release."""

from collections.abc import Iterable
from dataclasses import dataclass

CHECK = "check-"
"""Begins the stage of a check that the service describes itself (``checks:`` of its description)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: Name of the stage and of its file.
        title: What people read.
        before: Whether it comes before anything is deployed, so that trying again means the whole run.
        deploys: Whether its evidence means that something was done to an environment.
        required: Whether ``promote`` can demand it as a check of the candidate.
    """

    name: str
    title: str
    before: bool = False
    deploys: bool = False
    required: bool = False


STAGES = (
    Stage("preflight", "look ahead", before=True),
    Stage("planning", "plan", before=True),
    Stage("validate", "environment file", before=True),
    Stage("drift", "environment drift"),
    Stage("promotion", "proof look-up", before=True),
    Stage("quality-gate", "quality gate", before=True),
    Stage("dependency-audit", "dependency audit", before=True),
    Stage("secret-scan", "secret scan", before=True),
    Stage("build", "build", before=True),
    Stage("same-artefact", "comparison with the proof", before=True),
    Stage("prepare", "preparation of the host", before=True),
    Stage("stage", "candidate start", deploys=True),
    Stage("smoke-candidate", "smoke test of the candidate", required=True),
    Stage("functional-candidate", "functional test of the candidate", required=True),
    Stage("perf-baseline", "performance of the candidate", required=True),
    Stage("promote", "promotion", deploys=True),
    Stage("smoke-live", "smoke test of the live release", deploys=True),
    Stage("watch", "watch", deploys=True),
    Stage("abort", "abort", deploys=True),
    Stage("rollback", "rollback", deploys=True),
    Stage("start", "start"),
    Stage("resume", "resumption"),
)

_BY_NAME = {stage.name: stage for stage in STAGES}
DEPLOYING = frozenset(stage.name for stage in STAGES if stage.deploys)
BEFORE_A_DEPLOYMENT = frozenset(stage.name for stage in STAGES if stage.before)
DEFAULT_CHECKS = ("smoke-candidate", "perf-baseline")
"""The checks before a promotion when no service description names others."""


def stage(name: str) -> Stage:
    """Return the catalogue's entry of a stage; a check of the service's own has one made from its name.

    Raises:
        KeyError: There is no such stage.
    """
    if name.startswith(CHECK):
        return Stage(name, name.removeprefix(CHECK).replace("-", " "), required=True)
    return _BY_NAME[name]


def proving(required_checks: Iterable[str], *, promoted_before: bool = False) -> tuple[str, ...]:
    """Return the stages whose passing evidence proves a release, in order.

    Args:
        required_checks: The checks that the environment demands of a candidate.
        promoted_before: Whether the release was live already: its checks passed then, and only its health
            is news.
    """
    checks = tuple(required_checks)
    if promoted_before:
        return ("stage", "smoke-live")
    return ("stage", *checks, "promote", "smoke-live")
