"""Targets: what a release can run on. One protocol, and a registry that ``DEPLOY_TARGET`` chooses from.

A new target is a module with a :class:`TargetKind` named ``KIND``, and its line in :data:`TARGETS`.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from kickoff.environment.loader import setting
from kickoff.errors import KickoffError
from kickoff.paths import public_port
from kickoff.service import described_in

# The registry is read by whoever checks an environment, who needs none of these.
if TYPE_CHECKING:
    from kickoff.artifact.artifact_type import Kind
    from kickoff.environment import Environment
    from kickoff.release.model import Colour, Slot

KEY: Final = "DEPLOY_TARGET"
TARGETS: Final[Mapping[str, str]] = {
    "local": "kickoff.release.targets.local",
    "compose": "kickoff.release.targets.compose",
    "swarm": "kickoff.release.targets.swarm",
}
"""Values of ``DEPLOY_TARGET``, and the module of each; it is imported when it is asked for."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address the checks can reach, with the headers that select the colour behind it."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The state of what runs in a colour; of several instances, their sum.

    Attributes:
        running: Whether it is up now.
        pid: Its process id, 0 when down; another one after each restart.
        detail: The state in the words of who supervises it.
        memory_bytes: Resident memory with its children.
        cpu_seconds: Processor time used so far with its children.
        processors: How many processors it may use, where its use can be read.
    """

    running: bool
    pid: int
    detail: str
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    processors: float = 1.0


def worker_of(colour: Colour, name: str = "") -> str:
    """Return the process of a worker; without a name, what those of all workers of a colour begin with."""
    return f"{colour}-{name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """The configuration that what runs really has, in plain text.

    Attributes:
        places: Values by key, for each place on a value's way from the release's record to its process.
        added: Names of the variables that the target adds to every process, and no release records.
        proxy: Values that the proxy was given by the environment, and not the release.
    """

    places: Mapping[str, Mapping[str, str]]
    added: frozenset[str] = frozenset()
    proxy: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """A host, or several, on which two colours and a proxy run.

    Every method raises ``KickoffError`` with exit code 4 when what it has to ask does not answer.
    """

    @property
    def entry_points(self) -> tuple[str, ...]:
        """The proxy's entry points that users come in by."""

    @property
    def tls_port(self) -> int:
        """Port on this machine's loopback by which the proxy serves users over TLS; 0 when it does not."""

    def require_room(self) -> None:
        """Refuse while nothing is begun yet when the host has too little room for another release."""

    def prepare(self) -> None:
        """Bring the proxy up if it is not."""

    def find(self, directory: Path, digest: str) -> Path:
        """Return the verified artefact with ``digest`` (or the record of it) in ``directory``."""

    def unpack(self, artifact: Path, digest: str, folder: Path) -> Mapping[str, str | int]:
        """Put an artefact that was found into a release folder; return evidence fields on what was sent."""

    def install(self, release_folder: Path) -> None:
        """Make everything the release needs available before it starts."""

    def run_hook(self, release_folder: Path, command: tuple[str, ...], timeout: float) -> str:
        """Run a command of the service under the release's environment; return its output."""

    def start(self, colour: Colour, release_folder: Path, fence: int = 0) -> Slot:
        """Start the release in ``colour``, in place of what was there; return where it listens.

        Here and below ``fence`` is the fencing token of the run that asks, 0 for none. Where a run may have
        been overtaken while it asks, what was made under a higher token is not touched (exit 75).
        """

    def stop(self, colour: Colour, fence: int = 0) -> None:
        """Stop what runs in ``colour``, workers included; nothing to do is fine."""

    def start_workers(self, colour: Colour, release_folder: Path, fence: int = 0) -> None:
        """Start the workers that the release in ``colour`` describes, in place of those that it had."""

    def stop_workers(self, colour: Colour, fence: int = 0) -> None:
        """Stop the workers of ``colour`` and wait until they have ended; nothing to do is fine."""

    def workers(self, colour: Colour) -> Mapping[str, ProcessState]:
        """Return the state of each worker that was started in ``colour`` and not stopped since, by name."""

    def state(self, colour: Colour) -> ProcessState:
        """Return the state and the usage of what runs in ``colour``."""

    def lost_hosts(self, colour: Colour) -> tuple[str, ...]:
        """Return the hosts of instances of ``colour`` that do not answer now; none where this one is all."""

    def last_end(self, process: str) -> str:
        """Return how ``blue``, ``blue-<worker>`` … ended last, even if it runs again; empty if not known."""

    def slot(self, colour: Colour) -> Slot | None:
        """Return what ``colour`` holds, as the target knows it itself; ``None`` for nothing."""

    def applied(self, colour: Colour, release_folder: Path) -> Applied | None:
        """Return the configuration of what runs in ``colour``; ``None`` when it does not run."""

    def listening(self, colour: Colour) -> frozenset[int] | None:
        """Return the ports that what runs in ``colour`` listens on; ``None`` when that cannot be told."""

    def connections(self, colour: Colour, slot: Slot) -> int:
        """Return how many client connections the colour holds."""

    def logs(self, process: str, lines: int) -> list[str]:
        """Return the last lines of ``blue``, ``blue-<worker>``, ``traefik`` …; none of what never ran."""

    def reach(self, endpoint: str) -> AbstractContextManager[Endpoint]:
        """Yield an address for ``blue``, ``green`` or ``live``."""

    def proxies(self) -> tuple[str, ...]:
        """Return the address of API and metrics of each of its proxies."""

    def alerts(self) -> str:
        """Return the address of the Prometheus beside the release whose alerts judge it; empty for none."""

    def servers(self, colour: Colour, slot: Slot) -> tuple[str, ...]:
        """Return the addresses for the proxy: one for each instance of a slot."""

    def discard(self, release_folder: Path) -> None:
        """Remove what only this release needs outside its folder, before the folder goes."""

    def shut_down(self) -> None:
        """Stop both colours and the proxy; what holds data may go on."""


