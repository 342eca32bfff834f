"""The lock and the fence: who may take over, and that an overtaken run changes nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import EMPTY, Colour, Slot, State
from kickoff.release.stores.files import Store
from kickoff.release.stores.lease import Lease, Owner, TakenBack, born

SRC = str(Path(__file__).resolve().parents[3] / "src")
LIVE = State(Colour.BLUE, None, {Colour.BLUE: Slot("r1", 1)})


def someone(run: str = "run-1", pid: int = 0, since: float = 0.0) -> Owner:
    return Owner(who=f"{run}@host", run=run, pid=pid, born=since)


def myself(run: str = "run-1") -> Owner:
    return someone(run, os.getpid(), born(psutil.Process()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


@pytest.fixture
def other(store: Store) -> Store:
    """The same folder, as another process sees it."""
    return Store(store.root)


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def refused(act: Callable[[], object]) -> KickoffError:
    with pytest.raises(KickoffError) as caught:
        act()
    assert caught.value.code is ExitCode.LOCK_HELD
    return caught.value


def test_a_fresh_folder_is_free_private_and_empty(store: Store) -> None:
    assert store.lease() == Lease(0, "", None, 0.0)
    assert not store.lease().held
    assert store.state() == EMPTY
    assert store.open_attempt() is None
    assert (store.root / "releases").stat().st_mode & 0o777 == 0o700


def test_a_held_lock_names_its_owner_and_attempt(store: Store, other: Store) -> None:
    lease = store.acquire(someone("run-1"), ttl=600)
    error = refused(lambda: other.acquire(someone("run-2"), ttl=600))
    assert "run-1@host" in str(error)
    assert lease.attempt in str(error)
    assert other.lease().owner == someone("run-1")


def test_an_expired_lease_passes_on(store: Store, other: Store) -> None:
    store.acquire(someone("run-1"), ttl=-1)
    assert other.acquire(someone("run-2"), ttl=600).token == 2


def test_a_run_takes_over_its_own_idle_lock_only(store: Store, other: Store) -> None:
    store.acquire(someone("run-1"), ttl=600)
    refused(lambda: other.acquire(someone("run-2"), ttl=600))
    assert other.acquire(someone("run-1"), ttl=600).token == 2


def test_a_living_process_keeps_its_lock_even_from_its_own_run(
    store: Store, other: Store, process: "subprocess.Popen[bytes]"
) -> None:
    since = born(psutil.Process(process.pid))
    store.acquire(someone("run-1", process.pid, since), ttl=600)
    refused(lambda: other.acquire(someone("run-1"), ttl=600))
    refused(lambda: other.take_over("1-x", someone("run-1"), ttl=600))
    process.kill()
    process.wait()
    assert other.acquire(someone("run-2"), ttl=600).token == 2


def test_a_reused_pid_is_not_mistaken_for_the_owner(store: Store, other: Store) -> None:
    mine = myself()
    store.acquire(someone("run-1", mine.pid, mine.born - 1000), ttl=600)
    assert other.acquire(someone("run-2"), ttl=600).token == 2


def test_a_clock_that_jumps_does_not_make_the_owner_look_dead(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    booted = psutil.boot_time()
    store.acquire(myself(), ttl=600)
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: booted - 300)
    refused(lambda: other.acquire(someone("run-2"), ttl=600))


def test_tokens_only_grow_whatever_happens(store: Store, other: Store) -> None:
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


def test_release_frees_and_releasing_for_another_attempt_does_not(store: Store) -> None:
    lease = store.acquire(someone(), ttl=600)
    store.release_lock(replace(lease, attempt="99-other"))
    store.release_lock(replace(lease, token=lease.token - 1))
    assert store.lease().held
    store.release_lock(lease)
    assert not store.lease().held
    assert store.lease().token == lease.token


def test_renewing_extends_and_names_the_process(store: Store) -> None:
    lease = store.acquire(someone(), ttl=5)
    store.renew(lease, myself(), ttl=500)
    renewed = store.lease()
    assert renewed.expires > lease.expires + 100
    assert renewed.owner == myself()
    assert renewed.token == lease.token


def test_force_unlock_fences_the_holder_off_and_says_who_it_was(store: Store, other: Store) -> None:
    lease = store.acquire(myself(), ttl=600)
    was = other.force_unlock("ada@host")
    assert was.owner == myself()
    error = refused(lambda: store.transact(lease).__enter__())
    assert "no longer holds the lock" in str(error)
    refused(lambda: store.renew(lease, myself(), ttl=600))
    assert not store.lease().held


def by_a_new_attempt(other: Store, _attempt: str) -> None:
    other.acquire(someone("run-2"), ttl=600)


def by_resuming_the_same_attempt(other: Store, attempt: str) -> None:
    other.take_over(attempt, someone("run-2"), ttl=600)


def by_force_and_resuming(other: Store, attempt: str) -> None:
    other.force_unlock("ada@host")
    other.take_over(attempt, someone("run-2"), ttl=600)


@pytest.mark.parametrize("overtake", [by_a_new_attempt, by_resuming_the_same_attempt, by_force_and_resuming])
def test_an_overtaken_run_can_do_nothing_any_more(
    store: Store, other: Store, overtake: Callable[[Store, str], None]
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


def test_the_next_command_of_an_idle_attempt_continues_it(store: Store, other: Store) -> None:
    lease = store.acquire(someone(), ttl=600)
    joined = other.join(lease.attempt, myself(), ttl=600)
    assert other.lease().token == lease.token
    with other.transact(joined) as transaction:
        transaction.save(LIVE)
    assert store.state() == LIVE


def test_an_abort_beside_a_working_promotion_fences_it_off(
    store: Store, other: Store, process: "subprocess.Popen[bytes]"
) -> None:
    working = someone("run-1", process.pid, born(psutil.Process(process.pid)))
    lease = store.acquire(working, ttl=600)
    joined = other.join(lease.attempt, myself(), ttl=600)
    refused(lambda: store.transact(lease).__enter__())
    with other.transact(joined) as transaction:
        transaction.save(LIVE)
    assert other.state() == LIVE


def test_nobody_takes_over_while_a_writer_is_inside_the_fence(store: Store, other: Store) -> None:
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


WRITER = """
import sys
from pathlib import Path
from kickoff.errors import KickoffError, run
from kickoff.release.model import Colour, Slot, State
from kickoff.release.stores.files import Store
from kickoff.release.stores.lease import Owner

