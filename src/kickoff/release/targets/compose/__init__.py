"""The compose target: Traefik and the two colours as containers of a stack on this host's Docker engine."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from kickoff import stack
from kickoff.artifact.kind import Kind
from kickoff.environment import Environment
from kickoff.paths import public_port
from kickoff.release.targets import HostNeeds, Place, Target, TargetKind, own_port
from kickoff.stack.compose import compose_files


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
    file = stack.file_of(environment)
    # Without its file there is no stack; the first command that needs it says so.
    proxy = f"{stack.Compose(project, file, []).project}/traefik" if (project / file).is_file() else ""
    container = HostNeeds(docker=True, network=stack.NETWORK, proxy=proxy)
    if environment != "production":
        return replace(container, ports=own_port(project, environment, values, environ).ports)
    # The stack whose proxy speaks TLS, under a name of its own.
    ports = [public_port(80, environ, "HTTP_PORT"), public_port(443, environ, "HTTPS_PORT")]
    host = environ.get("PUBLIC_HOST", "")
    unset = {} if host else {"PUBLIC_HOST": "the certificate's name"}
    return replace(container, ports=ports, names=[host] if host else [], unset=unset)


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
