"""Several real Traefiks that read the route from real etcd: shifts under load, and whatever gets lost meanwhile."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import COLOUR_HEADER, Route
from kickoff.release.routers import Meter, MetricsUnreadable, Router, Shown, open_router, traefik_etcd
from kickoff.release.routers import edges as api
from kickoff.release.routers.traefik_etcd import EtcdRouter
from kickoff.release.stores.etcd import Store
from kickoff.release.stores.etcd_client import delete, put
from kickoff.release.stores.etcd_records import STAMP
from kickoff.release.stores.lease import Lease, Owner
from tests.e2e.project import Load
from tests.edges import Edge, edges
from tests.etcd import Cluster, cluster
from tests.servers import running

BLUE, GREEN = Colour.BLUE, Colour.GREEN
pytestmark = pytest.mark.timeout(240)


@contextmanager
def server(name: str) -> Iterator[str]:
    """A candidate that says its name, and whether it saw the header that selected it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("X-Release", name)
            self.send_header("X-Saw", self.headers.get(COLOUR_HEADER, ""))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as found:
        yield f"http://127.0.0.1:{found.server_address[1]}"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[Colour, str]]:
    with server("blue") as blue, server("green") as green:
        yield {BLUE: blue, GREEN: green}


def someone(name: str = "run-1") -> Owner:
    return Owner(f"{name}@host", name, 0, 0.0)


class Site:
    """Edges, the cluster that they read, and a run that holds the lock."""

    def __init__(self, members: Cluster, edges: Sequence[Edge], servers: dict[Colour, str]) -> None:
        self.members, self.edges, self.servers = members, edges, servers
        self.root = edges[0].root
        self.store = Store(self.root, patience=3)
        self.lease = self.store.acquire(someone(), ttl=600)

    def router(self, quorum: int = 0) -> Router:
        return open_router(self.root, (self.edges[0].api,), quorum)

    def route(self, blue: int, fallback: Colour | None = None) -> Route:
        weights = {colour: share for colour, share in ((BLUE, blue), (GREEN, 100 - blue)) if share}
        addresses = {colour: (server,) for colour, server in self.servers.items()}
        return Route(addresses, weights, fallback, False, dict.fromkeys(Colour, "/live"))

    def apply(self, blue: int, lease: Lease | None = None, quorum: int = 0) -> list[str]:
        with self.store.transact(lease or self.lease) as transaction:
            return list(self.router(quorum).apply(self.route(blue), transaction, forward=True))

    def tree(self) -> dict[str, bytes]:
        pairs = self.store.client.below(self.store.keys.route)
        return {pair.key.removeprefix(self.store.keys.route): pair.value for pair in pairs}


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("etcd")) as found:
        yield found


@contextmanager
def site(members: Cluster, folder: Path, count: int, servers: dict[Colour, str]) -> Iterator[Site]:
    root = members.named_in(folder / folder.name / "staging", [])
    with edges(root, count) as started:
        members.named_in(root, [edge.api for edge in started])
        found = Site(members, started, servers)
        try:
            yield found
        finally:
            found.store.close()


@pytest.fixture
def one(member: Cluster, tmp_path: Path, servers: dict[Colour, str]) -> Iterator[Site]:
    with site(member, tmp_path, 1, servers) as found:
        yield found


@pytest.fixture
def three(member: Cluster, tmp_path: Path, servers: dict[Colour, str]) -> Iterator[Site]:
    with site(member, tmp_path, 3, servers) as found:
        yield found


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answer(edge: Edge) -> str:
    return str(httpx.get(edge.address, timeout=5, trust_env=False).headers.get("X-Release", "none"))


def refused(act: Callable[[], object], code: ExitCode) -> KickoffError:
    with pytest.raises(KickoffError) as caught:
        act()
    assert caught.value.code is code
    return caught.value


@contextmanager
def load(edges: Sequence[Edge], rate: float) -> Iterator[list[Load]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(Load(edge.address, rate / len(edges), [("GET", "/", None)], slow_seconds=0))
            for edge in edges
        ]


def failed(loads: Sequence[Load]) -> list[str]:
    return [one for load in loads for one in load.failed]