def main():
    store = Store(Path(sys.argv[1]))
    lease = store.acquire(Owner("paused@host", "paused", 0, 0.0), ttl=-1)
    print(lease.attempt, flush=True)
    sys.stdin.readline()
    with store.transact(lease) as transaction:
        transaction.save(State(Colour.BLUE, None, {Colour.BLUE: Slot("stale", 1)}))
    return 0

sys.exit(run(main))
"""


def test_a_process_paused_between_check_and_act_wakes_up_to_nothing(store: Store) -> None:
    command = [sys.executable, "-c", WRITER, str(store.root)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": SRC},
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        attempt = child.stdout.readline().strip()
        os.kill(child.pid, signal.SIGSTOP)
        try:
            lease = store.take_over(attempt, myself("run-2"), ttl=600)
            with store.transact(lease) as transaction:
                transaction.save(LIVE)
        finally:
            os.kill(child.pid, signal.SIGCONT)
        _, errors = child.communicate("\n", timeout=30)
    assert child.returncode == ExitCode.LOCK_HELD
    assert "Traceback" not in errors
    assert "run-2@host" in errors
    assert store.state() == LIVE


RACER = """
import sys, time
from pathlib import Path
from kickoff.errors import KickoffError
from kickoff.release.stores.files import Store
from kickoff.release.stores.lease import Owner

store = Store(Path(sys.argv[1]))
print("up", flush=True)
sys.stdin.readline()
try:
    print(store.acquire(Owner(sys.argv[2], sys.argv[2], 0, 0.0), ttl=600).attempt)
except KickoffError as error:
    print(f"refused {error.code}")
