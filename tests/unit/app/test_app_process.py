"""The service as a real process: it starts, drains and ends."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from app.drain import farewell_seconds, finish_seconds
from tests.unit.app.support import RELEASE, ServerProcess

JSON = {"Content-Type": "application/json"}
MATCH = b'{"home_team": "Arsenal", "away_team": "Chelsea"}'


@pytest.fixture
def server(database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(DATABASE_URL=database_url, SHUTDOWN_GRACE="8s") as server:
        yield server


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Send raw bytes; return what comes back until the length that the answer declares."""
    connection.sendall(request)
    return receive(connection)


def receive(connection: socket.socket) -> bytes:
    """Return one answer, or nothing when the other side hung up."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(4096)
        if not part:
            return received
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(4096)
    return head + b"\r\n\r\n" + body


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def test_what_is_not_http_is_refused_with_the_release(server: ServerProcess) -> None:
    with closing(connect(server)) as connection:
        answer = exchange(connection, b"NOT HTTP\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert f"x-release: {RELEASE}".encode() in head
    assert json.loads(body)["status"] == 400


def test_the_last_requests_are_answered_and_told_to_hang_up(server: ServerProcess) -> None:
    head = b"POST /predictions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += b"content-length: %d\r\n\r\n" % len(MATCH)
    get = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    with closing(connect(server)) as slow, closing(connect(server)) as idle:
        assert b"connection: close" not in exchange(idle, get)
        # Half a request: in flight, and not finished when the signal comes.
        slow.sendall(head + MATCH[:10])
        wait_for_in_flight(server, 1)
        server.terminate()
        server.wait_for_log("draining")
        last = exchange(idle, get)
        assert last.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in last
        assert receive(idle) == b""
        server.wait_for_log("Shutting down")
        answer = exchange(slow, MATCH[10:])
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert b"connection: close" in answer
        assert f"x-release: {RELEASE}".encode() in answer
        assert receive(slow) == b""
    assert server.wait() == 0


def test_a_request_that_never_ends_does_not_outlive_the_grace(database_url: str) -> None:
    with ServerProcess(DATABASE_URL=database_url, SHUTDOWN_GRACE="2s", REQUEST_TIMEOUT="10m") as server:
        with closing(connect(server)) as stuck:
            stuck.sendall(b"POST /predictions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
            wait_for_in_flight(server, 1)
            server.terminate()
            assert server.wait() == 0
        assert any("timeout graceful shutdown exceeded" in entry["message"] for entry in server.logs)


@pytest.mark.parametrize("grace", [1.0, 2.0, 8.0, 15.0, 60.0])
def test_the_parts_of_a_drain_fit_into_the_grace(grace: float) -> None:
    assert farewell_seconds(grace) + finish_seconds(grace) <= max(grace, 1.25)


async def test_no_request_is_lost_while_it_drains(server: ServerProcess) -> None:
    """Clients with keep-alive that hang up when told to, as a proxy does, see nothing but answers."""
    outcomes: list[int] = []
    draining = asyncio.Event()

    async def visitor() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            while not draining.is_set():
                response = await client.post(
                    "/predictions", content=MATCH, headers={"Content-Type": "application/json"}
                )
                outcomes.append(response.status_code)
                if response.headers.get("connection") == "close":
                    draining.set()

    visitors = [asyncio.create_task(visitor()) for _ in range(8)]
    while len(outcomes) < 50:
        await asyncio.sleep(0.01)
    server.terminate()
    await asyncio.wait_for(asyncio.gather(*visitors), 30)
    assert set(outcomes) == {201}
    assert await asyncio.to_thread(server.wait) == 0


def test_logs_are_json_with_release_and_request_id(server: ServerProcess) -> None:
    httpx.get(f"{server.url}/predictions", headers={"X-Request-ID": "my-request"})
    server.stop()
    entry = next(entry for entry in server.logs if entry.get("request_id") == "my-request")
    assert entry["message"] == "GET /predictions 200"
    assert (entry["release"], entry["route"], entry["status"]) == (RELEASE, "/predictions", 200)
    assert all("level" in entry and "time" in entry for entry in server.logs)


def wait_for_in_flight(server: ServerProcess, count: int) -> None:
    """Wait until that many requests are being answered."""
    line = f"\nhttp_requests_in_flight {count}.0\n"
    for _ in range(1000):
        if line in httpx.get(f"{server.url}/metrics").text:
            return
    raise AssertionError(f"never {count} requests in flight")