def test_shares_shift_on_three_edges_under_load_without_a_failed_request(three: Site) -> None:
    three.apply(100)
    meter = Meter(three.router().metrics())
    with load(three.edges, 120) as loads:
        for blue in (95, 75, 50, 0, 100, 0):
            assert three.apply(blue) == []
            assert three.router().weights() == three.route(blue).weights
            assert not three.router().shown().problem
        assert [answer(edge) for edge in three.edges] == ["green"] * 3
    assert failed(loads) == []
    asked = sum(one.requests for one in loads)
    meter.add(three.router().metrics())
    counted = meter.total("blue").requests + meter.total("green").requests
    assert asked > 50
    assert counted == asked + 3, "the sum of all edges"


def test_a_candidate_is_reached_by_a_header_that_it_does_not_see(one: Site) -> None:
    one.apply(100)
    at = f"http://127.0.0.1:{one.edges[0].candidate}"
    seen = httpx.get(at, headers={COLOUR_HEADER: "green"}, trust_env=False)
    assert (seen.headers["X-Release"], seen.headers["X-Saw"]) == ("green", "")


def test_edges_take_a_route_that_drops_the_traces_of_callers(three: Site) -> None:
    with three.store.transact(three.lease) as transaction:
        assert not three.router().apply(replace(three.route(100), drops_traces=True), transaction)
    sent = {"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    answers = [httpx.get(edge.address, headers=sent, trust_env=False) for edge in three.edges]
    assert [(one.status_code, one.headers["X-Release"]) for one in answers] == [(200, "blue")] * 3


def test_the_fallback_answers_on_every_edge_when_the_live_colour_dies(three: Site) -> None:
    with server("doomed") as doomed:
        servers = {BLUE: (doomed,), GREEN: (three.servers[GREEN],)}
        route = Route(servers, {BLUE: 100}, GREEN, False, dict.fromkeys(Colour, "/live"))
        with three.store.transact(three.lease) as transaction:
            three.router().apply(route, transaction)
        assert [answer(edge) for edge in three.edges] == ["doomed"] * 3
        for edge in three.edges:  # its connection to the server goes with it, and the server can end
            edge.kill()
    for edge in three.edges:
        edge.start()
    until(lambda: [answer(edge) for edge in three.edges] == ["green"] * 3)


def test_an_edge_that_dies_under_load_is_named_and_catches_up_when_it_is_back(three: Site) -> None:
    three.apply(100)
    dead, *alive = three.edges[::-1]
    meter = Meter(three.router().metrics())
    with load(alive, 100) as loads:
        dead.kill()
        assert three.apply(50) == [dead.api]
        shown = three.router().shown()
        assert not shown.problem
        assert dead.api in shown.silent
        assert three.apply(0) == [dead.api]
        meter.add(three.router().metrics())
        before = meter.total("green").requests
        dead.start()
        until(lambda: not three.router().shown().silent and not three.router().shown().differing)
        assert answer(dead) == "green"
        assert three.apply(25) == []
    assert failed(loads) == []
    meter.add(three.router().metrics())
    assert meter.total("green").requests > before


def test_below_the_quorum_the_route_before_is_restored(three: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    three.apply(100)
    monkeypatch.setattr(traefik_etcd, "APPLY_SECONDS", 1.5)
    three.edges[2].kill()
    error = refused(lambda: three.apply(50, quorum=3), ExitCode.UNREACHABLE)
    assert "2 of 3 edges answer, and 3 have to" in error.causes[0]
    assert three.edges[2].api in error.causes[0]
    assert three.apply(75) == [three.edges[2].api]
    three.edges[1].kill()
    error = refused(lambda: three.apply(50), ExitCode.UNREACHABLE)
    assert "1 of 3 edges answer, and 2 have to" in error.causes[0]
    assert three.router().weights() == {BLUE: 75, GREEN: 25}
    assert "1 of 3 edges answer" in three.router().shown().problem
    with pytest.raises(MetricsUnreadable, match="1 of 3"):
        three.router().metrics()
    with three.store.transact(three.lease) as transaction:  # the way back needs no quorum
        assert len(three.router().apply(three.route(100), transaction)) == 2
    until(lambda: not three.router(quorum=1).shown().problem)
    assert list(three.router(quorum=1).metrics()) == [three.edges[0].api]


def test_a_paused_run_that_wakes_up_changes_nothing(one: Site) -> None:
    one.apply(100)
    before = one.tree()
    with one.store.transact(one.lease) as transaction:
        # It is paused here, for longer than its fence lasts, while somebody else takes over.
        one.store.client.transact([], [delete(one.store.keys.fence)])
        other = Store(one.root)
        other.take_over(one.lease.attempt, someone("run-2"), ttl=600, alive=True)
        refused(lambda: one.router().apply(one.route(0), transaction), ExitCode.LOCK_HELD)
    other.close()
    assert one.tree() == before
    assert one.router().weights() == {BLUE: 100}
    assert answer(one.edges[0]) == "blue"


def test_whatever_is_below_the_prefix_is_replaced_and_what_is_beside_it_does_no_harm(one: Site) -> None:
    one.apply(100)
    route = one.store.keys.route
    beside = [f"{route[:-1]}-old/http/routers/x/rule", f"{route[:-1]}_lock", route[:-1]]
    one.store.client.transact([], [put(key, os.urandom(8).hex().encode()) for key in beside])
    one.apply(0)
    assert answer(one.edges[0]) == "green"
    # One key that Traefik does not know makes it deaf to all others.
    one.store.client.transact([], [put(f"{route}http/nonsense", b"x")])
    assert "http/nonsense" in one.tree()
    one.apply(100)
    assert answer(one.edges[0]) == "blue"
    assert "http/nonsense" not in one.tree()
    assert all(one.store.client.get(key) for key in beside)


def test_environments_whose_names_begin_alike_have_routes_of_their_own(
    member: Cluster, tmp_path: Path, servers: dict[Colour, str]
) -> None:
    for name, blue in (("staging", 100), ("staging2", 0)):
        root = member.named_in(tmp_path / "shop" / name, [])
        with edges(root) as started:
            site = Site(member, started, servers)
            site.apply(blue)
            assert answer(started[0]) == ("blue" if blue else "green")
            site.store.close()
    router = open_router(tmp_path / "shop" / "staging", ("http://127.0.0.1:9",))
    assert router.weights() == {BLUE: 100}


def test_an_emptied_tree_takes_nothing_from_users_and_the_next_route_is_seen(one: Site) -> None:
    one.apply(100)
    with one.store.transact(one.lease) as transaction:
        transaction.replace(one.store.keys.route, {})
    assert list(one.tree()) == [STAMP]
    assert one.router().weights() == {}
    assert answer(one.edges[0]) == "blue", "Traefik takes no empty configuration over"
    one.apply(0)
    assert answer(one.edges[0]) == "green"


def test_an_edge_that_shows_another_route_stops_the_step_and_is_named(
    three: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.apply(100)
    monkeypatch.setattr(traefik_etcd, "APPLY_SECONDS", 3)
    difference = api.difference

    def stuck(wanted: dict[str, object], raw: dict[str, object], provider: str) -> str:
        return difference(wanted, raw, provider) or (
            "stuck" if three.router().weights() == {BLUE: 50, GREEN: 50} else ""
        )

    monkeypatch.setattr(api, "difference", stuck)
    error = refused(lambda: three.apply(50), ExitCode.UNREACHABLE)
    assert all(f"{edge.api}: stuck" in error.causes[0] for edge in three.edges)
    assert three.router().weights() == {BLUE: 100}
    until(lambda: not three.router().shown().problem)


def test_a_way_back_stays_written_when_one_edge_does_not_take_it(
    three: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.apply(0)
    monkeypatch.setattr(traefik_etcd, "APPLY_SECONDS", 3)
    compare, asked = api.Edges.shown, three.edges[1].api

    def deaf(found: api.Edges, wanted: dict[str, object]) -> Shown:
        shown = compare(found, wanted)
        return Shown(shown.proxies, shown.silent, {**shown.differing, asked: "another route"}, shown.needed)

    with three.store.transact(three.lease) as transaction, monkeypatch.context() as patched:
        patched.setattr(api.Edges, "shown", deaf)
        error = refused(lambda: three.router().apply(three.route(100), transaction), ExitCode.UNREACHABLE)
    assert "the others have it" in str(error)
    assert asked in error.causes[0]
    assert three.router().weights() == {BLUE: 100}
    assert answer(three.edges[0]) == "blue"


def test_a_paused_edge_costs_a_step_seconds_and_counts_on_when_it_wakes_up(three: Site) -> None:
    three.apply(100)
    paused = three.edges[1]
    assert paused.process is not None
    answer(paused)
    meter = Meter(three.router().metrics())
    for edge in three.edges:
        answer(edge)
    paused.process.send_signal(signal.SIGSTOP)
    assert three.apply(50) == [paused.api]
    meter.add(three.router().metrics())
    assert meter.total("blue").requests == 2
    paused.process.send_signal(signal.SIGCONT)
    until(lambda: not three.router().shown().silent and not three.router().shown().problem)
    meter.add(three.router().metrics())
    assert meter.total("blue").requests == 3


def test_without_etcd_users_are_served_and_nothing_is_changed_until_it_is_back(
    tmp_path: Path, servers: dict[Colour, str]
) -> None:
    with cluster(tmp_path / "etcd") as members, site(members, tmp_path, 3, servers) as three:
        three.apply(100)
        with load(three.edges, 100) as loads:
            members.kill()
            refused(lambda: three.apply(0), ExitCode.UNREACHABLE)
            refused(three.router().weights, ExitCode.UNREACHABLE)
            assert {answer(edge) for edge in three.edges} == {"blue"}
            members.start()
            assert three.router().weights() == {BLUE: 100}
            until(lambda: applied(three, 0))
            assert {answer(edge) for edge in three.edges} == {"green"}
        assert failed(loads) == []


def applied(site: Site, blue: int) -> bool:
    """Try until the edges have found etcd again; a try that fails leaves the route before."""
    try:
        site.apply(blue)
    except KickoffError as error:
        assert error.code is ExitCode.UNREACHABLE
        return False
    return True


def test_an_edge_that_starts_without_etcd_has_no_route_until_it_is_back(
    tmp_path: Path, servers: dict[Colour, str]
) -> None:
    with cluster(tmp_path / "etcd") as members, site(members, tmp_path, 1, servers) as one:
        one.apply(100)
        edge = one.edges[0]
        edge.kill()
        members.kill()
        edge.start()
        assert httpx.get(edge.address, trust_env=False).status_code == 404
        members.start()
        until(lambda: answer(edge) == "blue")


def test_one_of_three_members_may_be_lost_and_revisions_be_compacted(
    tmp_path: Path, servers: dict[Colour, str]
) -> None:
    with cluster(tmp_path / "etcd", 3) as members, site(members, tmp_path, 3, servers) as three:
        three.apply(100)
        with load(three.edges, 100) as loads:
            members.kill(members.leader())
            until(lambda: applied(three, 50))
            newest = max(pair.modified for pair in three.store.client.below(three.store.keys.route))
            alive = next(one for one in members.members if one.process)
            httpx.post(
                f"{alive.endpoint}/v3/kv/compaction", json={"revision": str(newest), "physical": True},
                trust_env=False, timeout=30,
            ).raise_for_status()  # fmt: skip
            until(lambda: applied(three, 0))
            assert {answer(edge) for edge in three.edges} == {"green"}
        assert failed(loads) == []


def test_a_full_database_is_named_and_users_are_served(tmp_path: Path, servers: dict[Colour, str]) -> None:
    small = (f"--quota-backend-bytes={4 << 20}",)
    with (
        cluster(tmp_path / "etcd", options=small) as members,
        site(members, tmp_path, 1, servers) as one,
    ):
        one.apply(100)
        with one.store.transact(one.lease) as transaction:
            with pytest.raises(KickoffError):
                for _ in range(60):
                    one.store.client.transact([], [put("filler", os.urandom(200_000))])
            error = refused(lambda: one.router().apply(one.route(0), transaction), ExitCode.UNREACHABLE)
        assert "NOSPACE" in str(error)
        assert one.router().weights() == {BLUE: 100}
        assert answer(one.edges[0]) == "blue"


def test_a_route_that_one_transaction_cannot_hold_is_refused(one: Site) -> None:
    one.apply(100)
    before = one.tree()
    with one.store.transact(one.lease) as transaction:
        many = {f"http/{number}": "x" for number in range(128)}
        refused(lambda: transaction.replace(one.store.keys.route, many), ExitCode.BAD_INPUT)
    assert one.tree() == before
    assert isinstance(one.router(), EtcdRouter)