"""


def test_of_many_processes_exactly_one_gets_the_lock(store: Store) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(store.root), f"run-{number}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": SRC},
        )
        for number in range(6)
    ]  # fmt: skip
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "up\n"
        answers = []
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        for racer in racers:
            answers.append(racer.communicate(timeout=30)[0].strip())
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    winners = [answer for answer in answers if not answer.startswith("refused")]
    assert len(winners) == 1
    assert answers.count("refused 75") == 5
    assert store.lease().attempt == winners[0]
    assert store.lease().token == 1


def test_threads_that_race_never_share_a_token(store: Store) -> None:
    tokens: list[int] = []

    def take() -> None:
        mine = Store(store.root)
        tokens.extend(mine.acquire(someone(), ttl=-1).token for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(tokens) == list(range(1, 21))


@pytest.mark.parametrize("name", ["state.json", "lock.json"])
@pytest.mark.parametrize("text", ['{"live":', "", "{}", "[]", "null", "1", '"x"'])
def test_a_damaged_file_is_named(store: Store, name: str, text: str) -> None:
    (store.root / name).write_text(text)
    with pytest.raises(KickoffError, match=name) as caught:
        if name == "state.json":
            store.state()
        else:
            store.lease()
    assert caught.value.code is ExitCode.UNREACHABLE
    assert caught.value.at.endswith(name)


def test_files_are_readable_by_their_owner_alone(store: Store) -> None:
    lease = store.acquire(myself(), ttl=600)
    with store.transact(lease) as transaction:
        transaction.save(LIVE)
    for name in ("lock.json", "state.json", "fence"):
        assert (store.root / name).stat().st_mode & 0o777 == 0o600
    assert json.loads((store.root / "lock.json").read_text())["expires"] > time.time()


def test_the_open_attempt_is_the_one_not_finished(store: Store) -> None:
    store.journal.append(event="opened", attempt="1-a", kind="release")
    store.journal.append(event="finished", attempt="1-a", outcome="aborted")
    assert store.open_attempt() is None
    store.journal.append(event="opened", attempt="2-b", kind="rollback")
    found = store.open_attempt()
    assert found is not None
    assert found.id == "2-b"
    assert store.attempt("1-a").finished == "aborted"
    with pytest.raises(KickoffError, match="no attempt '3-c'"):
        store.attempt("3-c")


def test_a_lost_state_is_no_first_release_while_the_history_names_one(store: Store) -> None:
    assert store.state().live is None
    store.history.append("release", "live", "1111111-aaaaaaaa", "")
    with pytest.raises(KickoffError, match="is lost") as caught:
        store.state()
    assert caught.value.code is ExitCode.UNREACHABLE
    assert "resume --rebuild-state" in caught.value.hint
    store.history.append("auto-rollback", "undone", "1111111-aaaaaaaa", "")
    assert store.state().live is None, "the only release was taken back: nothing is live"


def test_a_lost_state_is_no_first_release_while_the_route_gives_traffic(store: Store) -> None:
    route = "http: {services: {split: {weighted: {services: [{name: blue, weight: 100}]}}}}"
    (store.root / "traefik" / "dynamic" / "route.yml").write_text(route)
    with pytest.raises(KickoffError, match="is lost"):
        store.state()


def test_a_run_that_was_overtaken_learns_by_whom(store: Store, other: Store) -> None:
    lease = store.acquire(someone("run-1"), ttl=600)
    store.journal.append(event="opened", attempt=lease.attempt, kind="release")
    other.take_over(lease.attempt, someone("run-2"), ttl=600, alive=True)
    error = refused(lambda: store.transact(lease).__enter__())
    assert isinstance(error, TakenBack)
    assert error.by == someone("run-2").who
    assert error.by in str(error)
    assert error.taken_at[11:19] in str(error)


def test_logs_of_refused_releases_are_kept_and_bounded(store: Store) -> None:
    for number in range(5):
        store.keep_log(f"000000{number}-aaaaaaaa", [f"line {number}"], most=3)
    assert len(list((store.root / "refused").iterdir())) == 3
    assert store.kept_log("0000004-aaaaaaaa") == ["line 4"]
    assert store.kept_log("0000000-aaaaaaaa") is None
