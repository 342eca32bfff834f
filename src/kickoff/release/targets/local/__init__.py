"""The local target: Traefik and the two colours as supervised processes on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kickoff.artifact.artifact_type import Kind
from kickoff.environment import Environment
from kickoff.paths import state_root
from kickoff.release.folder import read_object
from kickoff.release.targets import HostNeeds, Place, Target, TargetKind, own_port
from kickoff.service import name_of


def _target(place: Place, environment: Environment) -> Target:
    from kickoff.release.targets.local.target import LocalTarget  # noqa: PLC0415 - most who ask do not open

    return LocalTarget(place.state, environment)


def _host_needs(
    project: Path, environment: str, values: Mapping[str, str], environ: Mapping[str, str]
) -> HostNeeds:
    from kickoff.release.targets.ports import listener  # noqa: PLC0415 - most who ask do not look at ports

    folder = state_root(name_of(project), environment, environ)
    port = read_object(folder / "ports.json").get("public", 0)
    # A proxy that runs keeps its port until it is stopped, whatever the file says by now.
    running = listener(port) if port else None
    if running is not None and f"{folder}/" in running[1]:
        return HostNeeds(ports=[port])
    return own_port(project, environment, values, environ)


KIND: Final = TargetKind(
    artifact=Kind.BUNDLE,
    runs_on="processes on the host itself, without Docker",
    target=_target,
    host_needs=_host_needs,
)
