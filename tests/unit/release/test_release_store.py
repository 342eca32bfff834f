"""The store of files among processes, and with files that are lost or damaged."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import EMPTY, Colour, Slot, State
from kickoff.release.stores.files import Store
from kickoff.release.stores.lease import Lease, Owner, born, joined
from tests.racing import raced

SRC = str(Path(__file__).resolve().parents[3] / "src")
LIVE = State(Colour.BLUE, None, {Colour.BLUE: Slot("r1", 1)})


def someone(run: str = "run-1", pid: int = 0, since: float = 0.0) -> Owner:
    return Owner(who=f"{run}@host", run=run, pid=pid, born=since)


def myself(run: str = "run-1") -> Owner:
    return someone(run, os.getpid(), born(psutil.Process()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def test_a_fresh_folder_is_free_private_and_empty(store: Store) -> None:
    assert store.lease() == Lease(0, "", None, 0.0)
    assert not store.lease().held
    assert store.state() == EMPTY
    assert store.open_attempt() is None
    assert (store.root / "releases").stat().st_mode & 0o777 == 0o700


WRITER = """
import sys
from pathlib import Path
from kickoff.errors import KickoffError
from kickoff.program import run
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


def test_of_many_processes_exactly_one_gets_the_lock(store: Store) -> None:
    winner = raced(store.root, 6)
    assert store.lease().attempt == winner
    assert store.lease().token == 1


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


def test_a_damaged_lock_is_written_anew_by_force_and_gives_no_token_twice(store: Store) -> None:
    lease = store.acquire(myself(), ttl=600)
    with store.transact(lease) as transaction:
        transaction.note(event="opened", attempt=lease.attempt, kind="release")
    (store.root / "lock.json").write_text("{")
    assert not store.force_unlock("ada@host").held
    assert store.lease().token > lease.token + 100
    with pytest.raises(KickoffError), store.transact(lease):
        raise AssertionError("the holder before writes on")


def test_files_are_readable_by_their_owner_alone(store: Store) -> None:
    lease = store.acquire(myself(), ttl=600)
    with store.transact(lease) as transaction:
        transaction.save(LIVE)
    for name in ("lock.json", "state.json", "fence"):
        assert (store.root / name).stat().st_mode & 0o777 == 0o600
    assert json.loads((store.root / "lock.json").read_text())["expires"] > time.time()


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


def test_the_lock_of_this_host_names_no_host_which_older_versions_do_not_know(store: Store) -> None:
    store.acquire(myself(), ttl=600)
    assert set(json.loads((store.root / "lock.json").read_text())["owner"]) == {"who", "run", "pid", "born"}


def test_of_a_process_on_another_host_only_the_expiry_tells() -> None:
    nobody = 2**22 + 1
    elsewhere = Owner("ada@host", "run-1", nobody, 0.0, host="manager-2")
    assert elsewhere.at_work
    assert not Owner("ada@host", "run-1", nobody, 0.0).at_work
    assert not Lease(1, "1-a", elsewhere, time.time() + 600).abandoned("run-1")
    assert Lease(1, "1-a", elsewhere, time.time() - 1).abandoned("run-2")
    assert not Owner("ada@host", "run-1", 0, 0.0, host="manager-2").at_work


def test_a_process_of_the_same_number_on_another_host_is_another_one() -> None:
    mine, theirs = myself(), Owner("ada@host", "run-1", os.getpid(), 0.0, host="manager-2")
    assert joined(Lease(1, "1-a", mine, 1.0), mine, 600).token == 1
    assert joined(Lease(1, "1-a", theirs, 1.0), mine, 600).token == 2
