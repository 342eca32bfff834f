"""The compose target: Traefik and the two colours as containers of a stack on this host's Docker engine.

State, start, stop, logs and usage are asked of the engine's API. Only what a compose file means is left to
the compose command line: a container made by anything else would miss whatever that file comes to say.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker.errors
from docker.models.containers import Container

from kickoff.artifact import image as images
from kickoff.environment import Environment
from kickoff.environment.export import compose as compose_format
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.paths import public_port
from kickoff.release.folder import ENVIRONMENT, describe, environment_of, passed, read_object
from kickoff.release.model import Colour, Slot
from kickoff.release.route import COLOUR_HEADER, PUBLIC
from kickoff.release.targets import Applied, Endpoint, ProcessState
from kickoff.release.targets.compose.engine import Engine, answering, established, listening
from kickoff.release.targets.ports import require_silence
from kickoff.stack import Compose, Stack, copied, file_of, project_of, release_only, source_of

ROOM = 1 << 30
"""Bytes a release may need: its image, unpacked, and its log."""
PORT = 8000
"""Where a colour's container listens."""
HOOKS = "migrate"
"""Service of the compose file in whose place hooks run."""
_PUBLIC, _LOCAL, _CANDIDATE, _ADMIN = "8080/tcp", "8083/tcp", "8081/tcp", "8082/tcp"
_IMAGE, _VALUES, _SECRETS, _STACK = "image.json", "compose.env", "secrets", "stack"
_RESOLVED = "compose.json"
_LISTENING = {"PORT": str(PORT), "HOST": "0.0.0.0"}  # noqa: S104 - within the container's own network
"""Variables that tell a container where to listen."""
_ADDED = frozenset({"PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "KICKOFF_DATA_DIR", *_LISTENING})
"""Names of the variables that a compose file may give to every container, and no release records."""


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

    def require_room(self) -> None:
        """Refuse when the engine's disk has too little room for another image.

        Raises:
            KickoffError: Less than ``ROOM`` is free, or the engine does not answer (exit 4).
        """
        for place in {self._engine.root(), self.root}:
            if place.is_dir() and (free := shutil.disk_usage(place).free) < ROOM:
                raise KickoffError(
                    f"{place} has {free >> 20} MiB free, and a release needs {ROOM >> 20} MiB",
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
            KickoffError: It is missing or damaged.
        """
        images.find(directory, digest)
        return directory / f"{digest.removeprefix('sha256:')}.image.json"

    def unpack(self, artifact: Path, digest: str, folder: Path) -> None:
        """Put the image's record into a release folder, with the compose file that it is started by."""
        image = images.find(artifact.parent, digest)
        shutil.copyfile(artifact, folder / _IMAGE)
        for path in self.stack.release_files():
            kept = folder / _STACK / copied(path, self.stack.name)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.stack.root / path, kept)
        shown = {k: v for k, v in self.environment.values.items() if k not in self.environment.secrets}
        own = {
            "KICKOFF_IMAGE": image.reference,
            # Mounted by the containers under its final name, which the folder does not have yet.
            "KICKOFF_STACK_DIR": str(self.stack.folder),
            "KICKOFF_ROUTE_DIR": str(self.stack.routes),
        }
        write_atomic(folder / _VALUES, compose_format(shown | own), mode=0o600)

    def install(self, release_folder: Path) -> None:
        """Pull the release's image, by its digest and nothing else.

        Raises:
            KickoffError: The registry does not give it (exit 4).
        """
        self._engine.pull(_image_of(release_folder))

    def run_hook(self, release_folder: Path, command: tuple[str, ...], timeout: float) -> str:
        """Run a command of the service in a container of its own, under the release's environment.

        Raises:
            KickoffError: It failed or ran out of time (exit 1).
        """
        compose = self._compose(release_folder)
        project = self._project
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

    def start(self, colour: Colour, release_folder: Path) -> Slot:
        """Start the release in ``colour``, in a new container."""
        release = describe(release_folder)["release"]
        self._compose(release_folder).run(
            "up", "--no-start", "--no-deps", "--force-recreate", "--no-build", "--pull=never", str(colour),
            seconds=120, hint="`docker info` says whether the engine answers; if it does, see above",
        )  # fmt: skip
        container = self._container(str(colour))
        with answering():
            try:
                container.start()
            except docker.errors.APIError as error:
                raise KickoffError(
                    f"the engine cannot start {colour}",
                    code=ExitCode.REJECTED,
                    causes=[str(error.explanation or error)],
                ) from None
        return Slot(release=release, port=PORT)

    def stop(self, colour: Colour) -> None:
        """Stop what runs in ``colour``; the container stays until the next one, with its log."""
        self._stop(str(colour), int(self.environment.seconds("SHUTDOWN_GRACE")) + 5)

    def state(self, colour: Colour) -> ProcessState:
        """Return what the colour's container is doing."""
        container = self._found(str(colour))
        if container is None:
            return ProcessState(running=False, pid=0, detail="not there")
        state = container.attrs["State"]
        status, pid = state["Status"], int(state["Pid"])
        running = status == "running" and pid > 0
        why = "out of memory" if state.get("OOMKilled") else f"exited with code {state['ExitCode']}"
        detail = {"created": "STARTING", "running": "running", "exited": why}.get(status, f"{status}: {why}")
        used = self._engine.usage(container) if running else ()
        return ProcessState(running, pid, detail, *used)

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
        mounted = (release_folder / _SECRETS).iterdir()
        secrets = {path.name.upper(): path.read_text("utf-8") for path in mounted}
        places = {
            "the record": read_object(release_folder / ENVIRONMENT),
            "the container": self._engine.given(container) | secrets,
        }
        return Applied(places, added=_ADDED)

    def listening(self, colour: Colour) -> frozenset[int] | None:
        """Return the ports that anything in the colour's container listens on."""
        container = self._running(str(colour))
        sockets = _sockets(container) if container is not None else None
        return None if sockets is None else listening(sockets)

    def connections(self, colour: Colour, slot: Slot) -> int:
        """Return how many client connections are open to the colour's port.

        A container that cannot be asked counts as one: then the service's own gauge or the limit decides.
        """
        container = self._running(str(colour))
        if container is None:
            return 0
        sockets = _sockets(container)
        return 1 if sockets is None else established(sockets, slot.port)

    def logs(self, process: str, lines: int) -> list[str]:
        """Return the last lines of a container's log."""
        container = self._found(process)
        with answering():
            text: bytes = container.logs(tail=lines) if container is not None else b""
        return text.decode(errors="replace").splitlines()

    @contextmanager
    def reach(self, endpoint: str) -> Iterator[Endpoint]:
        """Yield the loopback address of ``blue``, ``green``, ``live`` or ``admin``."""
        if endpoint == "live":
            yield Endpoint(f"http://127.0.0.1:{self._public_port()}", {})
        elif endpoint == "admin":
            yield Endpoint(f"http://127.0.0.1:{self._traefik_ports().get(_ADMIN, 0)}", {})
        else:
            port = self._traefik_ports().get(_CANDIDATE, 0)
            yield Endpoint(f"http://127.0.0.1:{port}", {COLOUR_HEADER: endpoint})

    def server(self, colour: Colour, slot: Slot) -> str:
        """Return the address under which Traefik reaches a slot: its name in the stack's network."""
        return f"http://{colour}:{slot.port}"

    def discard(self, release_folder: Path) -> None:
        """Remove the image of a release that is no longer kept, unless another one has the same."""
        reference = _image_of(release_folder)
        others = {_image_of(f) for f in release_folder.parent.iterdir() if f != release_folder}
        if reference and reference not in others:
            self._engine.remove_image(reference)

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
    def _project(self) -> str:
        """The stack's name; before the stack's files are on the host, that which the project gives it."""
        compose = self.stack.compose
        if (compose.folder / compose.file).is_file():
            return compose.project
        source = source_of(self.stack.root, self.stack.name)
        text = (self.stack.root / source).read_text(encoding="utf-8")
        return project_of(text, self.stack.name, str(source))

    def _compose(self, release_folder: Path) -> Compose:
        """Return the command line on the compose file of a release, with the release's own values."""
        values, folder = environment_of(release_folder), release_folder / _SECRETS
        folder.mkdir(exist_ok=True)
        # Other users of the host do not get as far as this folder; the container's user must.
        folder.chmod(0o755)
        for key in self.environment.secrets & values.keys():
            write_atomic(folder / key.lower(), values[key], mode=0o444)
        own = {"KICKOFF_RELEASE": values["KICKOFF_RELEASE"], "KICKOFF_SECRETS_DIR": str(folder)}
        write_atomic(release_folder / "release.env", compose_format(own), mode=0o600)
        # The host's own variables first: what a release says comes before them.
        values_of = [self.stack.folder / _VALUES, release_folder / _VALUES, release_folder / "release.env"]
        described = Compose(release_folder / _STACK, file_of(self.stack.name), values_of).resolved()
        shown = {key: text for key, text in values.items() if key not in self.environment.secrets}
        text = json.dumps(with_values(release_only(described), shown | _LISTENING), indent=1)
        write_atomic(release_folder / _RESOLVED, text, mode=0o600)
        return Compose(release_folder, _RESOLVED, [])

    def _found(self, service: str) -> Container | None:
        return self._engine.container(self._project, service)

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


def _sockets(container: Container) -> str | None:
    """Return the table of a container's TCP sockets; ``None`` when its image cannot show it."""
    with answering():
        code, output = container.exec_run(["cat", "/proc/net/tcp", "/proc/net/tcp6"])
    return output.decode() if code == 0 and isinstance(output, bytes) else None


def _image_of(release_folder: Path) -> str:
    document = read_object(release_folder / _IMAGE)
    return f"{document['repository']}@{document['digest']}" if document else ""


def with_values(document: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return a resolved compose file in which each service has these variables beside its own."""
    given = {key: text.replace("$", "$$") for key, text in values.items()}  # compose reads the file once more
    services = {
        name: {**service, "environment": {**(service.get("environment") or {}), **given}}
        for name, service in document["services"].items()
    }
    return {**document, "services": services}
