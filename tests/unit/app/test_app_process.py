"""The service as a real process: it starts, drains and ends."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import copy

import httpx
import pytest
import sqlalchemy as sa

from app.drain import Drain, farewell_seconds, finish_seconds
from app.main import Service
from app.storage.tables import league
from tests.unit.app.support import RELEASE, Listener, ServerProcess, listening

MATCH = b'{"home_team": "Arsenal", "away_team": "Chelsea"}'


@pytest.fixture(scope="module")
def server(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A process for all tests of this module that do not end it."""
    database = copy(migrated, tmp_path_factory.mktemp("server") / "app.db")
    with ServerProcess(DATABASE_URL=f"sqlite+aiosqlite:///{database}", SHUTDOWN_GRACE="1s") as server:
        yield server


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(listener: Listener) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def asked(connection: Connection, request: bytes) -> bytes:
    """Send raw bytes; return what comes back until the length that the answer declares."""
    reader, writer = connection
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def refused(listener: Listener) -> None:
    """Wait until no connection is taken any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            # It was in the queue when the port was closed.
            continue
        writer.close()
        await asyncio.sleep(0.02)


async def in_flight(listener: Listener, count: int) -> None:
    """Wait until that many requests are being answered."""
    async with httpx.AsyncClient(base_url=listener.url) as client:
        while f"\nhttp_requests_in_flight {count}.0\n" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)


def test_every_answer_names_the_release_once(server: ServerProcess) -> None:
    """Refusals of the server itself, too: of what is not HTTP."""
    for method, path, status in [
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/predictions", 405),
        ("POST", "/predictions", 422),
    ]:
        answer = httpx.request(method, server.url + path)
        assert answer.status_code == status
        assert answer.headers.get_list("x-release") == [RELEASE]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"NOT HTTP\r\n\r\n")
        refusal = connection.makefile("rb").read().lower()
    assert refusal.startswith(b"http/1.1 400 ")
    assert refusal.count(f"\r\nx-release: {RELEASE}\r\n".encode()) == 1


async def test_the_last_requests_are_answered_and_told_to_hang_up(app: Service) -> None:
    head = b"POST /predictions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += b"content-length: %d\r\n\r\n" % len(MATCH)
    get = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    async with listening(app) as listener, connected(listener) as slow, connected(listener) as idle:
        assert b"connection: close" not in await asked(idle, get)
        # Half a request: in flight, and not finished when the end begins.
        slow[1].write(head + MATCH[:10])
        await in_flight(listener, 1)
        app.state.drain.begin(listener.stop)
        last = await asked(idle, get)
        assert last.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in last
        assert await idle[0].read() == b""
        await refused(listener)
        answer = await asked(slow, MATCH[10:])
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert b"connection: close" in answer
        assert f"x-release: {RELEASE}".encode() in answer
        assert await slow[0].read() == b""
        await listener.ended


def test_the_process_drains_and_ends_well_after_sigterm(database_url: str) -> None:
    with ServerProcess(DATABASE_URL=database_url, SHUTDOWN_GRACE="8s") as server:
        server.terminate()
        assert server.wait() == 0
    said = [entry["message"] for entry in server.logs]
    assert said.index("draining") < said.index("Shutting down") < said.index("Application shutdown complete.")


def test_a_request_that_never_ends_does_not_outlive_the_grace(database_url: str) -> None:
    with ServerProcess(DATABASE_URL=database_url, SHUTDOWN_GRACE="2s", REQUEST_TIMEOUT="10m") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as stuck:
            stuck.sendall(b"POST /predictions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
            while "\nhttp_requests_in_flight 1.0\n" not in httpx.get(f"{server.url}/metrics").text:
                time.sleep(0.01)
            server.terminate()
            assert server.wait() == 0
        assert any("timeout graceful shutdown exceeded" in entry["message"] for entry in server.logs)


@pytest.mark.parametrize("grace", [1.0, 2.0, 8.0, 15.0, 60.0])
def test_the_parts_of_a_drain_fit_into_the_grace(grace: float) -> None:
    assert farewell_seconds(grace) + finish_seconds(grace) <= max(grace, 1.25)


async def test_no_request_is_lost_while_it_drains(app: Service) -> None:
    """Clients with keep-alive that hang up when told to, as a proxy does, see nothing but answers."""
    outcomes: list[int] = []
    enough = asyncio.Event()

    async def visitor(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            response = httpx.Response(0)
            while response.headers.get("connection") != "close":
                response = await client.post(
                    "/predictions", content=MATCH, headers={"Content-Type": "application/json"}
                )
                outcomes.append(response.status_code)
                if len(outcomes) == 50:
                    enough.set()

    async with listening(app) as listener, asyncio.TaskGroup() as visitors:
        for _ in range(8):
            visitors.create_task(visitor(listener.url))
        await enough.wait()
        app.state.drain.begin(listener.stop)
    assert set(outcomes) == {201}


async def test_a_moment_in_which_the_process_does_not_run_is_no_quiet() -> None:
    drain, stopped = Drain(8), asyncio.Event()
    drain.begin(stopped.set)
    for _ in range(4):
        await asyncio.sleep(0)
        time.sleep(0.35)
        # The requests that came meanwhile are read now.
        await asyncio.sleep(0)
        assert not stopped.is_set()
        drain.request_arrived()
    await asyncio.wait_for(stopped.wait(), 60)


async def test_whatever_was_opened_is_closed_when_something_fails_meanwhile(app: Service) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        async with app.router.lifespan_context(app):
            assert await app.state.database.rows(sa.select(league))
            raise RuntimeError("on purpose")
    assert not {"retention", "measure"} & {task.get_name() for task in asyncio.all_tasks()}


def test_logs_are_json_with_release_and_request_id(server: ServerProcess) -> None:
    httpx.get(f"{server.url}/predictions", headers={"X-Request-ID": "my-request"})
    server.wait_for_log("GET /predictions 200")
    entry = next(entry for entry in server.logs if entry.get("request_id") == "my-request")
    assert entry["message"] == "GET /predictions 200"
    assert (entry["release"], entry["route"], entry["status"]) == (RELEASE, "/predictions", 200)
    assert all("level" in entry and "time" in entry for entry in server.logs)
