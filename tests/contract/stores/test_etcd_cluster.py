"""The store on three members of etcd: what it does while some of them are gone, and after a restore."""

import os
import re
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.stores.etcd_client import put
from kickoff.release.stores.etcd_lock import RESTORED
from kickoff.release.stores.lease import Lease
from tests.contract.stores.test_etcd import LIVE, myself, opened, recorded, refused, someone, state
from tests.etcd import Cluster, cluster
from tests.tools import ROOT, tool

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "etcd", 3) as found:
        yield found


@pytest.fixture
def root(three: Cluster, tmp_path: Path) -> Path:
    return three.named_in(tmp_path / "shop" / "staging")


def test_a_run_goes_on_when_the_member_that_leads_is_lost(three: Cluster, root: Path) -> None:
    with opened(root) as store, opened(root) as other:
        lease = store.acquire(myself(), ttl=600)
        with store.transact(lease) as transaction:
            transaction.note(event="opened", attempt=lease.attempt, kind="release")
            three.kill(three.leader())
            transaction.save(LIVE)
            transaction.note(event="intent", attempt=lease.attempt, step="shift")
            transaction.record("release", "live", "r1", "")
        store.renew(lease, myself(), ttl=500)
        with store.transact(lease) as transaction:
            transaction.note(event="finished", attempt=lease.attempt, outcome="released")
        events = [record["event"] for record in recorded(other, lease.attempt)]
        assert events == ["opened", "intent", "finished"]
        assert other.state() == LIVE
        assert other.history.verify() == 1
        assert other.lease().token == lease.token == 1


def test_a_member_that_hangs_is_passed_over(three: Cluster, root: Path) -> None:
    with opened(root) as store:
        lease = store.acquire(myself(), ttl=600)
        first = three.members[store.client._current].process
        assert first is not None
        first.send_signal(signal.SIGSTOP)
        try:
            with store.transact(lease) as transaction:
                transaction.save(LIVE)
            assert store.state() == LIVE
        finally:
            first.send_signal(signal.SIGCONT)


def test_without_a_quorum_nothing_is_done_and_with_it_again_the_run_goes_on(
    three: Cluster, root: Path
) -> None:
    with opened(root, patience=3) as store:
        lease = store.acquire(myself(), ttl=600)
        with store.transact(lease) as transaction:
            transaction.save(LIVE)
        lost = three.members[1:]
        three.kill(*lost)
        for act in (
            lambda: store.acquire(someone("run-2"), ttl=600),
            lambda: store.transact(lease).__enter__(),
            store.state,
        ):
            error = refused(act, ExitCode.UNREACHABLE)
            for member in lost:
                assert any(cause.startswith(f"{member.endpoint}: ") for cause in error.causes)
                assert member.endpoint in error.at
        assert "not known" not in str(error), "a read leaves nothing in doubt"
        three.start(*lost)
        assert store.state() == LIVE
        assert store.lease() == lease
        with store.transact(lease) as transaction:
            transaction.save(state(2))
        assert store.state() == state(2)


def test_a_quorum_that_is_lost_between_two_writes_leaves_the_first_whole(three: Cluster, root: Path) -> None:
    with opened(root, patience=3) as store:
        lease = store.acquire(myself(), ttl=600)
        lost = three.members[1:]

        def write() -> None:
            with store.transact(lease) as transaction:
                transaction.note(event="opened", attempt=lease.attempt, kind="release")
                three.kill(*lost)
                transaction.note(event="intent", attempt=lease.attempt, step="shift")

        error = refused(write, ExitCode.UNREACHABLE)
        assert "not known" in str(error)
        three.start(*lost)
        with store.transact(lease) as transaction:  # the next command reads, and goes on from there
            transaction.note(event="done", attempt=lease.attempt, step="shift")
        events = [record["event"] for record in recorded(store, lease.attempt)]
        assert [event for event in events if event != "intent"] == ["opened", "done"]
        assert events.count("intent") <= 1, "what was sent may have been applied, and once at most"


def test_of_takers_at_different_members_exactly_one_wins(three: Cluster, root: Path, tmp_path: Path) -> None:
    won: list[Lease] = []
    lost: list[KickoffError] = []
    with opened(root) as store:
        idle = store.acquire(someone("run-0"), ttl=600)
    ready = threading.Barrier(3)

    def take(number: int) -> None:
        with opened(root) as mine:
            mine.client._current = number
            ready.wait(30)
            try:
                # Who gets it works on it from then on, and is not taken from again.
                won.append(mine.take_over(idle.attempt, myself("run-0"), ttl=600))
            except KickoffError as error:
                lost.append(error)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [lease.token for lease in won] == [2]
    assert [error.code for error in lost] == [ExitCode.LOCK_HELD] * 2


