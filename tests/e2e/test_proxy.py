"""A real Traefik: routes are applied, read back, restored when broken, and carry requests."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import COLOUR_HEADER, Route
from kickoff.release.routers import Meter, traefik
from kickoff.release.routers.traefik import Proxy, provider, static_configuration

pytestmark = pytest.mark.e2e


class Server(ThreadingHTTPServer):
    """A service that answers with its own name."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(200)

            def do_POST(self) -> None:
                self._answer(201)

            def _answer(self, status: int) -> None:
                status = {"/fail": 500, f"/not-on-{name}": 503}.get(self.path, status)
                body = name.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[Colour, str]]:
    running = {colour: Server(str(colour)) for colour in Colour}
    threads = [threading.Thread(target=server.serve_forever) for server in running.values()]
    for thread in threads:
        thread.start()
    yield {colour: server.url for colour, server in running.items()}
    for server in running.values():
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join(10)


class Running:
    """A Traefik of this test: its control side and its two public addresses."""

    def __init__(self, proxy: Proxy, public: str, candidate: str) -> None:
        self.proxy, self.public, self.candidate = proxy, public, candidate

    def answers(self, count: int = 20) -> set[str]:
        with httpx.Client() as client:
            return {client.get(f"{self.public}/").text for _ in range(count)}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    binary = shutil.which("traefik", path=str(Path(sys.executable).parent)) or shutil.which("traefik")
    assert binary is not None, "Traefik is installed by `make install`"
    public, candidate, admin = free_ports(3)
    (tmp_path / "traefik" / "dynamic").mkdir(parents=True)
    configuration = tmp_path / "traefik.yml"
    configuration.write_text(
        static_configuration(
            provider(tmp_path), public=public, candidate=candidate, admin=admin, slow_seconds=0.777
        )
    )
    log = tmp_path / "traefik.log"
    with (
        log.open("wb") as stream,
        subprocess.Popen([binary, f"--configFile={configuration}"], stdout=stream, stderr=stream) as process,
    ):
        try:
            proxy = Proxy(f"http://127.0.0.1:{admin}", tmp_path / "traefik" / "dynamic")
            deadline = time.monotonic() + 30
            while not answers(f"http://127.0.0.1:{admin}/ping"):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield Running(proxy, f"http://127.0.0.1:{public}", f"http://127.0.0.1:{candidate}")
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def route(servers: dict[Colour, str], weights: dict[Colour, int], fallback: Colour | None = None) -> Route:
    addresses = {colour: (server,) for colour, server in servers.items()}
    return Route(addresses, weights, fallback, sticky=False, live_paths=dict.fromkeys(servers, "/"))


def test_traffic_follows_the_route(running: Running, servers: dict[Colour, str]) -> None:
    proxy = running.proxy
    proxy.apply(route({}, {}))
    assert httpx.get(running.public).status_code == 503, "nothing is live yet: come back later"

    only_blue = {Colour.BLUE: servers[Colour.BLUE]}
    proxy.apply(route(only_blue, {Colour.BLUE: 100}))
    assert proxy.weights() == {Colour.BLUE: 100}
    assert running.answers() == {"blue"}

    proxy.apply(route(servers, {Colour.BLUE: 100, Colour.GREEN: 0}))
    assert running.answers() == {"blue"}
    for colour in Colour:
        answer = httpx.get(running.candidate, headers={COLOUR_HEADER: str(colour)})
        assert answer.text == str(colour), "the private entry reaches a colour without public traffic"
    assert httpx.get(running.public, headers={COLOUR_HEADER: "green"}).text == "blue"

    proxy.apply(route(servers, {Colour.BLUE: 50, Colour.GREEN: 50}))
    assert running.answers() == {"blue", "green"}

    proxy.apply(route(servers, {Colour.GREEN: 100}, fallback=Colour.BLUE))
    assert proxy.weights() == {Colour.GREEN: 100}
    assert running.answers() == {"green"}


