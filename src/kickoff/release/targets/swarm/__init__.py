"""The swarm target: Traefik and the two colours as services of a Docker Swarm of several hosts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kickoff import stack
from kickoff.artifact.artifact_type import Kind
from kickoff.environment import Environment
from kickoff.errors import KickoffError
from kickoff.release import routers
from kickoff.release.stores import MEMBERS
from kickoff.release.targets import HostNeeds, Place, Target, TargetKind, own_port
from kickoff.stack.compose import compose_files


def _target(place: Place, environment: Environment) -> Target:
    # Docker's library doubles the time a command takes to start.
    from kickoff.release.targets.swarm.target import SwarmTarget  # noqa: PLC0415

    folder, routes = place.state / "stack", place.state / "traefik" / "dynamic"
    return SwarmTarget(
        place.state, environment, stack.Stack(place.project, place.environment, folder, routes)
    )


def _make_ready(place: Place, create: bool) -> None:
    if routers.kind_of(place.state) != "traefik-etcd":
        raise KickoffError(
            f"{place.environment} runs on several hosts, and its state and its route are kept on one",
            at=str(place.state / MEMBERS),
            hint='write that file, with "edges": [] in it; docs/how-to/swarm.md says how',
        )
    if create:
        stack.prepare(place.environment, place.project)
    stack.open_stack(place.environment, place.project)


def _host_needs(
    project: Path, environment: str, values: Mapping[str, str], environ: Mapping[str, str]
) -> HostNeeds:
    name = stack.project_of(project / stack.source_of(project, environment), environment)
    return HostNeeds(
        ports=own_port(project, environment, values, environ).ports,
        docker=True,
        swarm=True,
        proxy=f"{name}_traefik",
    )


KIND: Final = TargetKind(
    artifact=Kind.IMAGE,
    runs_on="a Docker Swarm",
    target=_target,
    make_ready=_make_ready,
    described_by=compose_files,
    variables=stack.variables,
    host_needs=_host_needs,
)
