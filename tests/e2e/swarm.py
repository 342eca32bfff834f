"""The fixture service on a real Swarm of three engines, with etcd beside them that all of them reach."""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from docker.transport.unixconn import UnixHTTPConnection

from kickoff.release.model import Colour
from kickoff.release.session import Session
from kickoff.release.stores import StateStore
from kickoff.release.stores.etcd import Store
from kickoff.release.targets.ports import free_port
from kickoff.release.targets.swarm.target import SwarmTarget
from tests.e2e.containers import ContainerProject, docker
from tests.e2e.project import REPOSITORY
from tests.etcd import Cluster, cluster

PROGRAM = os.environ.get("KICKOFF_TEST_CLUSTER", "")
"""A program that makes three engines with addresses of their own, joined to one Swarm, and stops, starts, cuts off
and mends one by its number."""
REGISTRY = "127.0.0.1:5000/kickoff-test"
"""A registry that every node reaches by this name."""
NODES = (1, 2, 3)
HERE = "10.77.0.254"
"""The address of this machine in the network of the nodes."""
TRAEFIK = f"{REGISTRY}/traefik:v3.7.15"
LOCK = Path(tempfile.gettempdir()) / "kickoff-test-cluster.lock"
GUIDE = REPOSITORY / "docs" / "how-to" / "swarm.md"


