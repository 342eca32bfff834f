"""The compose target: Traefik and the two colours as containers of a stack on this host's Docker engine.

State, start, stop, logs and usage are asked of the engine's API. Only what a compose file means is left to
the compose command line: a container made by anything else would miss whatever that file comes to say.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker.errors
from docker.models.containers import Container

from kickoff.artifact import image as images
from kickoff.environment import Environment
from kickoff.errors import ExitCode, KickoffError
from kickoff.paths import public_port
from kickoff.release.folder import ENVIRONMENT, describe, environment_of, passed, read_object, workers_of
from kickoff.release.model import Colour, Slot
from kickoff.release.route import COLOUR_HEADER, PUBLIC
from kickoff.release.targets import Applied, Endpoint, ProcessState, worker_of
from kickoff.release.targets.compose import release_file, release_images
from kickoff.release.targets.compose.engine import (
    Engine,
    address_of,
    answering,
    established,
    listening,
    sockets_of,
)
from kickoff.release.targets.compose.services import ADDED, HOOKS, LISTENING, PORT, WORKER
from kickoff.release.targets.ports import require_silence
from kickoff.stack import ALERTS, Compose, Stack, file_of

ROOM = 1 << 30
"""Bytes a release may need: its image, unpacked, and its log."""
_PUBLIC, _ENCRYPTED, _LOCAL = "8080/tcp", "8443/tcp", "8083/tcp"
_CANDIDATE, _ADMIN = "8081/tcp", "8082/tcp"


class ComposeTarget:
    """Blue, green and Traefik in one compose project.

    Args:
        root: State folder of the environment.
        environment: Gives the public port, limits and grace times.
        stack: The stack that everything belongs to.
    """

    def __init__(self, root: Path, environment: Environment, stack: Stack) -> None:
        self.root = root
        self.environment = environment
        self.stack = stack
        self._engine = Engine()
        self._public = public_port(environment.integer("PUBLIC_PORT"))

    @property
    def entry_points(self) -> tuple[str, ...]:
        """Traefik's entry points for users; ``local`` is the one without TLS on this host's loopback."""
        return (PUBLIC, "local") if _LOCAL in self._traefik_ports() else (PUBLIC,)

    @property
    def tls_port(self) -> int:
        """The host's port of the entry point behind TLS; 0 where the stack publishes none."""
        return self._traefik_ports().get(_ENCRYPTED, 0)

    def require_room(self) -> None:
        """Refuse when the engine's disk has too little room for another image.

        Raises:
            KickoffError: Less than ``ROOM`` is free, or the engine does not answer (exit 4).
        """
        self._require_room(ROOM)

    def _require_room(self, needed: int) -> None:
        needed = max(needed, ROOM)
        for place in {self._engine.root(), self.root}:
            if place.is_dir() and (free := shutil.disk_usage(place).free) < needed:
                raise KickoffError(
                    f"{place} has {free >> 20} MiB free, and a release needs {needed >> 20} MiB",
                    code=ExitCode.UNREACHABLE,
                    at=str(place),
                    hint="`docker system df` shows what takes the room; `docker image prune` frees some",
                )

    def prepare(self) -> None:
        """Bring the stack up on a host that has none, and start what stopped; change nothing that runs.

        Raises:
            KickoffError: Something is missing for it, or it does not come up (exit 4).
        """
        if not self.stack.is_up:
            self.stack.apply((), lambda _: None)
        elif not self._running("traefik"):
            self.stack.revive()
        if not self._running("traefik"):
            raise KickoffError(
                "Traefik did not start", code=ExitCode.UNREACHABLE, causes=self.logs("traefik", 5)
            )

    def find(self, directory: Path, digest: str) -> Path:
        """Return the record of the image with ``digest``.

        Raises:
            KickoffError: It is missing or damaged, or the image that it tells of is, where that is beside it.
        """
        image = images.find(directory, digest)
        if not image.in_registry:
            release_images.require(image, directory)
        return directory / f"{digest.removeprefix('sha256:')}.image.json"

    def unpack(self, artifact: Path, digest: str, folder: Path) -> dict[str, str | int]:
        """Put the image's record into a release folder, with the compose file that it is started by.

        An image that no registry has is brought into the engine now, while there is somebody to give it.

        Raises:
            KickoffError: There is no room for it, or it does not arrive (exit 4).
        """
        image = images.find(artifact.parent, digest)
        sent: dict[str, str | int] = {}
        if not image.in_registry:
            # By environment: what one of them has no use for any more, another one on this engine may keep.
            image = replace(image, repository=f"{image.repository}/{self.environment.name}")
            sent = release_images.bring(self._engine, image, artifact.parent, self._require_room)
        release_images.record(image, folder)
        release_file.keep(folder, self.stack, self.environment, image.reference)
        return sent

    def install(self, release_folder: Path) -> None:
        """Pull the release's image by its digest, or find it here, and create the volumes it is new to.

        Raises:
            KickoffError: The registry does not give it, or it is not here any more (exit 4).
        """
        release_images.install(self._engine, release_folder)
        self.stack.make_volumes(release_file.described(release_folder, self.stack))

    def run_hook(self, release_folder: Path, command: tuple[str, ...], timeout: float) -> str:
        """Run a command of the service in a container of its own, under the release's environment.

        Raises:
            KickoffError: It failed or ran out of time (exit 1).
        """
        compose = self._compose(release_folder)
        project = self.stack.project
        given = passed(release_folder)
        # By name alone: the value is not for an argument, which others on this host can read.
        named = [part for key in given.keys() - environment_of(release_folder) for part in ("--env", key)]
        # One name for all hooks: whatever an earlier run left behind goes first, and two never run at once.
        name = f"{project}-hook"
        self._engine.remove_container(name)
        try:
            return compose.run(
                "run", "--rm", "--no-deps", "--no-TTY", "--quiet-pull", "--name", name,
                *named, HOOKS, *command, environ=given,
                seconds=timeout, code=ExitCode.REJECTED, hint="raise HOOK_TIMEOUT if it only needs longer",
            )  # fmt: skip
        except KickoffError as error:
            raise KickoffError(
                f"`{' '.join(command)}` failed: {error}",
                code=error.code,
                causes=error.causes,
                hint=error.hint,
            ) from None
        finally:
            self._engine.remove_container(name)

    def start(self, colour: Colour, release_folder: Path, fence: int = 0) -> Slot:
        """Start the release in ``colour``, in a new container."""
        del fence
        release = describe(release_folder)["release"]
        self._up(release_folder, [str(colour)])
        return Slot(release=release, port=PORT)

    def stop(self, colour: Colour, fence: int = 0) -> None:
        """Stop what runs in ``colour``; the container stays until the next one, with its log."""
        self.stop_workers(colour, fence)
        self._stop(str(colour), self._grace)

    def start_workers(self, colour: Colour, release_folder: Path, fence: int = 0) -> None:
        """Start the release's workers: the colour's container with other commands."""
        del fence
        self._up(release_folder, [worker_of(colour, name) for name in workers_of(release_folder)])

    def stop_workers(self, colour: Colour, fence: int = 0) -> None:
        """Stop the colour's workers and remove their containers."""
        del fence  # the store's files keep an overtaken run out of this host
        for service in self._worker_services(colour):
            self._stop(service, self._grace)
            self._engine.remove_container(str(self._container(service).name))

    def workers(self, colour: Colour) -> Mapping[str, ProcessState]:
        """Return what the colour's workers are doing."""
        services = self._worker_services(colour)
        return {service.removeprefix(worker_of(colour)): self._state(service) for service in services}

    def state(self, colour: Colour) -> ProcessState:
        """Return what the colour's container is doing."""
        return self._state(str(colour), measured=True)

    def _up(self, release_folder: Path, services: list[str]) -> None:
        self._compose(release_folder).run(
            "up", "--no-start", "--no-deps", "--force-recreate", "--no-build", "--pull=never", *services,
            seconds=120, hint="`docker info` says whether the engine answers; if it does, see above",
        )  # fmt: skip
        for service in services:
            container = self._container(service)
            with answering():
                try:
                    container.start()
                except docker.errors.APIError as error:
                    raise KickoffError(
                        f"the engine cannot start {service}",
                        code=ExitCode.REJECTED,
                        causes=[str(error.explanation or error)],
                    ) from None

    def _worker_services(self, colour: Colour) -> list[str]:
        return self._engine.services(self.stack.project, f"{WORKER}={colour}")

    def _state(self, service: str, *, measured: bool = False) -> ProcessState:
        container = self._found(service)
        if container is None:
            return ProcessState(running=False, pid=0, detail="not there")
        state = container.attrs["State"]
        status, pid = state["Status"], int(state["Pid"])
        running = status == "running" and pid > 0
        why = "out of memory" if state.get("OOMKilled") else f"exited with code {state['ExitCode']}"
        detail = {"created": "STARTING", "running": "running", "exited": why}.get(status, f"{status}: {why}")
        used = self._engine.usage(container) if running and measured else ()
        return ProcessState(running, pid, detail, *used)

    def lost_hosts(self, colour: Colour) -> tuple[str, ...]:
        """Return none: who asks is on the one host there is."""
        del colour
        return ()

    def last_end(self, process: str) -> str:
        """Return how a container ended last, as the engine's events tell it."""
        container = self._found(process)
        return self._engine.last_end(container) if container is not None else ""

    def slot(self, colour: Colour) -> Slot | None:
        """Return what the colour's container runs; ``None`` when it does not run."""
        container = self._running(str(colour))
        release = self._engine.given(container).get("KICKOFF_RELEASE") if container is not None else None
        return Slot(release, PORT) if release is not None else None

    def applied(self, colour: Colour, release_folder: Path) -> Applied | None:
        """Return the variables of the colour's container without those of its image, and its secrets."""
        container = self._running(str(colour))
        if container is None:
            return None
        mounted = (release_folder / release_file.SECRETS).iterdir()
        secrets = {path.name.upper(): path.read_text("utf-8") for path in mounted}
        places = {
            "the record": read_object(release_folder / ENVIRONMENT),
            "the container": self._engine.given(container) | secrets,
        }
        return Applied(places, added=ADDED)

    def listening(self, colour: Colour) -> frozenset[int] | None:
        """Return the ports that anything in the colour's container listens on."""
        container = self._running(str(colour))
        sockets = sockets_of(container) if container is not None else None
        return None if sockets is None else listening(sockets)

    def connections(self, colour: Colour, slot: Slot) -> int:
        """Return how many client connections are open to the colour's port.

        A container that cannot be asked counts as one: then the service's own gauge or the limit decides.
        """
        container = self._running(str(colour))
        if container is None:
            return 0
        sockets = sockets_of(container)
        return 1 if sockets is None else established(sockets, slot.port)

    def logs(self, process: str, lines: int) -> list[str]:
        """Return the last lines of a container's log."""
        container = self._found(process)
        with answering():
            text: bytes = container.logs(tail=lines) if container is not None else b""
        return text.decode(errors="replace").splitlines()

    @contextmanager
    def reach(self, endpoint: str) -> Iterator[Endpoint]:
        """Yield the loopback address of ``blue``, ``green`` or ``live``."""
        if endpoint == "live":
            yield Endpoint(f"http://127.0.0.1:{self._public_port()}", {})
        else:
            port = self._traefik_ports().get(_CANDIDATE, 0)
            yield Endpoint(f"http://127.0.0.1:{port}", {COLOUR_HEADER: endpoint})

    def proxies(self) -> tuple[str, ...]:
        """Return the loopback address of Traefik's API."""
        return (f"http://127.0.0.1:{self._traefik_ports().get(_ADMIN, 0)}",)

    def alerts(self) -> str:
        """Return the address of the service of the stack that is labelled with the port of its alerts.

        Where it does not run its name stands in it, which nobody answers to.
        """
        for service, port in self.stack.labelled(ALERTS).items():
            container = self._running(service)
            published = container.ports.get(f"{port}/tcp") if container is not None else None
            if published:
                return f"http://127.0.0.1:{published[0]['HostPort']}"
            return f"http://{(container and address_of(container)) or service}:{port}"
        return ""

    def servers(self, colour: Colour, slot: Slot) -> tuple[str, ...]:
        """Return the address under which Traefik reaches a slot: its name in the stack's network."""
        return (f"http://{colour}:{slot.port}",)

    def discard(self, release_folder: Path) -> None:
        """Remove the image of a release that is no longer kept, unless another one has the same."""
        release_images.discard(self._engine, release_folder)

    def shut_down(self) -> None:
        """Stop both colours and Traefik; databases, caches and monitoring go on.

        Raises:
            KickoffError: The engine does not do it, or something still answers on the public port (exit 4).
        """
        public = self._public_port()
        for colour in Colour:
            self.stop(colour)
        self._stop("traefik", 30)
        require_silence({public})

    @property
    def _grace(self) -> int:
        return int(self.environment.seconds("SHUTDOWN_GRACE")) + 5

    def _compose(self, release_folder: Path) -> Compose:
        return release_file.command_line(release_folder, self.stack, self.environment, LISTENING)

    def _found(self, service: str) -> Container | None:
        return self._engine.container(self.stack.project, service)

    def _running(self, service: str) -> Container | None:
        container = self._found(service)
        return container if container is not None and container.status == "running" else None

    def _stop(self, service: str, seconds: int) -> None:
        container = self._found(service)
        if container is not None:
            with answering():
                container.stop(timeout=seconds)

    def _container(self, service: str) -> Container:
        container = self._found(service)
        if container is None:
            raise KickoffError(
                f"the stack has no container {service}",
                code=ExitCode.UNREACHABLE,
                at=file_of(self.stack.name),
                hint=f"the compose file needs a service {service}; docs/how-to/stacks.md shows one",
            )
        return container

    def _traefik_ports(self) -> Mapping[str, int]:
        """Return the host's port of each of Traefik's that is published; empty while it does not run."""
        if not self.stack.is_up:
            return {}
        traefik = self._found("traefik")
        ports: Mapping[str, Any] = traefik.ports if traefik is not None else {}
        return {inside: int(bound[0]["HostPort"]) for inside, bound in ports.items() if bound}

    def _public_port(self) -> int:
        ports = self._traefik_ports()
        return ports.get(_LOCAL) or ports.get(_PUBLIC) or self._public