@dataclass(frozen=True, slots=True)
class Place:
    """The project, environment and state folder that a target is opened for.

    Attributes:
        project: The project's folder.
        environment: Name of the environment.
        state: State folder of the environment.
    """

    project: Path
    environment: str
    state: Path


@dataclass(frozen=True, slots=True)
class HostNeeds:
    """The needs of a target that a host is examined for, beside what every target needs of it.

    Attributes:
        ports: Public ports: free, or held by our own proxy.
        names: Public names: known on the host.
        unset: Variables that should name a public name and are not set, and what each is for.
        docker: Whether there has to be a Docker engine.
        swarm: Whether it has to be a manager of a Swarm, whose nodes are examined as well.
        networks: Docker networks that containers join and compose does not make.
        proxy: Who may hold the ports: a container, as ``project/service``, or a service of the Swarm; empty
            for nobody.
    """

    ports: Sequence[int] = ()
    names: Sequence[str] = ()
    unset: Mapping[str, str] = field(default_factory=dict)
    docker: bool = False
    swarm: bool = False
    networks: Sequence[str] = ()
    proxy: str = ""


def own_port(
    project: Path, environment: str, values: Mapping[str, str], environ: Mapping[str, str]
) -> HostNeeds:
    """Return the needs of a target whose proxy listens on ``PUBLIC_PORT`` and that needs nothing else."""
    del project, environment
    text = values.get("PUBLIC_PORT", "")
    port = public_port(int(text) if text.isdecimal() else 0, environ)
    return HostNeeds(ports=[port] if port else [])


def _nothing(_place: Place, _create: bool, /) -> None:
    """Require nothing of the host."""


def _none(_project: Path, _environment: str, /) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One value of ``DEPLOY_TARGET``: what is known of such a target without opening one.

    Attributes:
        artifact: The artefact that it takes.
        runs_on: What a release runs on, in words.
        target: Opens the target of an environment; asks nothing and changes nothing.
        make_ready: Refuses a host that lacks what must be there before the environment's secrets are looked
            up; makes it when the second argument is true.
        described_by: Files of the project, relative to it, that say how its releases are run. A change of
            one makes another release.
        variables: Variables of the caller that the host of an environment is given as well.
        host_needs: What a host is examined for: project, environment, its values, the process environment.
        has_stack: Whether containers stand around the colours, which ``stack`` plans and applies.
    """

    artifact: Kind
    runs_on: str
    target: Callable[[Place, Environment], Target]
    make_ready: Callable[[Place, bool], None] = _nothing
    described_by: Callable[[Path, str], Sequence[Path]] = _none
    variables: Callable[[Path, str], Collection[str]] = _none
    host_needs: Callable[[Path, str, Mapping[str, str], Mapping[str, str]], HostNeeds] = own_port
    has_stack: bool = False


def kind_of(name: str, at: str = "") -> TargetKind:
    """Return the kind of target that ``DEPLOY_TARGET=name`` means.

    Args:
        name: The value.
        at: Where it stands, for the message.

    Raises:
        KickoffError: There is no such target (exit 2).
    """
    module = TARGETS.get(name)
    if module is None:
        raise KickoffError(
            f"{KEY} is {name!r}, which is not a target", at=at, hint=f"choose one of {', '.join(TARGETS)}"
        )
    kind: TargetKind = importlib.import_module(module).KIND
    return kind


def chosen(root: Path, environment: str, environ: Mapping[str, str] = os.environ) -> TargetKind:
    """Return the kind of target of an environment; secrets are neither needed nor read.

    Raises:
        KickoffError: There is no such environment, or its file names no target (exit 2).
    """
    return kind_of(setting(environment, KEY, root, environ), f"configs/environments/{environment}.env")


def description_hash(root: Path, environment: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the hash of what an environment's releases are run by: one of the four facts.

    Raises:
        KickoffError: There is no such environment, its file names no target, or a file is missing (exit 2).
    """
    name = setting(environment, KEY, root, environ)
    digest = hashlib.sha256((root / described_in(root)).read_bytes() + name.encode())
    for path in kind_of(name).described_by(root, environment):
        digest.update((root / path).read_bytes())
    return digest.hexdigest()


def artifact_for(root: Path, environments: Sequence[str]) -> Kind:
    """Return the one kind of artefact that all the environments take; a bundle for none at all.

    Raises:
        KickoffError: A target is unknown, or two environments take different kinds (exit 2).
    """
    from kickoff.artifact.artifact_type import Kind  # noqa: PLC0415

    kinds = {chosen(root, environment).artifact for environment in environments}
    if len(kinds) > 1:
        raise KickoffError(
            f"{' and '.join(sorted(environments))} take different artefacts: {KEY} differs",
            hint="deploy to one of them at a time",
        )
    return kinds.pop() if kinds else Kind.BUNDLE
