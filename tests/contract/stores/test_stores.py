"""Each store: the lock and the fence, who may take over, and that an overtaken run changes nothing."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import EMPTY, Colour, Slot, State
from kickoff.release.stores import STORES, StateStore, open_store
from kickoff.release.stores.etcd import Store
from kickoff.release.stores.lease import Lease, Owner, TakenBack, born
from tests.contract.stores.memory import MemoryStore, Shelf
from tests.etcd import Cluster, cluster

LIVE = State(Colour.BLUE, None, {Colour.BLUE: Slot("r1", 1)})


def someone(run: str = "run-1", pid: int = 0, since: float = 0.0) -> Owner:
    return Owner(who=f"{run}@host", run=run, pid=pid, born=since)


def myself(run: str = "run-1") -> Owner:
    return someone(run, os.getpid(), born(psutil.Process()))


Handles = Callable[[], StateStore]


def files(folder: Path) -> Handles:
    return lambda: open_store(folder / "state")


def memory(folder: Path) -> Handles:
    shelf = Shelf()
    return lambda: MemoryStore(folder, shelf)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("etcd")) as found:
        yield found


@pytest.fixture(params=[*STORES, "memory"])
def handles(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Handles]:
    """Makes handles on one and the same state, as several processes have them."""
    if request.param != "etcd":
        yield {"files": files, "memory": memory}[request.param](tmp_path)
        return
    root = request.getfixturevalue("members").named_in(tmp_path / "state")
    opened: list[Store] = []

    def another() -> StateStore:
        opened.append(Store(root))
        opened[-1].upgrade()
        return opened[-1]

    yield another
    for store in opened:
        store.close()


@pytest.fixture
def store(handles: Handles) -> StateStore:
    return handles()


@pytest.fixture
def other(handles: Handles) -> StateStore:
    """The same state, as another process sees it."""
    return handles()


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def note(store: StateStore, **record: Any) -> None:
    with store.exclusive() as transaction:
        transaction.note(**record)


def refused(act: Callable[[], object]) -> KickoffError:
    with pytest.raises(KickoffError) as caught:
        act()
    assert caught.value.code is ExitCode.LOCK_HELD
    return caught.value


def test_a_held_lock_names_its_owner_and_attempt(store: StateStore, other: StateStore) -> None:
    lease = store.acquire(someone("run-1"), ttl=600)
    error = refused(lambda: other.acquire(someone("run-2"), ttl=600))
    assert "run-1@host" in str(error)
    assert lease.attempt in str(error)
    assert other.lease().owner == someone("run-1")


def test_an_expired_lease_passes_on(store: StateStore, other: StateStore) -> None:
    store.acquire(someone("run-1"), ttl=-1)
    assert other.acquire(someone("run-2"), ttl=600).token == 2


def test_a_run_takes_over_its_own_idle_lock_only(store: StateStore, other: StateStore) -> None:
    store.acquire(someone("run-1"), ttl=600)
    refused(lambda: other.acquire(someone("run-2"), ttl=600))
    assert other.acquire(someone("run-1"), ttl=600).token == 2


def test_a_living_process_keeps_its_lock_even_from_its_own_run(
    store: StateStore, other: StateStore, process: "subprocess.Popen[bytes]"
) -> None:
    since = born(psutil.Process(process.pid))
    store.acquire(someone("run-1", process.pid, since), ttl=600)
    refused(lambda: other.acquire(someone("run-1"), ttl=600))
    refused(lambda: other.take_over("1-x", someone("run-1"), ttl=600))
    process.kill()
    process.wait()
    assert other.acquire(someone("run-2"), ttl=600).token == 2


def test_a_reused_pid_is_not_mistaken_for_the_owner(store: StateStore, other: StateStore) -> None:
    mine = myself()
    store.acquire(someone("run-1", mine.pid, mine.born - 1000), ttl=600)
    assert other.acquire(someone("run-2"), ttl=600).token == 2


def test_a_clock_that_jumps_does_not_make_the_owner_look_dead(
    store: StateStore, other: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    booted = psutil.boot_time()
    store.acquire(myself(), ttl=600)
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: booted - 300)
    refused(lambda: other.acquire(someone("run-2"), ttl=600))


def test_tokens_only_grow_whatever_happens(store: StateStore, other: StateStore) -> None:
    seen = []

    def note() -> None:
        seen.append(other.lease().token)

    first = store.acquire(someone(), ttl=600)
    note()
    other.take_over(first.attempt, someone(), ttl=600)
    note()
    taken = other.join(
        first.attempt, myself(), ttl=600
    )  # must not fall back to the token in the attempt's name
    other.release_lock(taken)
    second = store.acquire(someone(), ttl=600)
    note()
    store.release_lock(second)
    store.force_unlock("ada@host")
    note()
    third = store.acquire(someone(), ttl=600)
    note()
    assert seen == sorted(set(seen)), "every acquisition has a token of its own"
    assert len({first.attempt, second.attempt, third.attempt}) == 3


def test_release_frees_and_releasing_for_another_attempt_does_not(store: StateStore) -> None:
    lease = store.acquire(someone(), ttl=600)
    store.release_lock(replace(lease, attempt="99-other"))
    store.release_lock(replace(lease, token=lease.token - 1))
    assert store.lease().held
    store.release_lock(lease)
    assert not store.lease().held
    assert store.lease().token == lease.token


def test_renewing_extends_and_names_the_process(store: StateStore) -> None:
    lease = store.acquire(someone(), ttl=5)
    store.renew(lease, myself(), ttl=500)
    renewed = store.lease()
    assert renewed.expires > lease.expires + 100
    assert renewed.owner == myself()
    assert renewed.token == lease.token


def test_force_unlock_fences_the_holder_off_and_says_who_it_was(store: StateStore, other: StateStore) -> None:
    lease = store.acquire(myself(), ttl=600)
    was = other.force_unlock("ada@host")
    assert was.owner == myself()
    error = refused(lambda: store.transact(lease).__enter__())
    assert "no longer holds the lock" in str(error)
    refused(lambda: store.renew(lease, myself(), ttl=600))
    assert not store.lease().held


def by_a_new_attempt(other: StateStore, _attempt: str) -> None:
    other.acquire(someone("run-2"), ttl=600)


def by_resuming_the_same_attempt(other: StateStore, attempt: str) -> None:
    other.take_over(attempt, someone("run-2"), ttl=600)


def by_force_and_resuming(other: StateStore, attempt: str) -> None:
    other.force_unlock("ada@host")
    other.take_over(attempt, someone("run-2"), ttl=600)


@pytest.mark.parametrize("overtake", [by_a_new_attempt, by_resuming_the_same_attempt, by_force_and_resuming])
def test_an_overtaken_run_can_do_nothing_any_more(
    store: StateStore, other: StateStore, overtake: Callable[[StateStore, str], None]
) -> None:
    lease = store.acquire(someone("run-1"), ttl=-1)
    overtake(other, lease.attempt)
    before = other.lease()

    def write() -> None:
        with store.transact(lease) as transaction:
            transaction.save(LIVE)

    refused(write)
    refused(lambda: store.renew(lease, someone("run-1"), ttl=600))
    store.release_lock(lease)
    assert other.lease() == before
    assert other.state() == EMPTY
    with other.transact(before) as transaction:
        transaction.save(LIVE)
    assert store.state() == LIVE


def test_the_next_command_of_an_idle_attempt_continues_it(store: StateStore, other: StateStore) -> None:
    lease = store.acquire(someone(), ttl=600)
    joined = other.join(lease.attempt, myself(), ttl=600)
    assert other.lease().token == lease.token
    with other.transact(joined) as transaction:
        transaction.save(LIVE)
    assert store.state() == LIVE


def test_an_abort_beside_a_working_promotion_fences_it_off(
    store: StateStore, other: StateStore, process: "subprocess.Popen[bytes]"
) -> None:
    working = someone("run-1", process.pid, born(psutil.Process(process.pid)))
    lease = store.acquire(working, ttl=600)
    joined = other.join(lease.attempt, myself(), ttl=600)
    refused(lambda: store.transact(lease).__enter__())
    with other.transact(joined) as transaction:
        transaction.save(LIVE)
    assert other.state() == LIVE


def test_nobody_takes_over_while_a_writer_is_inside_the_fence(store: StateStore, other: StateStore) -> None:
    lease = store.acquire(someone("run-1"), ttl=-1)  # expired: only the fence holds the other one off
    taken, order = threading.Event(), []

    def take() -> None:
        other.acquire(someone("run-2"), ttl=600)
        order.append("taken over")
        taken.set()

    thread = threading.Thread(target=take)
    with store.transact(lease) as transaction:
        thread.start()
        assert not taken.wait(0.2)
        transaction.save(LIVE)
        order.append("written")
    thread.join(10)
    assert order == ["written", "taken over"]


def test_threads_that_race_never_share_a_token(handles: Handles) -> None:
    tokens: list[int] = []

    def take() -> None:
        mine = handles()
        tokens.extend(mine.acquire(someone(), ttl=-1).token for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(tokens) == list(range(1, 21))


def test_the_open_attempt_is_the_one_not_finished(store: StateStore) -> None:
    note(store, event="opened", attempt="1-a", kind="release")
    note(store, event="finished", attempt="1-a", outcome="aborted")
    assert store.open_attempt() is None
    note(store, event="opened", attempt="2-b", kind="rollback")
    found = store.open_attempt()
    assert found is not None
    assert found.id == "2-b"
    assert store.attempt("1-a").finished == "aborted"
    with pytest.raises(KickoffError, match="no attempt '3-c'"):
        store.attempt("3-c")


def test_a_run_that_was_overtaken_learns_by_whom(store: StateStore, other: StateStore) -> None:
    lease = store.acquire(someone("run-1"), ttl=600)
    note(store, event="opened", attempt=lease.attempt, kind="release")
    other.take_over(lease.attempt, someone("run-2"), ttl=600, alive=True)
    error = refused(lambda: store.transact(lease).__enter__())
    assert isinstance(error, TakenBack)
    assert error.by == someone("run-2").who
    assert error.by in str(error)
    assert error.taken_at[11:19] in str(error)


def test_logs_of_refused_releases_are_kept_and_bounded(store: StateStore) -> None:
    for number in range(5):
        store.keep_log(f"000000{number}-aaaaaaaa", [f"line {number}"], most=3)
    assert store.kept_log("0000004-aaaaaaaa") == ["line 4"]
    assert store.kept_log("0000000-aaaaaaaa") is None


def test_a_new_store_is_free_and_empty(store: StateStore) -> None:
    assert store.lease() == Lease(0, "", None, 0.0)
    assert not store.lease().held
    assert store.state() == EMPTY
    assert store.watch().latest() == EMPTY
    assert store.open_attempt() is None
    assert store.history.entries() == []
    assert store.recorded_live() == ""


def test_whoever_watches_sees_each_change_and_whoever_reads_sees_it_at_once(
    store: StateStore, other: StateStore
) -> None:
    changes, lease = other.watch(), store.acquire(someone(), ttl=600)
    assert changes.latest() == EMPTY
    for port in (1, 2):
        state = State(Colour.BLUE, None, {Colour.BLUE: Slot("r1", port)})
        with store.transact(lease) as transaction:
            transaction.save(state)
        assert changes.latest() == changes.latest() == other.state() == state


def test_records_make_the_history_and_name_the_live_release(store: StateStore, other: StateStore) -> None:
    with store.transact(store.acquire(someone(), ttl=600)) as transaction:
        transaction.record("release", "live", "r1", "", by="ada@host")
        transaction.record("release", "live", "r2", "r1", by="ada@host")
    assert [entry.release for entry in other.history.entries()] == ["r1", "r2"]
    assert [entry.release for entry in other.history.newest_first()] == ["r2", "r1"]
    assert other.history.entries()[0].data == {"by": "ada@host"}
    assert other.history.verify() == 2
    assert other.recorded_live() == "r2"
    with store.exclusive() as transaction:
        transaction.record("rollback", "live", "r1", "r2")
    assert other.recorded_live() == "r1"


def test_an_attempt_is_found_however_many_came_after_it(store: StateStore, other: StateStore) -> None:
    identities = []
    for _ in range(5):
        lease = store.acquire(someone(), ttl=600)
        identities.append(lease.attempt)
        with store.transact(lease) as transaction:
            transaction.note(event="opened", attempt=lease.attempt, kind="release")
            transaction.note(event="finished", attempt=lease.attempt, outcome="released")
        store.release_lock(lease)
    assert [other.attempt(identity).finished for identity in identities] == ["released"] * 5
    assert other.open_attempt() is None