def test_members_are_reached_with_a_certificate_and_not_without(tmp_path: Path) -> None:
    with cluster(tmp_path / "etcd", 3, tls=True) as three:
        root = three.named_in(tmp_path / "shop" / "production")
        with opened(root) as store:
            lease = store.acquire(myself(), ttl=600)
            with store.transact(lease) as transaction:
                transaction.save(LIVE)
            three.kill(three.members[0])
            with store.transact(lease) as transaction:
                transaction.save(state(2))
            assert store.state() == state(2)
        stranger = ssl.create_default_context(cafile=str(three.certificates["ca"]))
        with pytest.raises(httpx.HTTPError), httpx.Client(verify=stranger, trust_env=False) as client:
            client.post(f"{three.endpoints[1]}/v3/kv/range", json={"key": "AA=="})
        client_key, member_key = three.certificates["key"], tmp_path / "etcd" / "member.key"
        client_key.write_bytes(member_key.read_bytes())
        assert "cannot be used" in str(refused(lambda: opened(root).__enter__(), ExitCode.BAD_INPUT))


def said(heading: str) -> str:
    """Return the commands below a heading of the how-to."""
    page = (ROOT / "docs" / "how-to" / "state-in-etcd.md").read_text(encoding="utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def test_a_restored_snapshot_goes_on_and_gives_no_token_twice(tmp_path: Path) -> None:
    etcdctl = Path(tool("etcdctl"))
    with cluster(tmp_path / "etcd", 3, tls=True) as three:
        root = three.named_in(tmp_path / "shop" / "production")
        files = three.certificates
        environ = {
            "PATH": f"{etcdctl.parent}:{os.defpath}", "ETCDCTL_API": "3", "BACKUP": str(tmp_path / "backup.db"),
            "ETCDCTL_CACERT": str(files["ca"]), "ETCDCTL_CERT": str(files["certificate"]),
            "ETCDCTL_KEY": str(files["key"]), "ETCDCTL_ENDPOINTS": three.endpoints[0],
            "MEMBERS": three.initial, "CLUSTER_TOKEN": "second",
        }  # fmt: skip

        def run(heading: str, **more: str) -> None:
            command = ["sh", "-eu", "-c", said(heading)]
            subprocess.run(command, env=environ | more, check=True, timeout=60)

        with opened(root) as store:
            first = store.acquire(myself(), ttl=600)
            with store.transact(first) as transaction:
                transaction.note(event="opened", attempt=first.attempt, kind="release")
                transaction.save(LIVE)
                transaction.record("release", "live", "r1", "")
            run("Back up")
            given = [store.take_over(first.attempt, myself(), ttl=600, alive=True) for _ in range(3)]
            with store.transact(given[-1]) as transaction:
                transaction.save(state(2))
            three.kill()
            for member in three.members:
                member.data.rename(tmp_path / f"lost-{member.name}")
                run("Restore", NAME=member.name, DATA=str(member.data), PEER=member.peer_url)
            three.token = "second"
            three.start()
            for lease in (first, *given):  # that of the snapshot, too: what it wrote since then is lost
                refused(store.transact(lease).__enter__)
            assert store.lease().token == first.token + RESTORED
            with opened(root) as other:
                assert other.lease().token == first.token + RESTORED, "once for one restore"
                assert other.state() == LIVE
                assert other.history.verify() == 1
                found = other.open_attempt()
                assert found is not None
                assert found.id == first.attempt
                taken = other.take_over(first.attempt, myself(), ttl=600, alive=True)
                assert taken.token > max(lease.token for lease in given)
                with other.transact(taken) as transaction:
                    transaction.save(state(3))
                assert other.state() == state(3)


def test_a_restore_is_noticed_by_whoever_opens_the_store_first(tmp_path: Path) -> None:
    with cluster(tmp_path / "etcd") as one:
        root = one.named_in(tmp_path / "shop" / "staging")
        with opened(root) as store:
            lease = store.acquire(someone(), ttl=600)
            pair = store.client.get(store.keys.version)
            assert pair is not None
            elsewhere = pair.value.replace(b'"cluster": "', b'"cluster": "9')
            store.client.transact([], [put(store.keys.version, elsewhere)])
        with opened(root) as store:
            assert store.lease().token == lease.token + RESTORED
            assert store.lease().attempt == lease.attempt
            refused(lambda: store.transact(lease).__enter__())


def test_a_restore_is_still_noticed_when_the_lock_was_damaged(tmp_path: Path) -> None:
    with cluster(tmp_path / "etcd") as one:
        root = one.named_in(tmp_path / "shop" / "staging")
        with opened(root) as store:
            store.acquire(someone(), ttl=600)
            pair = store.client.get(store.keys.version)
            assert pair is not None
            elsewhere = pair.value.replace(b'"cluster": "', b'"cluster": "9')
            store.client.transact([], [put(store.keys.version, elsewhere)])
            store.client.transact([], [put(store.keys.owner, b"?")])
        with opened(root) as store:
            refused(store.lease, ExitCode.UNREACHABLE)
            store.force_unlock("ada@host")
            assert store.acquire(someone(), ttl=600).token > RESTORED
