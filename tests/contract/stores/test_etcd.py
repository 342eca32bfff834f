"""The store in etcd on one member: what it writes where, whose clock counts, and answers that get lost."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import EMPTY, Colour, Slot, State
from kickoff.release.stores.etcd import Store
from kickoff.release.stores.etcd_client import Client, delete, put
from kickoff.release.stores.lease import Owner, born
from tests.etcd import Cluster, cluster
from tests.racing import raced
from tests.servers import running
from tests.tools import tool

SRC = str(Path(__file__).resolve().parents[3] / "src")
LIVE = State(Colour.BLUE, None, {Colour.BLUE: Slot("r1", 1)})
pytestmark = pytest.mark.timeout(120)


def someone(run: str = "run-1", pid: int = 0, since: float = 0.0) -> Owner:
    return Owner(who=f"{run}@host", run=run, pid=pid, born=since)


def myself(run: str = "run-1") -> Owner:
    return someone(run, os.getpid(), born(psutil.Process()))


def state(port: int) -> State:
    return State(Colour.BLUE, None, {Colour.BLUE: Slot("r1", port)})


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("etcd")) as found:
        yield found


@pytest.fixture
def root(member: Cluster, tmp_path: Path) -> Path:
    return member.named_in(tmp_path / "staging")


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    with opened(root) as found:
        yield found


@pytest.fixture
def other(root: Path) -> Iterator[Store]:
    with opened(root) as found:
        yield found


@contextmanager
def opened(root: Path, **how: Any) -> Iterator[Store]:
    found = Store(root, **how)
    try:
        found.upgrade()
        yield found
    finally:
        found.close()


def refused(act: Callable[[], object], code: ExitCode = ExitCode.LOCK_HELD) -> KickoffError:
    with pytest.raises(KickoffError) as caught:
        act()
    assert caught.value.code is code
    return caught.value


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def written(store: Store, key: str, value: bytes) -> None:
    store.client.transact([], [put(key, value)])


def recorded(store: Store, attempt: str) -> list[dict[str, Any]]:
    pairs = store.client.below(store.keys.attempt(attempt), by="CREATE")
    return [json.loads(pair.value) for pair in pairs]


def test_environments_whose_names_begin_alike_never_mix(member: Cluster, tmp_path: Path) -> None:
    with (
        opened(member.named_in(tmp_path / "staging")) as staging,
        opened(member.named_in(tmp_path / "staging2")) as second,
    ):
        for number, store in enumerate((staging, second), 1):
            lease = store.acquire(someone(), ttl=600)
            with store.transact(lease) as transaction:
                transaction.note(event="opened", attempt=lease.attempt, kind="release")
                transaction.record("release", "live", f"r{number}", "")
                transaction.save(state(number))
            store.keep_log(f"r{number}", [f"log {number}"], most=1)
        for number, store in enumerate((staging, second), 1):
            assert store.state() == state(number)
            assert [entry.release for entry in store.history.entries()] == [f"r{number}"]
            found = store.open_attempt()
            assert found is not None
            assert found.id == store.lease().attempt
            assert store.kept_log(f"r{number}") == [f"log {number}"]
            assert store.kept_log(f"r{3 - number}") is None


def test_an_attempt_whose_id_begins_another_is_not_that_one(store: Store) -> None:
    with store.exclusive() as transaction:
        transaction.note(event="opened", attempt="1-ab", kind="rollback")
        with pytest.raises(KickoffError, match="no attempt '1-a'"):
            store.attempt("1-a")
        transaction.note(event="opened", attempt="1-a", kind="release")
    assert store.attempt("1-a").kind == "release"
    assert store.attempt("1-ab").kind == "rollback"


def test_every_key_is_below_the_prefix_and_traefiks_tree_is_left_alone(tmp_path: Path) -> None:
    with cluster(tmp_path / "etcd") as alone, opened(alone.named_in(tmp_path / "shop" / "staging")) as store:
        written(store, "traefik/http/routers/shop/rule", b"PathPrefix(`/`)")
        lease = store.acquire(someone(), ttl=600)
        with store.transact(lease) as transaction:
            transaction.note(event="opened", attempt=lease.attempt, kind="release")
            transaction.record("release", "live", "r1", "")
            transaction.save(LIVE)
            inside = store.client.between("\0", "\U0010ffff")
        store.keep_log("r0", ["no"], most=3)
        store.renew(lease, myself(), ttl=600)
        store.release_lock(lease)
        everything = store.client.between("\0", "\U0010ffff")
    keys = {pair.key for pair in (*inside, *everything)}
    assert store.keys.fence in keys
    assert len(keys) > 8
    assert {key for key in keys if not key.startswith("kickoff/shop/staging/")} == {
        "traefik/http/routers/shop/rule"
    }


def test_an_observer_sees_a_record_that_is_durable_already(root: Path, other: Store) -> None:
    seen = []

    def look(record: dict[str, Any]) -> None:
        seen.append((record, recorded(other, record["attempt"])[-1]))

    with opened(root, observer=look) as store:
        lease = store.acquire(someone(), ttl=600)
        with store.transact(lease) as transaction:
            transaction.note(event="opened", attempt=lease.attempt, kind="release")
        store.take_over(lease.attempt, someone(), ttl=600)
    assert [record["event"] for record, _ in seen] == ["opened", "taken over"]
    assert all(record == durable for record, durable in seen)


def test_what_was_written_before_an_exception_stays(store: Store, other: Store) -> None:
    lease = store.acquire(someone(), ttl=600)
    with pytest.raises(RuntimeError), store.transact(lease) as transaction:
        transaction.save(LIVE)
        raise RuntimeError
    assert other.state() == LIVE
    with other.exclusive() as transaction:
        transaction.save(EMPTY)


@pytest.mark.parametrize("ahead", [1e6, -1e6])
def test_a_lease_lasts_by_the_clock_of_etcd(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    lease = store.acquire(someone("run-1"), ttl=3)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + ahead)
    refused(lambda: other.acquire(someone("run-2"), ttl=600))
    until(lambda: store.client.get(store.keys.alive) is None)
    assert other.acquire(someone("run-2"), ttl=600).token == lease.token + 1


def test_renewing_keeps_one_lease_alive_and_freeing_leaves_none(store: Store) -> None:
    def leases() -> list[int]:
        found = store.client._call("lease/leases", {})[0].get("leases", ())
        asked = [store.client._call("lease/timetolive", {"ID": one["ID"]})[0] for one in found]
        granted = [int(one.get("grantedTTL", 0)) for one in asked]
        return [seconds for seconds in granted if seconds in {7001, 7002}]  # no other test asks for these

    lease = store.acquire(someone(), ttl=7001)
    for _ in range(5):
        store.renew(lease, myself(), ttl=7001)
    assert leases() == [7001]
    store.renew(lease, myself(), ttl=7002)
    assert leases() == [7002]
    store.release_lock(lease)
    assert leases() == []


def test_a_process_of_another_host_is_not_looked_for_on_this_one(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "manager-1")
    lease = store.acquire(myself("run-1"), ttl=600)
    monkeypatch.setattr("socket.gethostname", lambda: "manager-2")
    assert other.lease().owner == Owner("run-1@host", "run-1", os.getpid(), myself().born, "manager-1")
    refused(lambda: other.acquire(someone("run-2"), ttl=600))
    refused(lambda: other.take_over(lease.attempt, someone("run-1"), ttl=600))
    joined = other.join(lease.attempt, myself(), ttl=600)  # the same pid, and another process
    assert joined.token == lease.token + 1
    refused(lambda: store.transact(lease).__enter__())


CHILD = """
import sys, time
from pathlib import Path
from kickoff.program import run
from kickoff.release.model import Colour, Slot, State
from kickoff.release.stores import etcd_fence
from kickoff.release.stores.etcd import Store
from kickoff.release.stores.lease import Owner, birth_of_this_process
import os

