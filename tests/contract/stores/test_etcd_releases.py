"""What a release is started from, on a host that never had it: fetched from etcd, whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.stores import etcd_releases
from kickoff.release.stores.etcd import Store
from kickoff.release.stores.etcd_client import put
from kickoff.release.stores.lease import Owner
from tests.etcd import Cluster, cluster

ME = Owner(who="me@host", run="run-1", pid=0, born=0.0)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("etcd")) as found:
        yield found


@contextmanager
def host(member: Cluster, tmp_path: Path, name: str) -> Iterator[Store]:
    """Open the same environment on another host, which has nothing in its state folder."""
    store = Store(member.named_in(tmp_path / name / tmp_path.name / "staging"))
    try:
        store.upgrade()
        yield store
    finally:
        store.close()


@pytest.fixture
def first(member: Cluster, tmp_path: Path) -> Iterator[Store]:
    with host(member, tmp_path, "first") as store:
        yield store


@pytest.fixture
def second(member: Cluster, tmp_path: Path) -> Iterator[Store]:
    with host(member, tmp_path, "second") as store:
        yield store


def release(store: Store, name: str = "abc1234-00000000", size: int = 10) -> Path:
    folder = store.release_folder(name)
    (folder / "secrets").mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "release.json").write_text("{}")
    (folder / "secrets" / "api_key").write_bytes(os.urandom(size))
    (folder / "secrets" / "api_key").chmod(0o444)
    return folder


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_release_is_the_same_on_a_host_that_never_had_it(first: Store, second: Store) -> None:
    folder = release(first)
    lease = first.acquire(ME, ttl=600)
    assert not second.release_folder(folder.name).exists()
    with first.transact(lease) as transaction:
        transaction.keep_release(folder)
    fetched = second.release_folder(folder.name)
    assert content(fetched) == content(folder)
    assert fetched.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in fetched.parent.iterdir()] == [folder.name], "something half was left"


def test_what_was_fetched_is_not_fetched_again(first: Store, second: Store) -> None:
    folder = release(first)
    with first.transact(first.acquire(ME, ttl=600)) as transaction:
        transaction.keep_release(folder)
    (second.release_folder(folder.name) / "release.json").write_text("own")
    assert (second.release_folder(folder.name) / "release.json").read_text() == "own"


def test_what_is_forgotten_is_forgotten_and_the_rest_is_kept(first: Store, second: Store) -> None:
    old, kept = release(first, "old0000-00000000"), release(first, "new0000-00000000")
    with first.transact(first.acquire(ME, ttl=600)) as transaction:
        transaction.keep_release(old)
        transaction.keep_release(kept)
        transaction.forget_releases({kept.name, "another-release"})
    assert not second.release_folder(old.name).exists()
    assert second.release_folder(kept.name).exists()


def test_what_is_larger_than_a_value_of_etcd_stays_on_its_host(first: Store, second: Store) -> None:
    folder = release(first, size=etcd_releases.MOST_BYTES + 1)
    with first.transact(first.acquire(ME, ttl=600)) as transaction:
        transaction.keep_release(folder)
    assert not second.release_folder(folder.name).exists()


def test_a_run_that_was_overtaken_keeps_and_forgets_nothing(first: Store, second: Store) -> None:
    folder, newer = release(first), release(second, "def5678-00000000")
    lease = first.acquire(ME, ttl=-1)
    with first.transact(lease) as late:
        pass  # which goes on to use it, as one does that wakes up
    taken = second.acquire(Owner(who="you@host", run="run-2", pid=0, born=0.0), ttl=600)
    with second.transact(taken) as transaction:
        transaction.keep_release(newer)
    with pytest.raises(KickoffError) as caught:
        late.keep_release(folder)
    assert caught.value.code is ExitCode.LOCK_HELD
    with pytest.raises(KickoffError):
        late.forget_releases(())
    assert not second.release_folder(folder.name).exists()
    assert first.release_folder(newer.name).exists()


@pytest.mark.parametrize("value", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_a_damaged_release_is_named_and_leaves_nothing(first: Store, value: bytes) -> None:
    first.client.transact([], [put(first.keys.release("abc1234-00000000"), value)])
    with pytest.raises(KickoffError, match="abc1234-00000000 as etcd has it is damaged") as caught:
        first.release_folder("abc1234-00000000")
    assert caught.value.code is ExitCode.UNREACHABLE
    assert list((first.root / "releases").iterdir()) == []
