"""Traefiks that read the route of an environment, on free ports of the loopback."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from kickoff import packages
from kickoff.release.routers import provider
from kickoff.release.routers.traefik import static_configuration
from kickoff.release.targets.ports import free_port

_STARTS_SECONDS = 60


class PortTakenError(AssertionError):
    """Somebody else began to listen on a port between its choice and the start."""


@dataclass
class Edge:
    """A Traefik: its program, and how it is reached.

    Args:
        root: State folder of the environment.
        number: Tells it from the others.
        slow_seconds: A boundary of its histograms; all edges of an environment have the same.
    """

    root: Path
    number: int
    slow_seconds: float = 0.777
    public: int = field(default_factory=free_port)
    candidate: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.admin}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.public}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        given = self.root.parent / f"edge-{self.number}.yml"
        text = static_configuration(
            provider(self.root), public=self.public, candidate=self.candidate, admin=self.admin,
            slow_seconds=self.slow_seconds,
        )  # fmt: skip
        configuration = yaml.safe_load(text)
        configuration["entryPoints"] |= {name: {"address": "127.0.0.1:0"} for name in ("web", "websecure")}
        given.write_text(yaml.safe_dump(configuration))
        with given.with_suffix(".log").open("wb") as log:
            self.process = subprocess.Popen(
                [packages.tool("traefik"), f"--configFile={given}"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _STARTS_SECONDS
        while not self.answers():
            said = given.with_suffix(".log").read_text()
            if "address already in use" in said:
                self.kill()
                raise PortTakenError(said)
            assert time.monotonic() < deadline, said[-2000:]
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/ping", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End it as a lost host does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _started(root: Path, number: int, slow_seconds: float, tries: int = 3) -> Edge:
    """Start one, on other ports when another test took one of its own meanwhile."""
    edge = Edge(root, number, slow_seconds)
    try:
        edge.start()
    except PortTakenError:
        if tries == 1:
            raise
        return _started(root, number, slow_seconds, tries - 1)
    return edge


@contextmanager
def edges(root: Path, count: int = 1, slow_seconds: float = 0.777) -> Iterator[Sequence[Edge]]:
    """Run Traefiks that read the route of the environment with this state folder."""
    with ExitStack() as stack:
        made = []
        for number in range(count):
            made.append(_started(root, number, slow_seconds))
            stack.callback(made[-1].kill)
        yield made
