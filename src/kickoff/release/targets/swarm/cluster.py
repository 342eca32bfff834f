"""The Swarm that Docker's own variables lead to: its nodes, services and tasks, asked of a manager's API.

Any manager answers for all of them. While they have no leader none does: for a moment after one is lost,
and for as long as more than half of them are.
"""

import re
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any, TypeVar

import docker
import docker.errors
import requests

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError

LEADERLESS_SECONDS = 30.0
"""How long a new leader is waited for: an election takes seconds, and so does a lost one's return."""
_PAUSE_SECONDS = 0.2
_GOSSIP_PORT, _ANSWER_SECONDS = 7946, 1.0
_STAMPED = re.compile(r"\d{4}-\d\d-\d\dT[^ ]+ ")
_STACK = "com.docker.stack.namespace"
ENDED = frozenset({"complete", "failed", "rejected", "shutdown", "orphaned", "remove"})
"""States of a task that will not run again; Swarm makes another one in its place."""
_FAULTS = frozenset({"complete", "failed", "rejected"})
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Node:
    """A host of the Swarm.

    Attributes:
        id: Swarm's name of it.
        name: Its host name.
        address: Where the others reach it.
        ready: Whether the managers hear of it.
        active: Whether it takes tasks.
    """

    id: str
    name: str
    address: str
    ready: bool
    active: bool

    def answers(self) -> bool:
        """Ask the node itself, by the port that every node of a Swarm has open for the others."""
        try:
            socket.create_connection((self.address, _GOSSIP_PORT), timeout=_ANSWER_SECONDS).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Task:
    """One instance of a service, on one node; another one takes its place when it ends.

    Attributes:
        id: Swarm's name of it.
        service: That of its service.
        slot: Its place among the instances, 1 and up; 0 for a service that runs on every node.
        node: Id of its node; empty while it has none.
        state: Its state, in Swarm's words.
        why: What Swarm says about its state.
        code: Its exit code, where it has ended.
        container: Id of its container.
        made: When it was made, in seconds since the epoch.
        told: When its state was told last.
    """

    id: str
    service: str
    slot: int
    node: str
    state: str
    why: str
    code: int
    container: str
    made: float
    told: float

    @property
    def how_it_ended(self) -> str:
        """How it ended, in words."""
        if self.state == "rejected" or not self.container:
            return self.why or self.state
        return f"exited with code {self.code}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the Swarm.

    Attributes:
        id: Swarm's name of it.
        labels: Its labels.
        environment: The variables that it is given.
        replicas: How many instances it has; 0 for one on every node.
        published: Port of each node by the port of the container.
        made: When it was made, in seconds since the epoch.
    """

    id: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    replicas: int
    published: Mapping[int, int]
    made: float

    @property
    def stack(self) -> str:
        """The stack that it was made with."""
        return self.labels.get(_STACK, "")


class Cluster:
    """The Swarm, opened when it is asked first."""

    _leaderless_since = 0.0

    @cached_property
    def _api(self) -> Any:  # noqa: ANN401 - most of it has no types
        client = docker.from_env(timeout=60)
        client.api.trust_env = False
        return client.api

    def nodes(self) -> dict[str, Node]:
        """Return the nodes by their id.

        Raises:
            KickoffError: This engine is no manager, or the managers have no leader (exit 4).
        """
        found = self._ask(lambda: self._api.nodes())  # noqa: PLW0108 - opened within
        return {one["ID"]: _node(one) for one in found}

    def services(self, labels: Mapping[str, str]) -> list[Service]:
        """Return the services that have all these labels."""
        wanted = [f"{key}={text}" for key, text in labels.items()]
        found = self._ask(lambda: self._api.services(filters={"label": wanted}))
        return [_service(one) for one in found]

    def tasks(self, services: Collection[str]) -> list[Task]:
        """Return the tasks of services by their ids, the oldest first; also of those that were removed."""
        found = [_task(one) for one in self._ask(lambda: self._api.tasks())]  # noqa: PLW0108
        return sorted((one for one in found if one.service in services), key=lambda task: task.made)

    def remove(self, services: Sequence[Service], seconds: float) -> None:
        """Remove services, wait until their tasks have ended, and remove what their stacks were given.

        A task on a node that nobody hears of is not waited for.

        Raises:
            KickoffError: One does not end in that time (exit 4).
        """
        for service in services:
            self._gone(self._api.remove_service, service.id)
        ids = {service.id for service in services}
        deadline = time.monotonic() + seconds
        while running := self._running(ids):
            if time.monotonic() > deadline:
                raise KickoffError(
                    f"{running} did not end within {seconds:g} s",
                    code=ExitCode.UNREACHABLE,
                    hint="`docker node ls` shows whether its node is well",
                )
            time.sleep(_PAUSE_SECONDS)
        for stack in {service.stack for service in services}:
            self._remove_given(stack)

    def _running(self, ids: Collection[str]) -> str:
        """Return one of the tasks that still run on a node that is heard of, in words; or nothing."""
        nodes = self.nodes()
        for task in self.tasks(ids):
            node = nodes.get(task.node)
            if task.state not in ENDED and node is not None and node.ready:
                return f"a task on {node.name}"
        return ""

    def _remove_given(self, stack: str) -> None:
        named = {"label": f"{_STACK}={stack}"}
        for listed, remove in (
            (self._api.secrets, self._api.remove_secret),
            (self._api.configs, self._api.remove_config),
        ):
            for one in self._ask(partial(listed, filters=named)):
                self._gone(remove, one["ID"])

    def _gone(self, remove: Callable[[str], object], identity: str) -> None:
        with suppress(docker.errors.NotFound):
            self._ask(partial(remove, identity))

    def logs(self, service: Service, lines: int) -> list[str]:
        """Return the last lines that the instances of a service wrote, in the order of their times."""
        options = {"stdout": True, "stderr": True, "timestamps": True, "tail": lines}
        text: bytes = self._ask(lambda: b"".join(self._api.service_logs(service.id, is_tty=False, **options)))
        told = [line for line in text.decode(errors="replace").splitlines() if line]
        stamped = sorted(line for line in told if _STAMPED.match(line))
        # The rest is the managers' own: whose log they could not get.
        rest = [line for line in told if not _STAMPED.match(line)]
        return [*(line.partition(" ")[2] for line in stamped), *rest][-lines:]

    def _ask(self, question: Callable[[], _Found]) -> _Found:
        """Ask until there is a leader.

        Raises:
            docker.errors.NotFound: What is asked for is not there.
            KickoffError: The engine does not answer, or is no manager, or there is no leader (exit 4).
        """
        while True:
            try:
                found = question()
            except docker.errors.NotFound:
                raise
            except (docker.errors.DockerException, requests.RequestException) as error:
                # Waited for once, however many questions there are.
                self._leaderless_since = self._leaderless_since or time.monotonic()
                patient = time.monotonic() - self._leaderless_since < LEADERLESS_SECONDS
                if not (_leaderless(error) and patient):
                    raise _unanswered(error) from None
            else:
                self._leaderless_since = 0.0
                return found
            time.sleep(_PAUSE_SECONDS)


def _leaderless(error: Exception) -> bool:
    return "does not have a leader" in str(error) or "context deadline exceeded" in str(error)


def _unanswered(error: Exception) -> KickoffError:
    text = str(error).strip()
    hint = "start it, give this user access to it (group docker), or look at `docker info`"
    what = "the Docker engine does not do what it is asked"
    if _leaderless(error):
        what = "the Swarm has no leader, so nothing of it can be changed; users are served as before"
        hint = "bring back managers until more than half of them run; `docker node ls` shows them"
    elif "not a swarm manager" in text:
        what = "this engine is not a manager of a Swarm"
        hint = "name managers in DEPLOY_HOST; `docker swarm init` makes the first one"
    return KickoffError(
        what, code=ExitCode.UNREACHABLE, causes=[masking.cut(text.splitlines()[-1], 300)], hint=hint
    )


def current(tasks: Sequence[Task]) -> dict[int, Task]:
    """Return the newest task of each slot, of tasks in the order of their making."""
    return {task.slot: task for task in tasks}


def faults(tasks: Sequence[Task]) -> list[Task]:
    """Return those tasks that ended by themselves, the oldest first.

    One whose node was lost is replaced while nobody knows how it ended; that it failed is told by a node
    that comes back, after its replacement was made.
    """
    found = []
    for task in tasks:
        later = min(
            (one.made for one in tasks if one.slot == task.slot and one.made > task.made), default=None
        )
        if task.state in _FAULTS and (later is None or task.told <= later):
            found.append(task)
    return found


def moved(task: Task, tasks: Sequence[Task], faults: Collection[Task]) -> bool:
    """Return whether a task takes the place of one that did not end by itself."""
    before = [one for one in tasks if one.slot == task.slot and one.made < task.made]
    return bool(before) and before[-1] not in faults


def _node(found: Mapping[str, Any]) -> Node:
    status = found["Status"]
    address = status.get("Addr", "")
    if address in ("", "0.0.0.0", "127.0.0.1"):  # noqa: S104 - what a manager may call itself
        address = (found.get("ManagerStatus") or {}).get("Addr", "").rpartition(":")[0]
    return Node(
        id=found["ID"],
        name=found["Description"]["Hostname"],
        address=address,
        ready=status["State"] == "ready",
        active=found["Spec"]["Availability"] == "active",
    )


def _service(found: Mapping[str, Any]) -> Service:
    spec = found["Spec"]
    pairs = [entry.partition("=") for entry in spec["TaskTemplate"]["ContainerSpec"].get("Env") or ()]
    ports = (found.get("Endpoint") or {}).get("Ports") or (spec.get("EndpointSpec") or {}).get("Ports") or ()
    return Service(
        id=found["ID"],
        labels=spec.get("Labels") or {},
        environment={name: text for name, _, text in pairs},
        replicas=int((spec["Mode"].get("Replicated") or {}).get("Replicas", 0)),
        published={int(port["TargetPort"]): int(port.get("PublishedPort", 0)) for port in ports},
        made=_seconds(found["CreatedAt"]),
    )


def _task(found: Mapping[str, Any]) -> Task:
    status = found["Status"]
    container = status.get("ContainerStatus") or {}
    return Task(
        id=found["ID"],
        service=found["ServiceID"],
        slot=int(found.get("Slot", 0)),
        node=found.get("NodeID", ""),
        state=status["State"],
        why=status.get("Err") or status.get("Message", ""),
        code=int(container.get("ExitCode", 0)),
        container=container.get("ContainerID", ""),
        made=_seconds(found["CreatedAt"]),
        told=_seconds(status["Timestamp"]),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
