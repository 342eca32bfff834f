"""The local target: Traefik and the two colours as supervised processes on this machine."""

from typing import Final

from kickoff.artifact.artifact_type import Kind
from kickoff.environment import Environment
from kickoff.release.targets import Place, Target, TargetKind


def _target(place: Place, environment: Environment) -> Target:
    from kickoff.release.targets.local.target import LocalTarget  # noqa: PLC0415 - most who ask do not open

    return LocalTarget(place.state, environment)


KIND: Final = TargetKind(
    artifact=Kind.BUNDLE, runs_on="processes on the host itself, without Docker", target=_target
)
