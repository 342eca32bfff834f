"""What of one environment is in the Swarm: its services by process, their instances, and its edges."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from docker.models.containers import Container

from kickoff.release.model import Colour
from kickoff.release.targets import ProcessState
from kickoff.release.targets.compose.engine import Engine
from kickoff.release.targets.swarm import cluster, documents
from kickoff.release.targets.swarm.cluster import Cluster, Node, Service, Task
from kickoff.release.targets.swarm.engines import Engines

PROXY, HOOK, PULL = "traefik", "hook", "pull"
"""Processes of no colour: the proxy's service in the compose file, a hook, and the pull of an image."""
NOT_THERE = ProcessState(running=False, pid=0, detail="not there")
_PLACED_SECONDS = 20.0
"""How long a task may be without a node before that is said."""


class Inventory:
    """The services of one environment.

    Args:
        swarm: The Swarm.
        engines: The engines of its nodes.
        project: Returns the name that the services are labelled with.
    """

    def __init__(self, swarm: Cluster, engines: Engines, project: Callable[[], str]) -> None:
        self._swarm, self._engines, self._project = swarm, engines, project

    def labelled(self, **labels: str) -> list[Service]:
        """Return the services with these labels, for example ``process``, in the order of their making.

        Later than all others is what was made under a higher fencing token, whenever that was.
        """
        wanted = {f"{documents.LABELS}{name}": text for name, text in labels.items()}
        found = self._swarm.services({documents.PROJECT: self._project(), **wanted})
        return sorted(found, key=lambda one: (fence_of(one), one.made))

    def of(self, process: str) -> Service | None:
        """Return the service of ``blue``, ``blue-<worker>``, ``traefik`` … that counts."""
        found = self.labelled(process=process)
        return found[-1] if found else None

    def tasks(self, service: Service | None) -> list[Task]:
        """Return the tasks of a service, the oldest first; none of no service."""
        return self._swarm.tasks({service.id}) if service is not None else []

    def by_node(self, process: str) -> list[tuple[Node, Task]]:
        """Return the newest task of a process on each node that the Swarm knows."""
        newest = {task.node: task for task in self.tasks(self.of(process))}
        nodes = self._swarm.nodes()
        return [(nodes[one], task) for one, task in newest.items() if one in nodes]

    def state(self, service: Service | None, *, measured: bool = False) -> ProcessState:
        """Return what the instances of a service are doing, with their usage if it is wanted.

        It runs when all of them do, but for those that are being moved off a lost node: neither is that an
        end, nor is a restart what takes their place.
        """
        if service is None:
            return NOT_THERE
        tasks = self.tasks(service)
        now, faults = cluster.current(tasks), cluster.faults(tasks)
        waiting = [one for one in now.values() if one.state != "running"]
        moving = [one for one in waiting if cluster.moved(one, tasks, faults)]
        if len(now) < service.replicas or len(waiting) > len(moving) or len(moving) == len(now):
            return ProcessState(running=False, pid=0, detail=_detail(waiting, faults))
        pid = zlib.crc32(f"{service.id} {[one.id for one in faults]}".encode()) | 1
        if not measured:
            return ProcessState(True, pid, "running")
        used = [engine.usage(container) for engine, container in self.containers(now.values())]
        memory, seconds = sum(one[0] for one in used), sum(one[1] for one in used)
        return ProcessState(True, pid, "running", memory, seconds, sum(one[2] for one in used) or 1.0)

    def running(self, colour: Colour) -> list[Task]:
        """Return the instances of a colour that run on a node that is heard of."""
        nodes = self._swarm.nodes()
        return [
            one
            for one in self.tasks(self.of(str(colour)))
            if one.state == "running" and one.node in nodes and nodes[one.node].ready
        ]

    def containers(self, tasks: Iterable[Task]) -> Iterator[tuple[Engine, Container]]:
        """Yield node's engine and container of each task whose engine can be asked."""
        nodes = self._swarm.nodes()
        for task in tasks:
            yield from self._engines.container(nodes.get(task.node), task.container)

    def lost_hosts(self, colour: Colour) -> tuple[str, ...]:
        """Return the nodes of a colour's instances that do not answer, which managers notice later."""
        nodes = self._swarm.nodes()
        used = {task.node for task in self.tasks(self.of(str(colour)))} & nodes.keys()
        return tuple(sorted(nodes[one].name for one in used if not nodes[one].answers()))

    def edges(self, port: int) -> list[tuple[Node, int]]:
        """Return the nodes that have a Traefik, and their port that leads to one of its own."""
        proxy = self.of(PROXY)
        published = proxy.published.get(port, 0) if proxy is not None else 0
        edges = {node.name: node for node, _ in self.by_node(PROXY) if node.active}
        return [(node, published) for _, node in sorted(edges.items())]


def fence_of(service: Service) -> int:
    """Return the fencing token under which a service was made; 0 for none."""
    text = service.labels.get(documents.FENCE, "")
    return int(text) if text.isdecimal() else 0


def _detail(waiting: Sequence[Task], faults: Sequence[Task]) -> str:
    """Return why not every instance runs: one ended, has no node, or is only starting."""
    if faults:
        return faults[-1].how_it_ended
    for task in waiting:
        if not task.node and time.time() - task.made > _PLACED_SECONDS:
            return f"no node takes it: {task.why}"
    return "STARTING"
