"""The swarm target: the two colours as services of a Docker Swarm, behind a Traefik on several nodes.

Each start makes services of a new name, so that no answer of an earlier one is taken for theirs, and labels
them with the fencing token of who made them: a run that was overtaken finds out, and what it made all the
same nobody looks at. Each instance of a colour has a host name of its own, which goes with it when Swarm
moves it to another node: the route names those, and stays right.
"""

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kickoff.artifact import image as images
from kickoff.environment import Environment
from kickoff.errors import ExitCode, KickoffError
from kickoff.release.folder import ENVIRONMENT, describe, passed, read_object, workers_of
from kickoff.release.model import Colour, Slot
from kickoff.release.route import COLOUR_HEADER, PUBLIC
from kickoff.release.targets import Applied, Endpoint, ProcessState, worker_of
from kickoff.release.targets.compose import release_file, release_images
from kickoff.release.targets.compose.engine import established, listening, sockets_of
from kickoff.release.targets.compose.services import ADDED, PORT
from kickoff.release.targets.swarm import cluster, documents, inventory
from kickoff.release.targets.swarm.cluster import Cluster, Service, Task
from kickoff.release.targets.swarm.deploying import Deploying
from kickoff.release.targets.swarm.engines import Engines
from kickoff.release.targets.swarm.inventory import HOOK, PROXY, PULL, Inventory
from kickoff.stack import Stack

ROOM = 1 << 30
"""Bytes that a release may need on this host."""
PUBLIC_PORT, CANDIDATE_PORT, ADMIN_PORT = 8080, 8081, 8082
"""Traefik's entry points, in its container."""
_PROXY_SECONDS, _PULL_SECONDS = 90.0, 600.0
_PAUSE_SECONDS = 0.2