def test_public_requests_are_counted_by_colour_and_private_ones_apart(
    running: Running, servers: dict[Colour, str]
) -> None:
    running.proxy.apply(route(servers, {Colour.BLUE: 100}))
    meter = Meter(running.proxy.metrics())
    assert running.answers(10) == {"blue"}
    assert httpx.get(f"{running.public}/fail").status_code == 500
    httpx.get(running.candidate, headers={COLOUR_HEADER: "blue"})
    seen = meter.add(running.proxy.metrics())["blue"]
    assert seen.codes == {200: 10, 500: 1}
    assert seen.timed == 11
    assert 0.777 in seen.buckets


def test_a_route_traefik_does_not_take_is_undone(
    running: Running, servers: dict[Colour, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = route(servers, {Colour.BLUE: 100})
    running.proxy.apply(good)
    monkeypatch.setattr(traefik, "APPLY_SECONDS", 2.0)
    monkeypatch.setattr(traefik, "to_yaml", lambda _: "http: {services: [garbage\n")
    with pytest.raises(KickoffError, match="previous one was restored") as caught:
        running.proxy.apply(route(servers, {Colour.GREEN: 100}))
    assert caught.value.code is ExitCode.UNREACHABLE
    assert "weights {'blue': 100}" in caught.value.causes[0]
    assert running.proxy.weights() == {Colour.BLUE: 100}
    assert running.answers() == {"blue"}
    monkeypatch.undo()
    running.proxy.apply(route(servers, {Colour.GREEN: 100}))
    assert running.answers() == {"green"}


def test_a_dead_colour_is_covered_by_the_fallback(running: Running, servers: dict[Colour, str]) -> None:
    [closed] = free_ports(1)
    dead = servers | {Colour.GREEN: f"http://127.0.0.1:{closed}"}
    running.proxy.apply(route(dead, {Colour.GREEN: 100}, fallback=Colour.BLUE))
    assert running.answers() == {"blue"}, "reads are covered from the first one on"
    deadline = time.monotonic() + 20
    while httpx.post(running.public).status_code != 201:
        assert time.monotonic() < deadline, "the fallback never took over"
        time.sleep(0.1)
    assert httpx.get(f"{running.public}/fail").status_code == 500, "what a release answers is its own"


def test_a_write_is_never_repeated_on_the_fallback(running: Running, servers: dict[Colour, str]) -> None:
    running.proxy.apply(route(servers, {Colour.GREEN: 100}, fallback=Colour.BLUE))
    address = f"{running.public}/not-on-green"
    read, write = httpx.get(address), httpx.post(address)
    assert (read.status_code, read.text) == (200, "blue")
    assert (write.status_code, write.text) == (503, "green")
    [counted] = running.proxy.metrics().values()
    assert counted["green"].codes[503] >= 2, "the judge sees what users are spared"


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "/metrics/x?y",
        "//metrics",
        "/%6Detrics",
        "/a/../metrics",
        "/./docs",
        "/docs/a",
    ],
)
def test_a_private_path_answers_nobody_outside_however_it_is_written(
    running: Running, servers: dict[Colour, str], path: str
) -> None:
    live = {Colour.BLUE: "/"}
    running.proxy.apply(
        Route(
            {Colour.BLUE: (servers[Colour.BLUE],)}, {Colour.BLUE: 100}, None, sticky=False, live_paths=live,
            private_paths=("/metrics", "/docs"),
        )
    )  # fmt: skip
    target = path.encode()
    with httpx.Client() as client:
        for method in ("GET", "HEAD", "POST"):
            request = client.build_request(method, running.public)
            request.url = request.url.copy_with(raw_path=target)
            assert client.send(request).status_code == 404, method
        assert client.get(f"{running.public}/documents").text == "blue"
        assert client.get(f"{running.candidate}/metrics", headers={COLOUR_HEADER: "blue"}).text == "blue"