def run(*arguments: str, seconds: float = 180) -> str:
    """Run a command of that program; return what it prints."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@cache
def problem() -> str:
    """Return why there can be no Swarm here; empty when there can."""
    if not PROGRAM:
        return "KICKOFF_TEST_CLUSTER names no program that makes several engines"
    with LOCK.with_suffix(".up").open("w") as lock:  # one process makes them, and the others find them
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([PROGRAM, "up", "3"], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        return f"no Swarm came up: {done.stdout}{done.stderr}"[-500:]
    for number in NODES:
        on(1, "node", "update", "--label-add", "edge=yes", f"node{number}")
    return ""


def node(number: int) -> dict[str, str]:
    """Return the environment in which Docker's commands reach a node's engine."""
    found = dict(line.split("=", 1) for line in run("env").splitlines())
    return {"DOCKER_HOST": found[f"KIT_NODE{number}_DOCKER_HOST"]}


def on(number: int, *arguments: str) -> str:
    """Run a docker command on a node's engine; return what it prints."""
    done = subprocess.run(
        ["docker", *arguments], env=os.environ | node(number), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"docker {arguments} on node {number}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def etcd(folder: Path, size: int = 1) -> Iterator[Cluster]:
    """Run etcd where the nodes reach it, with certificates."""
    with cluster(folder, size, tls=True, host=HERE) as found:
        yield found


@contextmanager
def alone(*, alone: bool = True) -> Iterator[None]:
    """Keep others from the nodes while one is lost, or, if not alone, only those who lose one."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def await_nodes() -> None:
    """Wait until every node is heard of, and one of them leads."""
    deadline = time.monotonic() + 90
    while True:
        done = subprocess.run(
            ["docker", "node", "ls", "--format", "{{.Status}}"], env=os.environ | node(1), capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.stdout.split() == ["Ready"] * len(NODES):
            return
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(0.5)


def tidy_connect(connection: UnixHTTPConnection) -> None:
    """Connect as Docker's library does, which leaves its socket open where a lost engine does not take it."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened.settimeout(connection.timeout)
    try:
        opened.connect(connection.unix_socket)
    except OSError:
        opened.close()
        raise
    connection.sock = opened


@contextmanager
def losing(*numbers: int) -> Iterator[Callable[[], None]]:
    """Yield what loses nodes at once; at the end they are there again, and heard of."""

    def lose() -> None:
        for number in numbers:
            run("stop", str(number))

    try:
        yield lose
    finally:
        # Without a quorum none comes up by itself, so all of them are started at once.
        with ThreadPoolExecutor(len(numbers)) as pool:
            list(pool.map(lambda number: run("start", str(number)), numbers))
        await_nodes()


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition comes true.

    Raises:
        AssertionError: It does not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


class SwarmProject(ContainerProject):
    """A project whose development environment is a Swarm of three nodes.

    Args:
        folder: Temporary folder that holds the project and its state.
        members: The etcd that keeps its state and its route.
        manager: The node whose engine commands ask.
    """

    def __init__(self, folder: Path, members: Cluster, manager: int = 1) -> None:
        self.members, self.manager = members, manager
        self.engines = folder / "engines"
        self.engines.mkdir()
        for number in NODES:
            (self.engines / f"node{number}.sock").symlink_to(
                node(number)["DOCKER_HOST"].removeprefix("unix://")
            )
        docker("tag", "traefik:v3.7.15", TRAEFIK)
        docker("push", "--quiet", TRAEFIK)
        super().__init__(folder, REGISTRY)
        root = self.state / "fixture" / "development"
        self.members.named_in(root, ())

    def _fill(self) -> None:
        super()._fill()
        self.set(DEPLOY_TARGET="swarm", NODE_ENGINES=f"unix://{self.engines}/{{name}}.sock")
        (self.root / "docker-compose.development.yml").write_text(self._compose(), encoding="utf-8")

    def _compose(self) -> str:
        """Return the compose file that the guide shows, with the fixture in the place of its service."""
        (indented,) = re.findall(r"( *)```yaml\n( *name: .*?)\n *```", GUIDE.read_text("utf-8"), re.DOTALL)
        text = textwrap.dedent(indented[1]) + "\n"
        for shown, own in self._replaced().items():
            assert shown in text, f"the guide no longer has {shown!r}"
            text = text.replace(shown, own)
        return text

    def _replaced(self) -> Mapping[str, str]:
        return {
            "name: shop-production\n": f"name: {self.name}\n",
            "image: traefik:v3.7.15": f"image: {TRAEFIK}",
            'published: "8091"': f'published: "{free_port()}"',
            'published: "8092"': f'published: "{free_port()}"',
        }

    @property
    def environ(self) -> dict[str, str]:
        return super().environ | node(self.manager)

    def build(self, commit: str) -> str:
        """Build and push the image of ``commit`` on this machine; return its digest."""
        with patch.dict(os.environ):
            os.environ.pop("DOCKER_HOST", None)
            return super().build(commit)

    @property
    def address(self) -> str:
        """The public address at the first node."""
        return self.addresses[0]

    @property
    def addresses(self) -> list[str]:
        """The public address at each node."""
        return [f"http://10.77.0.{number}:{self.port}" for number in NODES]

    @property
    def store(self) -> StateStore:  # type: ignore[override] # in etcd, not in files
        return self.session().store

    def services_running(self) -> list[int]:
        """The process of one task of each colour, worker and hook that has any."""
        found = {}
        for number in NODES:
            names = on(number, "ps", "--format", "{{.Names}}").split()
            ours = [name for name in names if name.startswith(self.name) and "_traefik" not in name]
            for name in ours:
                found[name.partition(".")[0]] = int(on(number, "inspect", "--format", "{{.State.Pid}}", name))
        return list(found.values())

    def records(self) -> list[dict[str, Any]]:
        store = self.store
        assert isinstance(store, Store)
        found = store.client.below(store.keys.attempts)
        return [json.loads(one.value) for one in sorted(found, key=lambda pair: pair.created)]

    def expected(self, which: str) -> str:
        """The release that is live, or the candidate."""
        return self.session().expected_release(which)

    def open_attempt(self) -> str:
        """The id of the attempt that was begun and not finished."""
        attempt = self.store.open_attempt()
        assert attempt is not None
        return attempt.id

    def move(self, manager: int) -> None:
        """Let commands run as on another manager, whose state folder names the members of etcd alone."""
        self.manager = manager
        self.state = self.state.with_name(f"state-of-{manager}")
        self.members.named_in(self.state / "fixture" / "development", ())

    def session(self) -> Session:
        """Open the environment in this process, as a command of this manager does."""
        with patch.dict(os.environ, self.environ):
            return super().session()

    def served_at(self, number: int) -> str:
        """The release that answers on the public address of a node."""
        return httpx.get(self.addresses[number - 1], timeout=10, trust_env=False).headers["X-Release"]

    def assert_settled(self, release: str) -> None:
        """As on one host, once the proxies of nodes that were lost are back; users are served by all of them."""
        until(lambda: {self._answer(number) for number in NODES} == {release}, 60)
        super().assert_settled(release)

    def _answer(self, number: int) -> str:
        try:
            return self.served_at(number)
        except httpx.HTTPError:
            return ""

    def nodes_of(self, colour: Colour) -> set[str]:
        """The nodes on which instances of a colour run, as the Swarm says."""
        target = self.session().target
        assert isinstance(target, SwarmTarget)
        nodes = target._swarm.nodes()
        running = target._inventory.running(colour)
        wanted = target._inventory.of(str(colour))
        assert wanted is not None
        return {nodes[task.node].name for task in running} if len(running) == wanted.replicas else set()

    def start_late(self, colour: Colour, folder: Path, fence: int) -> None:
        """Start a release as a run does that was overtaken after it had looked for others."""
        target = self.session().target
        assert isinstance(target, SwarmTarget)
        with patch.object(SwarmTarget, "stop"):
            target.start(colour, folder, fence)

    def left_behind(self) -> Sequence[object]:
        """Services and secrets of this project in the Swarm that belong to no colour which runs, and to no proxy."""
        colours = {str(colour) for colour in self.store.state().slots}
        form = (
            '{{index .Spec.Labels "kickoff.colour"}} {{index .Spec.Labels "kickoff.process"}} {{.Spec.Name}}'
        )
        named = on(
            self.manager, "service", "ls", "--quiet", "--filter", f"label=kickoff.project={self.name}"
        ).split()
        rows = [on(self.manager, "service", "inspect", "--format", form, one).split() for one in named]
        known = [row[-1].rpartition("_")[0] for row in rows if row[0] in colours or row[-2] == "traefik"]
        secrets_ = on(
            self.manager, "secret", "ls", "--format", "{{.Name}}", "--filter", f"name={self.name}"
        ).split()
        strays = [one for one in secrets_ if not any(one.startswith(f"{stack}_") for stack in known)]
        return strays + [row[-1] for row in rows if row[-1].rpartition("_")[0] not in known]

    def close(self) -> None:
        """Remove everything this project put into the Swarm."""
        ours = f"label=kickoff.project={self.name}"
        named = on(self.manager, "service", "ls", "--quiet", "--filter", ours).split()
        stacks = {
            on(
                self.manager,
                "service",
                "inspect",
                "--format",
                '{{index .Spec.Labels "com.docker.stack.namespace"}}',
                one,
            ).strip()
            for one in named
        }
        for stack in sorted(stacks, key=len, reverse=True):
            on(self.manager, "stack", "rm", stack)
        shutil.rmtree(self.engines)