class SwarmTarget:
    """Blue, green and Traefik as services.

    Args:
        root: State folder of the environment.
        environment: Gives limits, grace times and the engines of the nodes.
        stack: The compose file, and what it is resolved with.
    """

    def __init__(self, root: Path, environment: Environment, stack: Stack) -> None:
        self.root = root
        self.environment = environment
        self.stack = stack
        self._swarm = Cluster()
        self._deploying = Deploying(root, environment, stack)
        engines = Engines(environment.values.get("NODE_ENGINES", ""))
        self._inventory = Inventory(self._swarm, engines, lambda: stack.project)

    @property
    def entry_points(self) -> tuple[str, ...]:
        """Traefik's entry point for users."""
        return (PUBLIC,)

    @property
    def tls_port(self) -> int:
        """None: users come in by the nodes, not by this host."""
        return 0

    def require_room(self) -> None:
        """Refuse when this host has too little room for the record of another release.

        Raises:
            KickoffError: Less than ``ROOM`` is free (exit 4).
        """
        if (free := shutil.disk_usage(self.root).free) < ROOM:
            raise KickoffError(
                f"{self.root} has {free >> 20} MiB free, and a release needs {ROOM >> 20} MiB",
                code=ExitCode.UNREACHABLE,
                at=str(self.root),
                hint="`docker system df` shows what takes the room; `docker image prune` frees some",
            )

    def prepare(self) -> None:
        """Bring up what stands around the colours where its proxy is not there; change nothing that is.

        Raises:
            KickoffError: No proxy comes up, or the Swarm refuses (exit 4).
        """
        if self._inventory.of(PROXY) is None:
            self._deploying.around()
        deadline = time.monotonic() + _PROXY_SECONDS
        while True:
            found = self._inventory.by_node(PROXY)
            waited = [
                f"{node.name}: {task.why}" for node, task in found if node.ready and task.state != "running"
            ]
            if found and not waited:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE_SECONDS)
        if not any(task.state == "running" for _, task in found):
            none = "no node may have one: `docker node update --label-add edge=yes NODE`"
            raise KickoffError("no proxy came up", code=ExitCode.UNREACHABLE, causes=waited or [none])

    def find(self, directory: Path, digest: str) -> Path:
        """Return the record of the image with ``digest``.

        Raises:
            KickoffError: It is missing or damaged.
        """
        images.find(directory, digest)
        return directory / f"{digest.removeprefix('sha256:')}.image.json"

    def unpack(self, artifact: Path, digest: str, folder: Path) -> dict[str, str | int]:
        """Put the image's record into a release folder, with the compose file that it is started by.

        Raises:
            KickoffError: No registry has the image, so that no node could fetch it (exit 2).
        """
        image = images.find(artifact.parent, digest)
        if not image.in_registry:
            raise KickoffError(
                "no registry has this image, and each node of a Swarm fetches it from one",
                hint="name a registry as REGISTRY, or as image.repository in kickoff.yml, and build again",
            )
        release_images.record(image, folder)
        release_file.keep(folder, self.stack, self.environment, image.reference)
        return {}

    def install(self, release_folder: Path) -> None:
        """Have every node pull the release's image that may be given a task of it.

        Raises:
            KickoffError: One cannot (exit 4).
        """
        known = release_folder / "pulled.json"
        ready = sorted(node.id for node in self._swarm.nodes().values() if node.ready and node.active)
        if set(ready) <= set(read_object(known).get("nodes", ())):
            return
        self._gone(PULL)
        self._deploying.pull(release_folder)
        try:
            self._await_pulled()
        finally:
            self._gone(PULL)
        known.write_text(json.dumps({"nodes": ready}), encoding="utf-8")

    def _await_pulled(self) -> None:
        deadline = time.monotonic() + _PULL_SECONDS
        while True:
            found = self._inventory.by_node(PULL)
            begun = [
                f"{node.name}: not done yet" for node, task in found if node.ready and not task.container
            ]
            failed = [f"{node.name}: {task.why}" for node, task in found if task.state == "rejected"]
            if failed or time.monotonic() > deadline:
                raise KickoffError(
                    "the image cannot be pulled on every node",
                    code=ExitCode.UNREACHABLE,
                    causes=failed or begun,
                    hint="check the registry's address as the nodes see it, and REGISTRY_USERNAME with "
                    "REGISTRY_PASSWORD; an image that is not there is told, too, where the login has expired",
                )
            if found and not begun:
                return
            time.sleep(_PAUSE_SECONDS)

    def run_hook(self, release_folder: Path, command: tuple[str, ...], timeout: float) -> str:
        """Run a command of the service as a job of the Swarm, under the release's environment.

        Raises:
            KickoffError: It failed or ran out of time (exit 1).
        """
        self._gone(HOOK)  # one at a time: whatever an earlier run left behind goes first
        self._deploying.hook(release_folder, command, passed(release_folder))
        try:
            ended = self._await_end(timeout)
            output = self.logs(HOOK, 200)
        finally:
            self._gone(HOOK)
        what = f"`{' '.join(command)}` failed"
        hint = "raise HOOK_TIMEOUT if it only needs longer"
        if ended is None:
            raise KickoffError(
                f"{what}: it did not end within {timeout:g} s",
                code=ExitCode.REJECTED,
                causes=output[-10:],
                hint=hint,
            )
        if ended.state != "complete":
            raise KickoffError(
                f"{what}: it {ended.how_it_ended}", code=ExitCode.REJECTED, causes=output[-10:], hint=hint
            )
        return "\n".join(output)

    def _await_end(self, seconds: float) -> Task | None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for node, task in self._inventory.by_node(HOOK):
                if task.state in cluster.ENDED:
                    return task
                if not node.ready:
                    raise KickoffError(
                        f"{node.name} was lost while a hook ran there",
                        code=ExitCode.UNREACHABLE,
                        hint="see what the hook has done already, then ship again",
                    )
            time.sleep(_PAUSE_SECONDS)
        return None

    def start(self, colour: Colour, release_folder: Path, fence: int = 0) -> Slot:
        """Start the release in ``colour``, as services of a new name.

        Raises:
            KickoffError: A run that came later has started something there (exit 75).
        """
        self.stop(colour, fence)
        name = f"{colour}-{fence}-{secrets.token_hex(2)}"
        self._deploying.web(release_folder, name, self._labels(colour, str(colour), release_folder, fence))
        return Slot(release=describe(release_folder)["release"], port=PORT)

    def stop(self, colour: Colour, fence: int = 0) -> None:
        """Stop what runs in ``colour``, and remove it.

        Raises:
            KickoffError: A run that came later has started something there (exit 75).
        """
        self._remove(colour, self._inventory.labelled(colour=str(colour)), fence)

    def start_workers(self, colour: Colour, release_folder: Path, fence: int = 0) -> None:
        """Start the release's workers: the colour's service with other commands."""
        self.stop_workers(colour, fence)
        name = f"{colour}-{fence}-{secrets.token_hex(2)}"
        labels = {
            worker: self._labels(colour, worker_of(colour, worker), release_folder, fence)
            for worker in workers_of(release_folder)
        }
        self._deploying.workers(release_folder, name, colour, labels)

    def stop_workers(self, colour: Colour, fence: int = 0) -> None:
        """Stop the colour's workers and remove them."""
        started = self._inventory.labelled(colour=str(colour))
        workers = [one for one in started if one.labels[documents.PROCESS] != str(colour)]
        self._remove(colour, workers, fence)

    def _remove(self, colour: Colour, started: Sequence[Service], fence: int) -> None:
        newest = max((inventory.fence_of(one) for one in started), default=0)
        if 0 < fence < newest:
            raise KickoffError(
                f"another run has started {colour} meanwhile, so this one changes nothing of it",
                code=ExitCode.LOCK_HELD,
                hint="`kickoff status --env NAME` shows who is at work",
            )
        self._swarm.remove(started, self.environment.seconds("SHUTDOWN_GRACE") + 30)

    def workers(self, colour: Colour) -> Mapping[str, ProcessState]:
        """Return what the colour's workers are doing."""
        own, prefix = self._inventory.labelled(colour=str(colour)), worker_of(colour)
        found = {one.labels[documents.PROCESS]: one for one in own}
        return {
            process.removeprefix(prefix): self._inventory.state(service)
            for process, service in sorted(found.items())
            if process.startswith(prefix)
        }

    def state(self, colour: Colour) -> ProcessState:
        """Return what the colour's instances are doing."""
        return self._inventory.state(self._inventory.of(str(colour)), measured=True)

    def lost_hosts(self, colour: Colour) -> tuple[str, ...]:
        """Return the nodes of the colour's instances that do not answer now."""
        return self._inventory.lost_hosts(colour)

    def last_end(self, process: str) -> str:
        """Return how an instance of a process ended last, unless its node was lost."""
        faults = cluster.faults(self._inventory.tasks(self._inventory.of(process)))
        return faults[-1].how_it_ended if faults else ""

    def slot(self, colour: Colour) -> Slot | None:
        """Return what the colour's service runs; ``None`` when there is none."""
        service = self._inventory.of(str(colour))
        return Slot(service.labels[documents.RELEASE], PORT) if service is not None else None

    def applied(self, colour: Colour, release_folder: Path) -> Applied | None:
        """Return the variables of the colour's service, and its secrets."""
        service = self._inventory.of(str(colour))
        if service is None:
            return None
        mounted = (release_folder / release_file.SECRETS).iterdir()
        held = {path.name.upper(): path.read_text("utf-8") for path in mounted}
        places = {
            "the record": read_object(release_folder / ENVIRONMENT),
            "the service": {**service.environment, **held},
        }
        return Applied(places, added=ADDED)

    def listening(self, colour: Colour) -> frozenset[int] | None:
        """Return the ports that each instance which can be asked listens on."""
        asked = self._inventory.containers(self._inventory.running(colour))
        found = [sockets_of(container) for _, container in asked]
        tables = [listening(table) for table in found if table is not None]
        return frozenset.intersection(*tables) if tables else None

    def connections(self, colour: Colour, slot: Slot) -> int:
        """Return how many client connections are open to the instances.

        One that cannot be asked counts as one: then the service's own gauge or the limit decides.
        """
        running = self._inventory.running(colour)
        tables = [sockets_of(container) for _, container in self._inventory.containers(running)]
        counted = [established(table, slot.port) for table in tables if table is not None]
        return sum(counted) + len(running) - len(counted)

    def logs(self, process: str, lines: int) -> list[str]:
        """Return the last lines of a process, of all its instances."""
        service = self._inventory.of(process)
        return self._swarm.logs(service, lines) if service is not None else []

    @contextmanager
    def reach(self, endpoint: str) -> Iterator[Endpoint]:
        """Yield the address of ``blue``, ``green`` or ``live`` at the first proxy whose node is well."""
        if endpoint == "live":
            yield Endpoint(self._edge(PUBLIC_PORT), {})
        else:
            yield Endpoint(self._edge(CANDIDATE_PORT), {COLOUR_HEADER: endpoint})

    def proxies(self) -> tuple[str, ...]:
        """Return the address of the API of each Traefik, also of one whose node is lost."""
        return tuple(f"http://{node.address}:{port}" for node, port in self._inventory.edges(ADMIN_PORT))

    def _edge(self, port: int) -> str:
        edges = sorted(self._inventory.edges(port), key=lambda edge: not edge[0].ready)
        node, published = edges[0] if edges else (None, 0)
        # Where there is none nobody answers, which is for who asks to tell.
        return f"http://{node.address if node else '127.0.0.1'}:{published}"

    def alerts(self) -> str:
        """Return nothing: which Prometheus may judge is not known here."""
        return ""

    def servers(self, colour: Colour, slot: Slot) -> tuple[str, ...]:
        """Return the host name of each instance, which goes with it from node to node."""
        service = self._inventory.of(str(colour))
        name = service.stack.removeprefix(f"{self.stack.project}-") if service is not None else str(colour)
        count = service.replicas if service is not None else 1
        return tuple(f"http://{name}-{number}:{slot.port}" for number in range(1, count + 1))

    def discard(self, release_folder: Path) -> None:
        """Nothing to do here: images stay on the nodes until they are pruned there."""

    def shut_down(self) -> None:
        """Stop both colours and Traefik; what else the stack has goes on.

        Raises:
            KickoffError: The Swarm does not do it (exit 4).
        """
        for colour in Colour:
            self.stop(colour)
        self._swarm.remove(self._inventory.labelled(process=PROXY), 60)

    def _labels(self, colour: Colour, process: str, folder: Path, fence: int) -> dict[str, str]:
        return {
            documents.PROJECT: self.stack.project,
            documents.COLOUR: str(colour),
            documents.PROCESS: process,
            documents.RELEASE: str(describe(folder)["release"]),
            documents.FENCE: str(fence),
        }

    def _gone(self, *processes: str) -> None:
        for process in processes:
            self._swarm.remove(self._inventory.labelled(process=process), 60)
