"""State in etcd, where it outlives the loss of any host: each write is a transaction that compares the token.

All keys of an environment are below ``kickoff/<service>/<environment>/``, as its state folder is named, and
every range ends in a slash. Release folders, logs of processes and sockets stay on this host, in that folder.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.release import rollback_targets
from kickoff.release.model import EMPTY, State
from kickoff.release.progress import Progress, fold
from kickoff.release.stores import MEMBERS, REBUILD, Observer, etcd_releases, make_folders
from kickoff.release.stores import lease as leases
from kickoff.release.stores.etcd_client import (
    PATIENCE_SECONDS,
    Client,
    delete,
    kept,
    put,
    unchanged,
)
from kickoff.release.stores.etcd_fence import Fence
from kickoff.release.stores.etcd_keys import Keys
from kickoff.release.stores.etcd_lock import Lock, Seen
from kickoff.release.stores.etcd_members import Members
from kickoff.release.stores.etcd_records import EtcdHistory, EtcdTransaction, record_of
from kickoff.release.stores.lease import Lease, Owner

_LOG_BYTES = 256 << 10
"""Of a kept log; etcd takes 1.5 MB at once."""


class EtcdChanges:
    """The state's key, understood again when it was written."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._seen: tuple[int, bytes] | None = None
        self._state = EMPTY

    def latest(self) -> State:
        """Return who runs where now; one small question, whatever the age."""
        pair = self._store.client.get(self._store.keys.state)
        seen = (pair.modified, pair.value) if pair else None
        if seen is None or seen != self._seen:
            self._state, self._seen = self._store.understood(pair.value if pair else None), seen
        return self._state


