"""The local target: Traefik and the two colours as supervised processes on this machine."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from kickoff import packages
from kickoff.artifact import bundle
from kickoff.environment import Environment
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.paths import public_port
from kickoff.release.folder import ENVIRONMENT, describe, passed, read_object, workers_of
from kickoff.release.model import Colour, Slot
from kickoff.release.route import COLOUR_HEADER, PUBLIC
from kickoff.release.routers import provider
from kickoff.release.routers.traefik import static_configuration
from kickoff.release.targets import Applied, Endpoint, ProcessState, worker_of
from kickoff.release.targets.local import launch, runtime
from kickoff.release.targets.local.supervision import Supervisor
from kickoff.release.targets.local.usage import usage
from kickoff.release.targets.ports import free_port, holder, is_free, listening, require_silence

ROOM = 256 << 20
"""Bytes a release may need: its bundle, its Python environment, logs and journal."""
_ENDED = frozenset({"BACKOFF", "EXITED", "FATAL"})
"""States of supervisord in which a process ended by itself."""


class LocalTarget:
    """Blue, green and Traefik under one supervisord.

    Args:
        root: State folder of the environment.
        environment: Gives the public port, limits and grace times.
    """

    def __init__(self, root: Path, environment: Environment) -> None:
        self.root = root
        self.environment = environment
        self.supervisor = Supervisor(root)
        self._public = public_port(environment.integer("PUBLIC_PORT"))

    @property
    def tls_port(self) -> int:
        """None: what ends TLS stands before this proxy."""
        return 0

    @property
    def entry_points(self) -> tuple[str, ...]:
        """Traefik's only entry point for users."""
        return (PUBLIC,)

    def require_room(self) -> None:
        """Refuse when the state folder has too little room for another release.

        Raises:
            KickoffError: Less than ``ROOM`` is free (exit 4).
        """
        free = shutil.disk_usage(self.root).free
        if free < ROOM:
            raise KickoffError(
                f"the state folder has {free >> 20} MiB free, and a release needs {ROOM >> 20} MiB",
                code=ExitCode.UNREACHABLE,
                at=str(self.root),
                hint=f"free some space, or point KICKOFF_STATE_ROOT at a larger disk (now {self.root})",
            )

    def prepare(self) -> None:
        """Bring supervisord and Traefik up if they are not.

        Raises:
            KickoffError: The public port is taken, or Traefik does not answer (exit 4).
        """
        self.supervisor.ensure()
        shutil.copyfile(launch.__file__, self.root / "launch.py")
        ports = self._ports()
        if self._traefik_runs(ports):
            return
        self.supervisor.remove("traefik")
        if not is_free(ports["public"]):
            raise KickoffError(
                f"port {ports['public']} is taken by another program",
                code=ExitCode.UNREACHABLE,
                causes=[holder(ports["public"])],
                hint=f"stop that program, or choose another port: KICKOFF_PORT={ports['public'] + 1}",
            )
        for name in ("candidate", "admin"):
            ports[name] = free_port()
        write_atomic(self._ports_file, json.dumps(ports))
        self._start_traefik(ports)
        deadline = time.monotonic() + 15
        while not self._admin_answers(ports):
            if time.monotonic() > deadline:
                raise KickoffError(
                    "Traefik did not start", code=ExitCode.UNREACHABLE, causes=self.logs("traefik", 5)
                )
            time.sleep(0.05)

    def find(self, directory: Path, digest: str) -> Path:
        """Return the verified bundle with ``digest``.

        Raises:
            KickoffError: It is missing or damaged.
        """
        return bundle.find(directory, digest)

    def unpack(self, artifact: Path, digest: str, folder: Path) -> dict[str, str | int]:
        """Unpack the bundle, verified once more, into a release folder."""
        bundle.verify(artifact, digest)
        bundle.unpack(artifact, folder / "bundle")
        return {}

    def install(self, release_folder: Path) -> None:
        """Create the release's Python environment, shared by all releases with the same lock."""
        runtime.install(self.root, release_folder)

    def run_hook(self, release_folder: Path, command: tuple[str, ...], timeout: float) -> str:
        """Run a command of the service in its bundle, under its environment.

        Raises:
            KickoffError: It failed or ran out of time (exit 1).
        """
        environment = passed(release_folder) | runtime.variables(self.root, release_folder)
        return runtime.run(release_folder, command, environment, timeout)

    def start(self, colour: Colour, release_folder: Path, fence: int = 0) -> Slot:
        """Start the release in ``colour`` on a port that is free now.

        Raises:
            KickoffError: Its program is not there (exit 2).
        """
        del fence
        description = describe(release_folder)
        port = free_port()
        environment = runtime.variables(self.root, release_folder) | runtime.listening(port)
        command = [part.replace("{port}", str(port)) for part in description["command"]]
        self._run(str(colour), command, environment, release_folder, description.get("command_at", ""))
        return Slot(release=description["release"], port=port)

    def stop(self, colour: Colour, fence: int = 0) -> None:
        """Stop what runs in ``colour``."""
        self.stop_workers(colour, fence)
        self.supervisor.remove(str(colour))

    def start_workers(self, colour: Colour, release_folder: Path, fence: int = 0) -> None:
        """Start the release's workers, each as a process beside the colour's."""
        environment = runtime.variables(self.root, release_folder)
        self.stop_workers(colour, fence)
        for name, worker in workers_of(release_folder).items():
            program, at = worker_of(colour, name), worker.get("at", "")
            self._run(program, worker["command"], environment, release_folder, at)

    def stop_workers(self, colour: Colour, fence: int = 0) -> None:
        """Stop the colour's workers."""
        del fence  # an overtaken run on this host is kept out by the store
        for program in self.supervisor.programs(worker_of(colour)):
            self.supervisor.remove(program)

    def workers(self, colour: Colour) -> Mapping[str, ProcessState]:
        """Return what the colour's workers are doing."""
        prefix = worker_of(colour)
        programs = self.supervisor.programs(prefix)
        return {program.removeprefix(prefix): self._state(program) for program in programs}

    def state(self, colour: Colour) -> ProcessState:
        """Return what the colour's process is doing."""
        return self._state(str(colour), measured=True)

    def _run(
        self, program: str, command: list[str], environment: Mapping[str, str], folder: Path, at: str
    ) -> None:
        resolved = runtime.resolve(folder, command, environment, at)
        (self.root / "logs" / f"{program}.log").unlink(missing_ok=True)
        self.supervisor.ensure()
        self.supervisor.add(
            program,
            resolved,
            environment,
            folder=folder / "bundle",
            stop_seconds=int(self.environment.seconds("SHUTDOWN_GRACE")) + 5,
        )

    def _state(self, program: str, *, measured: bool = False) -> ProcessState:
        info = self.supervisor.info(program)
        if not info:
            return ProcessState(running=False, pid=0, detail="not there")
        running = info["statename"] in ("RUNNING", "STARTING") and info["pid"] != 0
        told = self._end(program, info) if info["statename"] in _ENDED else ""
        said = info["spawnerr"] or info["description"]
        detail = told or (f"{info['statename']}: {said}" if said else info["statename"])
        used = usage(info["pid"]) if running and measured else ()
        return ProcessState(running, int(info["pid"]), detail, *used)

    def _end(self, program: str, info: Mapping[str, Any]) -> str:
        """Return how a program ended; empty when nothing says so."""
        if status := info["exitstatus"]:
            return "ended by a signal" if status < 0 else f"exited with code {status}"
        return self.last_end(program)

    def lost_hosts(self, colour: Colour) -> tuple[str, ...]:
        """Return none: who asks is on the one host there is."""
        del colour
        return ()

    def last_end(self, process: str) -> str:
        """Return how a process ended last, as the supervisor's log tells it."""
        return self.supervisor.ended(process)

    def slot(self, colour: Colour) -> Slot | None:
        """Return what ``colour`` was last started with; ``None`` when it was stopped."""
        try:
            process = self.supervisor.given(str(colour))
            description = describe(Path(process["folder"]).parent)
            port = process["environment"].get("PORT") or _filled(description["command"], process["command"])
            return Slot(description["release"], int(port))
        except (KickoffError, ValueError, KeyError, StopIteration):
            return None

    def applied(self, colour: Colour, release_folder: Path) -> Applied | None:
        """Return the values in the file that the process is started with, and those that it has.

        Raises:
            KickoffError: A file is damaged, or the process belongs to another user (exit 4).
        """
        start = self.supervisor.given(str(colour), "environment")
        process = _environment_of(self.supervisor.info(str(colour)).get("pid", 0), release_folder.name)
        if process is None:
            return None
        places = {
            "the record": read_object(release_folder / ENVIRONMENT),
            "the start file": start,
            "the process": process,
        }
        # Whoever moves the port by KICKOFF_PORT moves it past the file.
        moved = "KICKOFF_PORT" in os.environ
        proxy = {} if moved else {"PUBLIC_PORT": str(read_object(self._ports_file).get("public", ""))}
        return Applied(places, runtime.ADDED, proxy)

    def listening(self, colour: Colour) -> frozenset[int] | None:
        """Return the ports that the colour's process and its children listen on."""
        return listening(int(self.supervisor.info(str(colour)).get("pid", 0)))

    def connections(self, colour: Colour, slot: Slot) -> int:
        """Return how many client connections are open to the colour's port."""
        del colour
        return sum(
            1
            for connection in psutil.net_connections(kind="tcp")
            if connection.status == psutil.CONN_ESTABLISHED
            and connection.raddr
            and connection.raddr.port == slot.port
        )

    def logs(self, process: str, lines: int) -> list[str]:
        """Return the last lines of a process's log."""
        try:
            text = (self.root / "logs" / f"{process}.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-lines:]

    @contextmanager
    def reach(self, endpoint: str) -> Iterator[Endpoint]:
        """Yield the loopback address of ``blue``, ``green`` or ``live``."""
        ports = self._ports()
        if endpoint == "live":
            yield Endpoint(f"http://127.0.0.1:{ports['public']}", {})
        else:
            yield Endpoint(f"http://127.0.0.1:{ports.get('candidate', 0)}", {COLOUR_HEADER: endpoint})

    def proxies(self) -> tuple[str, ...]:
        """Return the loopback address of Traefik's API."""
        return (f"http://127.0.0.1:{self._ports().get('admin', 0)}",)

    def alerts(self) -> str:
        """Return nothing: beside processes there is no stack."""
        return ""

    def servers(self, colour: Colour, slot: Slot) -> tuple[str, ...]:
        """Return the address under which Traefik reaches a slot."""
        del colour
        return (f"http://127.0.0.1:{slot.port}",)

    def discard(self, release_folder: Path) -> None:
        """Nothing to do: a Python environment is shared by all releases with the same lock."""

    def shut_down(self) -> None:
        """Stop both colours, Traefik and supervisord.

        Raises:
            KickoffError: It does not stop, or something still answers on their ports (exit 4).
        """
        slots = [slot for colour in Colour if (slot := self.slot(colour))]
        ports = {self._ports()["public"], *(slot.port for slot in slots)}
        self.supervisor.shut_down()
        require_silence(ports)

    @property
    def _ports_file(self) -> Path:
        return self.root / "ports.json"

    def _ports(self) -> dict[str, int]:
        public = self._public
        found: dict[str, int] = read_object(self._ports_file) or {"public": public}
        if found["public"] != public and self.supervisor.info("traefik").get("statename") != "RUNNING":
            found["public"] = public
        return found

    def _start_traefik(self, ports: Mapping[str, int]) -> None:
        configuration = static_configuration(
            provider(self.root),
            public=ports["public"],
            candidate=ports["candidate"],
            admin=ports["admin"],
            slow_seconds=self.environment.seconds("RESPONSE_TIME_THRESHOLD"),
        )
        write_atomic(self.root / "traefik" / "traefik.yml", configuration)
        self.supervisor.add(
            "traefik",
            [packages.tool("traefik"), f"--configFile={self.root}/traefik/traefik.yml"],
            {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")},
            folder=self.root,
            stop_seconds=15,
        )

    def _traefik_runs(self, ports: Mapping[str, int]) -> bool:
        # In its first second it is not known yet to stay; starting it again would cut off whoever is served.
        while (state := self.supervisor.info("traefik").get("statename")) == "STARTING":
            time.sleep(0.05)
        return state == "RUNNING" and self._admin_answers(ports)

    def _admin_answers(self, ports: Mapping[str, int]) -> bool:
        return "admin" in ports and not is_free(ports["admin"]) and not is_free(ports["public"])


def _environment_of(pid: int, release: str) -> Mapping[str, str] | None:
    try:
        return psutil.Process(pid).environ() if pid else None
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        raise KickoffError(
            f"the process of {release} belongs to another user",
            code=ExitCode.UNREACHABLE,
            hint="run this as the user who deploys",
        ) from None


def _filled(command: Sequence[str], started: Sequence[str]) -> str:
    """Return the port in a command that an older version started without ``PORT``."""
    template, filled = next((a, b) for a, b in zip(command, started, strict=True) if "{port}" in a)
    head, _, tail = template.partition("{port}")
    return filled.removeprefix(head).removesuffix(tail)
