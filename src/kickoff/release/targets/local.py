"""The local target: Traefik and the two colours as supervised processes on this machine."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from kickoff import foreign
from kickoff.artifact import bundle
from kickoff.environment import Environment
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.places import public_port
from kickoff.release.folder import describe, environment_of
from kickoff.release.model import Colour, Slot
from kickoff.release.route import COLOUR_HEADER, PUBLIC
from kickoff.release.routers.traefik import static_configuration
from kickoff.release.targets import Endpoint, ProcessState
from kickoff.release.targets import launch as launch_module
from kickoff.release.targets.ports import free_port, holder, is_free, require_silence
from kickoff.release.targets.supervision import Supervisor

ROOM = 256 << 20
"""Bytes a release may need: its bundle, its Python environment, logs and journal."""
CGROUPS = Path("/sys/fs/cgroup")


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
        shutil.copyfile(launch_module.__file__, self.root / "launch.py")
        ports = self._ports()
        if self.supervisor.info("traefik").get("statename") == "RUNNING" and self._admin_answers(ports):
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
        write_atomic(self.root / "ports.json", json.dumps(ports))
        configuration = static_configuration(
            self.root / "traefik",
            public=ports["public"],
            candidate=ports["candidate"],
            admin=ports["admin"],
            slow_seconds=self.environment.seconds("RESPONSE_TIME_THRESHOLD"),
        )
        write_atomic(self.root / "traefik" / "traefik.yml", configuration)
        binary = shutil.which("traefik", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if binary is None:
            raise KickoffError("traefik is not installed", hint="`kickoff doctor` says what is missing")
        self.supervisor.add(
            "traefik",
            [binary, f"--configFile={self.root}/traefik/traefik.yml"],
            {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")},
            folder=self.root,
            stop_seconds=15,
        )
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

    def unpack(self, artifact: Path, digest: str, folder: Path) -> None:
        """Unpack the bundle, verified once more, into a release folder."""
        bundle.verify(artifact, digest)
        bundle.unpack(artifact, folder / "bundle")

    def install(self, release_folder: Path) -> None:
        """Create the release's Python environment, shared by all releases with the same lock."""
        lock = describe(release_folder)["requirements"]
        if not lock:
            return
        home = self._runtime(release_folder)
        if (home / "complete").exists():
            return
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if uv is None:
            raise KickoffError("uv is not installed", hint="`kickoff doctor` says what is missing")
        shutil.rmtree(home, ignore_errors=True)
        python = str(home / "bin" / "python")
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
            [
                uv,
                "pip",
                "sync",
                "--system-certs",
                "--quiet",
                "--require-hashes",
                "--python",
                python,
                str(release_folder / "bundle" / lock),
            ],
        ):
            done = subprocess.run(
                command,
                env=foreign.installing(),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
            if done.returncode != 0:
                raise KickoffError(
                    f"the service's requirements ({lock}) cannot be installed",
                    code=ExitCode.REJECTED,
                    causes=done.stderr.strip().splitlines()[-5:],
                )
        (home / "complete").touch()

    def run_hook(self, release_folder: Path, command: tuple[str, ...], timeout: float) -> str:
        """Run a command of the service in its bundle, under its environment.

        Raises:
            KickoffError: It failed or ran out of time (exit 1).
        """
        environment = self._environment(release_folder)
        resolved = shutil.which(command[0], path=environment["PATH"]) or command[0]
        name = " ".join(command)
        try:
            process = subprocess.Popen(
                [resolved, *command[1:]],
                cwd=release_folder / "bundle",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise KickoffError(f"`{command[0]}` is not installed with the service") from None
        with process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException as error:
                # The whole group: what the command started itself must not go on without it.
                os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise KickoffError(
                        f"`{name}` did not end within {timeout:g} s",
                        code=ExitCode.REJECTED,
                        hint="raise HOOK_TIMEOUT",
                    ) from None
                raise
        if process.returncode != 0:
            raise KickoffError(
                f"`{name}` failed with exit code {process.returncode}",
                code=ExitCode.REJECTED,
                causes=(output + errors).strip().splitlines()[-10:],
            )
        return output

    def start(self, colour: Colour, release_folder: Path) -> Slot:
        """Start the release in ``colour`` on a port that is free now."""
        description = describe(release_folder)
        port = free_port()
        environment = self._environment(release_folder)
        command = [part.replace("{port}", str(port)) for part in description["command"]]
        command[0] = shutil.which(command[0], path=environment["PATH"]) or command[0]
        (self.root / "logs" / f"{colour}.log").unlink(missing_ok=True)
        self.supervisor.ensure()
        self.supervisor.add(
            str(colour),
            command,
            environment,
            folder=release_folder / "bundle",
            stop_seconds=int(self.environment.seconds("SHUTDOWN_GRACE")) + 5,
        )
        return Slot(release=description["release"], port=port)

    def stop(self, colour: Colour) -> None:
        """Stop what runs in ``colour``."""
        self.supervisor.remove(str(colour))

    def state(self, colour: Colour) -> ProcessState:
        """Return what the colour's process is doing."""
        info = self.supervisor.info(str(colour))
        if not info:
            return ProcessState(running=False, pid=0, detail="not there")
        running = info["statename"] in ("RUNNING", "STARTING") and info["pid"] != 0
        detail = info["spawnerr"] or info["description"] or info["statename"]
        usage = _usage(info["pid"]) if running else ()
        return ProcessState(running, int(info["pid"]), f"{info['statename']}: {detail}", *usage)

    def slot(self, colour: Colour) -> Slot | None:
        """Return what ``colour`` was last started with; ``None`` when it was stopped."""
        try:
            text = (self.root / "supervisor" / f"{colour}.json").read_text(encoding="utf-8")
            process = json.loads(text)
            description = describe(Path(process["folder"]).parent)
            pairs = zip(description["command"], process["command"], strict=True)
            template, filled = next((a, b) for a, b in pairs if "{port}" in a)
        except (FileNotFoundError, ValueError, KeyError, StopIteration):
            return None
        head, _, tail = template.partition("{port}")
        return Slot(description["release"], int(filled.removeprefix(head).removesuffix(tail)))

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
        """Yield the loopback address of ``blue``, ``green``, ``live`` or ``admin``."""
        ports = self._ports()
        if endpoint == "live":
            yield Endpoint(f"http://127.0.0.1:{ports['public']}", {})
        elif endpoint == "admin":
            yield Endpoint(f"http://127.0.0.1:{ports.get('admin', 0)}", {})
        else:
            yield Endpoint(f"http://127.0.0.1:{ports.get('candidate', 0)}", {COLOUR_HEADER: endpoint})

    def server(self, colour: Colour, slot: Slot) -> str:
        """Return the address under which Traefik reaches a slot."""
        del colour
        return f"http://127.0.0.1:{slot.port}"

    def discard(self, release_folder: Path) -> None:
        """Nothing to do: a Python environment is shared by all releases with the same lock."""

    def shut_down(self) -> None:
        """Stop both colours, Traefik and supervisord.

        Raises:
            KickoffError: It does not stop, or something still answers on their ports (exit 4).
        """
        ports = {self._ports()["public"], *self._colour_ports()}
        self.supervisor.shut_down()
        require_silence(ports)

    def _ports(self) -> dict[str, int]:
        public = self._public
        try:
            found: dict[str, int] = json.loads((self.root / "ports.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"public": public}
        if found["public"] != public and self.supervisor.info("traefik").get("statename") != "RUNNING":
            found["public"] = public
        return found

    def _colour_ports(self) -> set[int]:
        try:
            slots = json.loads((self.root / "state.json").read_text(encoding="utf-8"))["slots"]
            return {int(slot["port"]) for slot in slots.values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return set()  # nothing was released, or the record is damaged: what runs is to end all the same

    def _admin_answers(self, ports: dict[str, int]) -> bool:
        return "admin" in ports and not is_free(ports["admin"]) and not is_free(ports["public"])

    def _runtime(self, release_folder: Path) -> Path:
        lock = release_folder / "bundle" / describe(release_folder)["requirements"]
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        digest = hashlib.sha256(python.encode() + lock.read_bytes()).hexdigest()
        return self.root / "runtimes" / digest[:16]

    def _environment(self, release_folder: Path) -> dict[str, str]:
        requirements = describe(release_folder)["requirements"]
        runtime = self._runtime(release_folder) / "bin" if requirements else Path(sys.executable).parent
        return {
            "PATH": f"{runtime}:/usr/local/bin:/usr/bin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "KICKOFF_DATA_DIR": str(self.root / "data"),
            **environment_of(release_folder),
        }


def _usage(pid: int) -> tuple[int, float, float]:
    """Return memory and processor time of a process with its children, and how many processors it may use."""
    memory, cpu = 0, 0.0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        processors = _processors(pid)
    except (psutil.Error, OSError):
        return 0, 0.0, 1.0
    for process in family:
        try:
            memory += process.memory_info().rss
            times = process.cpu_times()
            cpu += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return memory, cpu, processors


def _processors(pid: int) -> float:
    """Return how many processors a process may use: by its affinity and its control groups' quotas."""
    allowed = float(len(os.sched_getaffinity(pid)))
    groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    own = next((line.removeprefix("0::") for line in groups if line.startswith("0::")), "/")
    folder = CGROUPS / own.strip("/")
    for group in (folder, *folder.parents):
        try:
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        except FileNotFoundError:
            continue
        if quota != "max":
            allowed = min(allowed, int(quota) / int(period))
    return allowed
