"""Each router: a route that was applied is read back, and one that was not taken over changes nothing."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route
from kickoff.release.routers import (
    ROUTERS,
    MetricsUnreadable,
    Router,
    kind_of,
    open_router,
    traefik,
    traefik_etcd,
)
from kickoff.release.stores import Transaction, open_store
from tests.contract.routers.memory import MemoryRouter
from tests.edges import edges as started
from tests.etcd import Cluster, cluster
from tests.servers import running

BLUE, GREEN = Colour.BLUE, Colour.GREEN
SERVERS = {BLUE: ("http://127.0.0.1:9001",), GREEN: ("http://127.0.0.1:9002",)}
ROUTES = {
    "maintenance": Route({}, {}, None, False, {}),
    "first candidate": Route({BLUE: SERVERS[BLUE]}, {}, None, False, {BLUE: "/health/live"}),
    "live": Route({BLUE: SERVERS[BLUE]}, {BLUE: 100}, None, False, {BLUE: "/health/live"}),
    "canary": Route(SERVERS, {BLUE: 95, GREEN: 5}, None, True, {BLUE: "/live", GREEN: "/alive"}),
    "with a fallback": Route(
        SERVERS, {GREEN: 100}, BLUE, False, {BLUE: "/live", GREEN: "/alive"}, ("web", "websecure")
    ),
}


class Case:
    """A router, the fence of a writer, and the switch that makes its proxy deaf to new routes."""

    def __init__(self, router: Router, transaction: Transaction, deafen: Callable[[], None]) -> None:
        self.router, self._transaction, self.deafen = router, transaction, deafen

    def apply(self, route: Route) -> Mapping[str, str]:
        return self.router.apply(route, self._transaction)


def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (traefik, "APPLY_SECONDS"),
        (traefik_etcd, "APPLY_SECONDS"),
        (traefik_etcd, "FIRST_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.1)


@contextmanager
def _memory(folder: Path, _monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    router = MemoryRouter()
    with open_store(folder / "shop" / "staging").exclusive() as transaction:
        yield Case(router, transaction, lambda: setattr(router, "stubborn", True))


@contextmanager
def _traefik_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """The provider of files with a stand-in that reports what the file says, as Traefik's API does."""
    heard, root = [True], folder / "shop" / "staging"
    file = root / "traefik" / "dynamic" / "route.yml"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                labels = 'code="200",method="GET",protocol="http",service="blue@file"'
                body = f"# TYPE traefik_service_requests_total counter\ntraefik_service_requests_total{{{labels}}} 1\n"
            else:
                text = file.read_text() if heard[0] else "http: {services: {}, routers: {}}"
                http = yaml.safe_load(text)["http"]
                services = {f"{name}@file": service for name, service in http["services"].items()}
                routers = {
                    f"{name}@file": {**one, "status": "enabled"} for name, one in http["routers"].items()
                }
                body = json.dumps({"services": services, "routers": routers})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    def deafen() -> None:
        heard[0] = False
        _in_a_hurry(monkeypatch)

    with (
        running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server,
        open_store(root).exclusive() as transaction,
    ):
        address = f"http://127.0.0.1:{server.server_address[1]}"
        yield Case(open_router(root, (address,)), transaction, deafen)


@contextmanager
def _traefik_etcd(folder: Path, monkeypatch: pytest.MonkeyPatch, member: Cluster) -> Iterator[Case]:
    """One real Traefik that reads one real etcd; it falls deaf by being paused."""
    root = member.named_in(folder / folder.name / "staging", [])
    with started(root) as (edge,), open_store(root).exclusive() as transaction:

        def deafen() -> None:
            assert edge.process is not None
            edge.process.send_signal(signal.SIGSTOP)
            _in_a_hurry(monkeypatch)

        yield Case(open_router(root, (edge.api,)), transaction, deafen)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("etcd")) as found:
        yield found


@pytest.fixture(params=[*ROUTERS, "memory"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    with ExitStack() as stack:
        if request.param == "traefik-etcd":
            member: Cluster = request.getfixturevalue("member")
            yield stack.enter_context(_traefik_etcd(tmp_path, monkeypatch, member))
        else:
            makers = {"traefik-file": _traefik_file, "memory": _memory}
            yield stack.enter_context(makers[request.param](tmp_path, monkeypatch))


def test_before_the_first_route_there_is_none(case: Case) -> None:
    assert case.router.weights() == {}


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_that_was_applied_is_read_back_as_it_was(case: Case, name: str) -> None:
    assert case.apply(ROUTES[name]) == {}
    assert case.router.weights() == ROUTES[name].weights


def test_each_route_replaces_the_one_before(case: Case) -> None:
    for route in ROUTES.values():
        case.apply(route)
        assert case.router.weights() == route.weights


@pytest.mark.parametrize("before", [None, "live"])
def test_a_route_that_is_not_taken_over_leaves_the_one_before(case: Case, before: str | None) -> None:
    if before is not None:
        case.apply(ROUTES[before])
    case.deafen()
    with pytest.raises(KickoffError, match="previous") as caught:
        case.apply(ROUTES["canary"])
    assert caught.value.code is ExitCode.UNREACHABLE
    assert case.router.weights() == (ROUTES[before].weights if before else {})


def test_counters_come_by_the_name_of_the_colour(case: Case) -> None:
    case.apply(ROUTES["live"])
    for reading in case.router.metrics().values():
        assert set(reading) <= {"blue"}


@pytest.mark.parametrize("kind", ROUTERS)
def test_counters_that_cannot_be_read_are_no_zero(kind: str, tmp_path: Path) -> None:
    if kind == "traefik-etcd":
        (tmp_path / "etcd.json").write_text('{"endpoints": ["http://127.0.0.1:9"], "edges": []}')
    assert kind_of(tmp_path) == kind
    router = open_router(tmp_path, ("http://127.0.0.1:9",))  # the discard port: nothing listens there
    with pytest.raises(MetricsUnreadable) as caught:
        router.metrics()
    assert caught.value.code is ExitCode.UNREACHABLE