def main():
    etcd_fence.SECONDS = 2
    store = Store(Path(sys.argv[1]))
    owner = Owner("paused@host", "paused", os.getpid(), birth_of_this_process())
    lease = store.acquire(owner, ttl=float(sys.argv[3]))
    if sys.argv[2] == "before":
        print(lease.attempt, flush=True)
        sys.stdin.readline()
    with store.transact(lease) as transaction:
        transaction.note(event="opened", attempt=lease.attempt, kind="release")
        if sys.argv[2] == "inside":
            print(lease.attempt, flush=True)
            sys.stdin.readline()
        transaction.save(State(Colour.BLUE, None, {Colour.BLUE: Slot("stale", 1)}))
        transaction.note(event="intent", attempt=lease.attempt, step="stale")
        transaction.record("release", "live", "stale", "")
    return 0

sys.exit(run(main))
"""


@contextmanager
def child(root: Path, where: str, ttl: float) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), where, str(ttl)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": SRC},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def woken(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate("\n", timeout=60)
    assert process.returncode == ExitCode.LOCK_HELD, errors
    assert "Traceback" not in errors
    return errors


@pytest.mark.parametrize("where", ["before", "inside"])
def test_a_run_that_was_paused_and_overtaken_changes_nothing(store: Store, root: Path, where: str) -> None:
    with child(root, where, 600) as (process, attempt):
        process.send_signal(signal.SIGSTOP)
        lease = store.take_over(attempt, someone("run-2"), ttl=600, alive=True)
        with store.transact(lease) as transaction:
            transaction.save(LIVE)
        before = recorded(store, attempt)
        assert "run-2@host" in woken(process)
    assert store.state() == LIVE
    assert recorded(store, attempt) == before
    assert store.history.entries() == []
    assert store.lease().token == lease.token


def test_a_lease_expires_while_its_holder_is_stopped(store: Store, root: Path) -> None:
    with child(root, "before", 2) as (process, attempt):
        process.send_signal(signal.SIGSTOP)
        refused(lambda: store.acquire(someone("run-2"), ttl=600)) if store.client.get(
            store.keys.alive
        ) else None
        until(lambda: store.client.get(store.keys.alive) is None)
        lease = store.acquire(someone("run-2"), ttl=600)
        woken(process)
    assert store.state() == EMPTY
    assert recorded(store, attempt) == []
    assert store.lease().attempt == lease.attempt


def test_a_paused_run_that_nobody_overtook_goes_on(store: Store, root: Path) -> None:
    with child(root, "inside", 600) as (process, attempt):
        process.send_signal(signal.SIGSTOP)
        with store.exclusive() as transaction:  # once the fence has fallen
            transaction.record("unlock", "recorded", "", "")
        process.send_signal(signal.SIGCONT)
        process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert [entry.action for entry in store.history.entries()] == ["unlock", "release"]
    assert store.history.verify() == 2
    assert [record["event"] for record in recorded(store, attempt)] == ["opened", "intent"]


def test_a_record_outside_of_attempts_is_not_written_once_the_fence_fell(store: Store) -> None:
    with store.exclusive() as transaction:
        store.client.transact([], [delete(store.keys.fence)])
        refused(lambda: transaction.record("stop", "recorded", "", ""))
        refused(lambda: transaction.save(LIVE))
    assert store.history.entries() == []
    assert store.state() == EMPTY


def test_whoever_was_killed_inside_the_fence_is_not_waited_for(store: Store, root: Path) -> None:
    with child(root, "inside", 600) as (process, attempt):
        process.kill()
        process.wait()
        assert store.client.get(store.keys.fence) is not None
        lease = store.take_over(attempt, someone("run-2"), ttl=600)
    found = store.open_attempt()
    assert found is not None
    assert (found.id, found.taken_by) == (attempt, "run-2@host")
    assert lease.token == 2


def test_of_many_processes_exactly_one_gets_the_lock(store: Store, root: Path) -> None:
    winner = raced(root, 4)
    assert store.lease().attempt == winner
    assert store.lease().token == 1


class Lossy(ThreadingHTTPServer):
    """A way to a member on which answers, or requests, get lost.

    Attributes:
        to: The member.
        lose: Chooses the calls whose answer is lost, by their path and body.
        hold: Chooses calls that are not passed on before ``late``.
        late: Lets what was held pass.
        lost: How many answers were lost.
    """

    daemon_threads = True

    def __init__(self, to: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.to = to
        self.lose: Callable[[str, str], bool] = lambda _path, _body: False
        self.hold: Callable[[str, str], bool] = lambda _path, _body: False
        self.late, self.passed_late = threading.Event(), threading.Event()
        self.lost = 0


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Lossy

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        held = self.server.hold(self.path, body.decode())
        if held:
            self.server.late.wait(60)
        answer = httpx.post(self.server.to + self.path, content=body, trust_env=False)
        if held or self.server.lose(self.path, body.decode()):
            self.server.lost += 1
            if held:
                self.server.passed_late.set()
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)


@pytest.fixture
def lossy(member: Cluster) -> Iterator[Lossy]:
    with running(Lossy(member.endpoints[0])) as server:
        yield server
        server.late.set()


@pytest.fixture
def by_lossy(root: Path, lossy: Lossy) -> Iterator[Store]:
    document = {"endpoints": [f"http://127.0.0.1:{lossy.server_port}"]}
    (root / "etcd.json").write_text(json.dumps(document))
    with opened(root) as store:
        yield store


def writes(path: str, body: str) -> bool:
    return path == "/v3/kv/txn" and ("request_put" in body or "request_delete" in body)


def first_of_each() -> Callable[[str, str], bool]:
    """Choose each different transaction that writes, the first time."""
    seen: set[str] = set()

    def choose(path: str, body: str) -> bool:
        if not writes(path, body) or body in seen:
            return False
        seen.add(body)
        return True

    return choose


def test_a_write_whose_answer_is_lost_is_made_once(other: Store, by_lossy: Store, lossy: Lossy) -> None:
    lossy.lose = first_of_each()
    lease = by_lossy.acquire(someone(), ttl=600)
    assert lease.token == 1
    with by_lossy.transact(lease) as transaction:
        transaction.note(event="opened", attempt=lease.attempt, kind="release")
        transaction.save(LIVE)
        transaction.record("release", "live", "r1", "")
        transaction.note(event="finished", attempt=lease.attempt, outcome="released")
    taken = by_lossy.take_over(lease.attempt, someone(), ttl=600)
    by_lossy.release_lock(taken)
    assert lossy.lost >= 12
    assert other.lease().token == 2
    assert [r["event"] for r in recorded(other, lease.attempt)] == ["opened", "finished", "taken over"]
    assert other.history.verify() == 1
    assert other.state() == LIVE
    assert not other.lease().held
    assert other.client.get(other.keys.fence) is None


def test_a_write_that_arrives_late_changes_nothing_any_more(
    other: Store, by_lossy: Store, lossy: Lossy, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = by_lossy.acquire(someone(), ttl=600)
    monkeypatch.setattr(by_lossy.client._clients[0], "timeout", httpx.Timeout(0.5))
    choose = first_of_each()
    lossy.hold = lambda path, body: "request_put" in body and f'"{name}"' in body and choose(path, body)
    name = base64.b64encode(by_lossy.keys.state.encode()).decode()
    with by_lossy.transact(lease) as transaction:
        transaction.save(state(1))
        transaction.save(state(2))
    assert other.state() == state(2)
    before = other.client.get(other.keys.state)
    lossy.late.set()
    assert lossy.passed_late.wait(30)
    assert other.client.get(other.keys.state) == before


def test_nobody_answers(member: Cluster, root: Path, tmp_path: Path) -> None:
    document = {"endpoints": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}
    (root / "etcd.json").write_text(json.dumps(document))
    error = refused(lambda: Store(root, patience=0.5), ExitCode.UNREACHABLE)
    assert "no answer from etcd" in str(error)
    assert [cause.partition(": ")[0] for cause in error.causes] == document["endpoints"]
    assert "not known" not in str(error), "nothing was sent"


def test_what_stands_before_a_member_is_not_taken_for_it(root: Path) -> None:
    class Page(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Page)) as server:
        (root / "etcd.json").write_text(json.dumps({"endpoints": [f"http://127.0.0.1:{server.server_port}"]}))
        error = refused(lambda: Store(root, patience=0.5), ExitCode.UNREACHABLE)
    assert "without JSON" in error.causes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no file that names the members"),
        ("{", "not a valid list"),
        ("[]", "not a valid list"),
        ('{"endpoints": ["http://127.0.0.1:1"], "user": "root"}', "not a valid list"),
        ('{"endpoints": []}', "no member of etcd is named"),
        ('{"endpoints": ["10.0.0.1:2379"]}', "not the address of a member"),
        ('{"endpoints": ["http://10.0.0.1:2379"]}', "is not encrypted"),
        (
            '{"endpoints": ["http://127.0.0.1:1"], "edges": ["10.0.0.1:8080"]}',
            "not the address of an edge's API",
        ),
        ('{"endpoints": ["http://127.0.0.1:1"], "edges": null}', "not a valid list"),
        ('{"endpoints": ["https://10.0.0.1:2379"]}', "ca '' is not a file"),
    ],
)
def test_a_list_of_members_that_cannot_be_used(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "etcd.json").write_text(text)
    error = refused(lambda: Store(tmp_path), ExitCode.BAD_INPUT)
    assert said in str(error)
    assert error.at == str(tmp_path / "etcd.json")


def test_a_newer_version_is_refused_even_to_a_store_that_is_open(store: Store, root: Path) -> None:
    lease = store.acquire(someone(), ttl=600)
    newer = {"version": 2, "kickoff": "9.8.7", "cluster": "1"}
    written(store, store.keys.version, json.dumps(newer).encode())
    for act in (
        lambda: Store(root),
        lambda: store.transact(lease).__enter__(),
        lambda: store.force_unlock("ada"),
    ):
        error = refused(act, ExitCode.BAD_INPUT)
        assert "the state has version 2" in str(error)
        assert "9.8.7" in error.hint
    written(store, store.keys.version, b"?")
    assert "damaged" in str(refused(lambda: Store(root), ExitCode.UNREACHABLE))


def test_a_state_that_is_damaged_or_lost_is_not_a_first_release(store: Store) -> None:
    with store.transact(store.acquire(someone(), ttl=600)) as transaction:
        transaction.save(LIVE)
        transaction.record("release", "live", "r1", "")
    changes = store.watch()
    written(store, store.keys.state, b'{"live": 3}')
    for act in (store.state, changes.latest):
        error = refused(act, ExitCode.UNREACHABLE)
        assert "is damaged" in str(error)
        assert "resume --rebuild-state --env staging" in error.hint
    store.client.transact([], [delete(store.keys.state)])
    for act in (store.state, changes.latest):
        assert "is lost, and a release is live" in str(refused(act, ExitCode.UNREACHABLE))


def test_state_that_is_still_in_files_is_not_a_first_release(store: Store, root: Path) -> None:
    (root / "state.json").write_text(json.dumps(LIVE.to_document()))
    error = refused(store.state, ExitCode.UNREACHABLE)
    assert "is in files, and not in etcd" in str(error)
    assert "etcd.json" in error.hint


@pytest.mark.parametrize("damage", ["owner", "holder"])
def test_a_damaged_lock_is_freed_by_force_and_no_token_comes_twice(store: Store, damage: str) -> None:
    lease = store.acquire(someone(), ttl=600)
    with store.transact(lease) as transaction:
        transaction.note(event="opened", attempt=lease.attempt, kind="release")
    written(store, getattr(store.keys, damage), b"?")
    assert "unlock --force --env staging" in refused(store.lease, ExitCode.UNREACHABLE).hint
    refused(lambda: store.acquire(someone(), ttl=600), ExitCode.UNREACHABLE)
    store.force_unlock("ada@host")
    assert store.acquire(someone(), ttl=600).token > lease.token + 1


def test_damaged_records_are_named(store: Store) -> None:
    with store.exclusive() as transaction:
        transaction.note(event="opened", attempt="1-a", kind="release")
    written(store, f"{store.keys.attempt('1-a')}later", b"?")
    error = refused(store.open_attempt, ExitCode.UNREACHABLE)
    assert "the records of attempt '1-a' are damaged" in str(error)


def test_a_history_that_was_changed_is_found(store: Store) -> None:
    with store.exclusive() as transaction:
        for number in range(200):
            transaction.record("release", "live", f"r{number}", f"r{number - 1}")
    assert store.history.verify() == 200
    assert [entry.release for entry in store.history.newest_first()][::-1] == [f"r{n}" for n in range(200)]
    pair = store.client.get(store.keys.entry(70))
    assert pair is not None
    written(store, store.keys.entry(70), pair.value.replace(b"r69", b"r96"))
    error = refused(store.history.verify, ExitCode.REJECTED)
    assert "at entry 70" in str(error)
    assert error.at == store.keys.entry(70)
    store.client.transact([], [delete(store.keys.entry(70))])
    assert "at entry 70" in str(refused(store.history.verify, ExitCode.REJECTED))


def test_kept_logs_are_masked_and_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kickoff.masking.text", lambda text: text.replace("hunter2", "***"))
    store.keep_log("r1", [*["x" * 1000] * 2000, "password hunter2"], most=3)
    kept = store.kept_log("r1")
    assert kept is not None
    assert kept[-1] == "password ***"
    assert len(kept) < 300


class Counted:
    """What a store asks etcd, and how much it hears."""

    def __init__(self, client: Client) -> None:
        self.requests = self.received = 0
        for one in client._clients:
            one.event_hooks = {"response": [self._heard]}

    def _heard(self, response: httpx.Response) -> None:
        self.requests += 1
        self.received += len(response.read())


def status(store: Store) -> tuple[int, int]:
    """Return the requests and the bytes of all that `status` reads of the state."""
    counted = Counted(store.client)
    store.upgrade()
    assert store.state() == LIVE
    assert not store.lease().held
    assert store.open_attempt() is None
    assert store.recorded_live() == "r1"
    return counted.requests, counted.received


def test_reading_costs_the_same_whatever_the_age(store: Store) -> None:
    lease = store.acquire(someone(), ttl=600)
    with store.transact(lease) as transaction:
        transaction.save(LIVE)
        transaction.record("release", "live", "r1", "")
    store.release_lock(lease)
    young = status(store)
    for batch in range(100):
        records = []
        for number in range(100):
            event = {"event": "done", "attempt": f"{batch}-{number}", "step": "shift"}
            records.append(put(f"{store.keys.attempt(f'{batch}-{number}')}1", json.dumps(event).encode()))
        store.client.transact([], records)
    assert len(store.client.below(store.keys.attempts, keys_only=True)) == 10_000
    old = status(store)
    assert old[0] == young[0]
    assert old[1] - young[1] < 200, "a revision may have grown by a digit"
    watched, counted = store.watch(), Counted(store.client)
    watched.latest()
    first = counted.received
    for _ in range(10):
        watched.latest()
    assert counted.requests == 11
    assert counted.received == 11 * first


def test_a_full_database_is_named_and_the_hint_helps(tmp_path: Path) -> None:
    etcdctl = tool("etcdctl")
    with (
        cluster(tmp_path / "etcd", options=(f"--quota-backend-bytes={4 << 20}",)) as small,
        opened(small.named_in(tmp_path / "shop" / "staging")) as store,
    ):
        lease = store.acquire(someone(), ttl=600)
        with store.transact(lease) as transaction:
            transaction.save(LIVE)
            with pytest.raises(KickoffError):
                for _ in range(60):
                    written(store, "filler", os.urandom(200_000))
            error = refused(lambda: transaction.save(state(2)), ExitCode.UNREACHABLE)
        assert "NOSPACE" in str(error)
        refused(lambda: store.renew(lease, someone(), ttl=600), ExitCode.UNREACHABLE)
        assert store.state() == LIVE
        assert store.lease().attempt == lease.attempt

        def ctl(*arguments: str) -> str:
            assert all(word in error.hint for word in arguments[:1])
            return subprocess.run(
                [etcdctl, "--endpoints", small.endpoints[0], *arguments],
                env={"ETCDCTL_API": "3", "PATH": os.defpath}, check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip

        pair = store.client.get("filler")
        assert pair is not None
        ctl("compact", "--physical", str(pair.modified))
        ctl("defrag")
        ctl("alarm", "disarm")
        with store.transact(lease) as transaction:
            transaction.save(state(2))
        assert store.state() == state(2)