class Store:
    """The state of one environment in etcd.

    Args:
        root: Folder on this host, which names the members in ``etcd.json``.
        observer: Sees each journal record after it is durable.
        patience: Seconds after which no member is looked for any more.

    Raises:
        KickoffError: A newer version of Kickoff wrote the state (exit 2), or no member answers (exit 4).
    """

    def __init__(
        self, root: Path, observer: Observer | None = None, *, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.root = root
        self.observer = observer
        self.keys = Keys.of(root)
        self.client = Client(Members.of(root), patience)
        self.lock = Lock(self.client, self.keys)
        self.history = EtcdHistory(self.client, self.keys)
        self._fence = Fence(self.client, self.keys.fence)
        make_folders(root)
        self.lock.look()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def upgrade(self) -> None:
        """After a restore, raise the token at once: a run from before it must not write into the state."""
        if self.lock.look().restored:
            with self._held():
                pass

    def watch(self) -> EtcdChanges:
        """Return the state as it changes from now on."""
        return EtcdChanges(self)

    def state(self) -> State:
        """Return who runs where.

        Raises:
            KickoffError: It is damaged, or is gone while the history names a live release (exit 4).
        """
        pair = self.client.get(self.keys.state)
        return self.understood(pair.value if pair else None)

    def understood(self, value: bytes | None) -> State:
        """Return the state that a value holds; ``None`` where there is none.

        Raises:
            KickoffError: It is damaged, or is gone while the history names a live release (exit 4).
        """
        if value is None:
            if self.recorded_live():
                raise self._damaged("is lost, and a release is live")
            if (self.root / "state.json").exists():
                raise KickoffError(
                    f"the state of {self.root.name} is in files, and not in etcd",
                    code=ExitCode.UNREACHABLE,
                    at=str(self.root / MEMBERS),
                    hint=f"move {MEMBERS} away to go on with the files; a new environment can begin in etcd",
                )
            return EMPTY
        try:
            return State.from_document(json.loads(value))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._damaged("is damaged") from None

    def recorded_live(self) -> str:
        """Return the release that the history names as live; empty when it names none."""
        return rollback_targets.live(self.history.newest_first())

    def release_folder(self, name: str) -> Path:
        """Return where the release ``name`` is kept on this host, or would be.

        One that another host has kept in etcd is fetched.

        Raises:
            KickoffError: It is damaged there (exit 4).
        """
        folder = self.root / "releases" / name
        if name and not name.startswith(".") and not folder.exists():
            pair = self.client.get(self.keys.release(name))
            if pair is not None:
                etcd_releases.unpack(pair.value, folder)
        return folder

    def keep_log(self, release: str, lines: list[str], most: int) -> None:
        """Keep the end of a refused release's log; at most ``most`` of them, the newest.

        Masked as it is written: by the time somebody reads it, its secrets may be known to nobody.
        """
        key = self.keys.log(release)
        text = masking.text("\n".join(lines) + "\n").encode()[-_LOG_BYTES:]
        while True:
            older = self.client.below(self.keys.logs, by="MOD", descending=True, keys_only=True)
            current = next((pair.modified for pair in older if pair.key == key), 0)
            leaving = [pair.key for pair in older if pair.key != key][max(0, most - 1) :]
            write = [put(key, text), *map(delete, leaving[:100])]
            if self.client.transact([unchanged(key, current)], write).done:
                return

    def kept_log(self, release: str) -> list[str] | None:
        """Return the lines of the kept log of a refused release; ``None`` when there is none."""
        pair = self.client.get(self.keys.log(release))
        return pair.value.decode(errors="replace").splitlines() if pair else None

    def lease(self) -> Lease:
        """Return the lock's content; expired when etcd says so, whatever the clock of this host says."""
        return self.lock.look().understood()

    def open_attempt(self) -> Progress | None:
        """Return the attempt that was begun and not finished, if any: of finished ones nothing is read."""
        for pair in self.client.below(self.keys.open, by="CREATE", descending=True):
            progress = self._known(self.keys.named(pair.key))
            if progress is not None and not progress.finished:
                return progress
        return None

    def attempt(self, identity: str) -> Progress:
        """Return the attempt ``identity``.

        Raises:
            KickoffError: There is none.
        """
        attempt = self._known(identity)
        if attempt is None:
            raise KickoffError(
                f"no attempt {identity!r} in {self.keys.prefix}",
                hint=f"`kickoff status --env {self.root.name}` shows the open attempt",
            )
        return attempt

    def acquire(self, owner: Owner, ttl: float) -> Lease:
        """Take the lock for a new attempt."""
        return self._locked(lambda seen: leases.acquired(seen.understood(), owner, ttl), ttl)

    def take_over(self, attempt: str, owner: Owner, ttl: float, *, alive: bool = False) -> Lease:
        """Continue an open attempt of another run under a higher token."""
        return self._locked(
            lambda seen: leases.taken_over(seen.understood(), attempt, owner, ttl, alive=alive),
            ttl,
            by=owner.who,
        )

    def join(self, attempt: str, owner: Owner, ttl: float) -> Lease:
        """Continue an attempt that holds the lock in this process."""

        def joined(seen: Seen) -> Lease:
            current = seen.understood()
            if current.attempt != attempt:
                raise self._overtaken(current, attempt)
            return leases.joined(current, owner, ttl)

        return self._locked(joined, ttl, by=owner.who)

    def renew(self, lease: Lease, owner: Owner, ttl: float) -> None:
        """Extend a lease, and name the process that works on the attempt now."""

        def renewed(seen: Seen) -> Lease:
            self._require(lease, seen.understood())
            return Lease(lease.token, lease.attempt, owner, time.time() + ttl)

        self._locked(renewed, ttl)

    def release_lock(self, lease: Lease) -> None:
        """Free the lock if this lease still holds it; the token stays, so it is never reused."""

        def released(seen: Seen) -> Lease | None:
            current = seen.understood()
            return leases.freed(current) if leases.same(lease, current) else None

        self._locked(released, 0)

    def force_unlock(self, by: str) -> Lease:
        """Free the lock whoever holds it, fencing the holder off; return what it was."""
        with self._held():
            while True:
                seen = self.lock.look()
                try:
                    current = seen.understood()
                except KickoffError:  # damaged: what it held is lost, but no token may be given twice
                    current = Lease(self._newest_token() + leases.TOKENS_LOST, "", None, 0.0)
                if self._write(
                    seen, leases.freed(current, by_force=True), 0, by if current.attempt else "", current
                ):
                    return current

    @contextmanager
    def transact(self, lease: Lease) -> Iterator[EtcdTransaction]:
        """Hold the fence while this lease owns the lock; each write inside compares the token again.

        Writes are not gathered until the end: what stands in the journal before an effect has to be durable
        before it.
        """
        with self._held():
            self._require(lease, self.lease())

            def lost() -> None:
                self._require(lease, self.lease())

            yield EtcdTransaction(self.client, self.keys, self.observer, self.lock.guard(lease), lost)

    @contextmanager
    def exclusive(self) -> Iterator[EtcdTransaction]:
        """Keep all other writers out, whoever holds the lock; each write compares that the fence stands."""
        with self._held() as created:

            def lost() -> None:
                pair = self.client.get(self.keys.fence)
                if pair is None or pair.created != created:
                    raise leases.held_by(Lease(0, "", None, 0.0))

            guard = kept(self.keys.fence, created)
            yield EtcdTransaction(self.client, self.keys, self.observer, guard, lost)

    @contextmanager
    def _held(self) -> Iterator[int]:
        """Hold the fence; the version is asked inside: a newer Kickoff may have been here meanwhile."""
        with self._fence.held() as created:
            self.lock.settle()
            yield created

    def _locked(self, decide: Callable[[Seen], Lease | None], ttl: float, by: str = "") -> Lease:
        """Write the lease that ``decide`` makes of the current one, and that ``by`` took the attempt over.

        Without a higher token nothing was taken over, and without a lease nothing is written.
        """
        with self._held():
            while True:
                seen = self.lock.look()
                lease, current = decide(seen), seen.understood()
                if lease is None:
                    return current
                taken = by if lease.token != current.token else ""
                if self._write(seen, lease, ttl, taken, lease):
                    return lease

    def _write(self, seen: Seen, lease: Lease, ttl: float, by: str, about: Lease) -> bool:
        """Write a lease, and in the same transaction that ``by`` took over the attempt of ``about``."""
        if not by:
            return self.lock.write(seen, lease, ttl)
        record, operations = record_of(self.keys, {"event": "taken over", "attempt": about.attempt, "by": by})
        done = self.lock.write(seen, lease, ttl, operations)
        if done and self.observer is not None:
            self.observer(record)
        return done

    def _known(self, identity: str) -> Progress | None:
        pairs = self.client.below(self.keys.attempt(identity), by="CREATE")
        try:
            return next(iter(fold([json.loads(pair.value) for pair in pairs])), None)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KickoffError(
                f"the records of attempt {identity!r} are damaged",
                code=ExitCode.UNREACHABLE,
                at=self.keys.attempt(identity),
                hint="restore a snapshot of etcd; `kickoff status --env NAME` shows what runs",
            ) from None

    def _newest_token(self) -> int:
        newest = self.client.below(self.keys.attempts, by="CREATE", descending=True, limit=1, keys_only=True)
        tokens = [self.keys.named(pair.key).partition("-")[0] for pair in newest]
        return max((int(token) for token in tokens if token.isdecimal()), default=0)

    def _require(self, lease: Lease, current: Lease) -> None:
        if not leases.same(lease, current):
            raise self._overtaken(current, lease.attempt)

    def _overtaken(self, current: Lease, attempt: str) -> KickoffError:
        return leases.overtaken(current, attempt, self._known(attempt))

    def _damaged(self, what: str) -> KickoffError:
        return KickoffError(
            f"the state {what}",
            code=ExitCode.UNREACHABLE,
            at=self.keys.state,
            hint=REBUILD.format(self.root.name),
        )


open_store = Store
