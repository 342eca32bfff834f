"""The compose target: Traefik and the two colours as containers of a stack on this host's Docker engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kickoff import stack
from kickoff.artifact.artifact_type import Kind
from kickoff.environment import Environment
from kickoff.paths import public_port
from kickoff.release.targets import HostNeeds, Place, Target, TargetKind, own_port
from kickoff.stack.compose import compose_files

_PORT = "PUBLIC_PORT"


def _target(place: Place, environment: Environment) -> Target:
    # Docker's library doubles the time a command takes to start.
    from kickoff.release.targets.compose.target import ComposeTarget  # noqa: PLC0415

    folder, routes = place.state / "stack", place.state / "traefik" / "dynamic"
    return ComposeTarget(
        place.state, environment, stack.Stack(place.project, place.environment, folder, routes)
    )


def _make_ready(place: Place, create: bool) -> None:
    if create:
        stack.prepare(place.environment, place.project)
    stack.open_stack(place.environment, place.project)


def _host_needs(
    project: Path, environment: str, values: Mapping[str, str], environ: Mapping[str, str]
) -> HostNeeds:
    compose, *_ = stack.source_files(project, environment)
    declared = stack.read(project, environment)
    given = {**values, **environ}
    own = own_port(project, environment, values, environ).ports
    ports = [
        port
        for variable, default in declared.ports or [(_PORT, 0)]
        for port in (own if variable == _PORT else [public_port(default, environ, variable)])
        if port
    ]
    return HostNeeds(
        ports=ports,
        names=[given[variable].partition(":")[0] for variable in declared.names if given.get(variable)],
        unset={name: "a public name" for name in declared.names if not given.get(name)},
        docker=True,
        networks=declared.networks,
        proxy=f"{stack.project_of(project / compose, environment)}/traefik",
    )


KIND: Final = TargetKind(
    artifact=Kind.IMAGE,
    runs_on="a Docker engine",
    target=_target,
    make_ready=_make_ready,
    described_by=compose_files,
    variables=stack.variables,
    host_needs=_host_needs,
    has_stack=True,
)
