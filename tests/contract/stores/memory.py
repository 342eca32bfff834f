"""A store in memory: the protocol without files, for tests."""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickoff.errors import KickoffError
from kickoff.evidence import now
from kickoff.release import rollback_targets
from kickoff.release.model import EMPTY, State
from kickoff.release.progress import Progress, fold
from kickoff.release.stores import Observer
from kickoff.release.stores import lease as leases
from kickoff.release.stores.history import Entry
from kickoff.release.stores.lease import Lease, Owner


@dataclass
class Shelf:
    """What every store on it sees."""

    state: State = EMPTY
    lease: Lease = field(default_factory=lambda: Lease(0, "", None, 0.0))
    records: list[dict[str, Any]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    fence: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class MemoryStore:
    """The state of one environment, in memory."""

    root: Path
    shelf: Shelf
    observer: Observer | None = None

    @property
    def history(self) -> "MemoryStore":
        return self

    def newest_first(self) -> Iterator[Entry]:
        return reversed(self.shelf.entries)

    def entries(self) -> list[Entry]:
        return list(self.shelf.entries)

    def verify(self) -> int:
        return len(self.shelf.entries)

    def state(self) -> State:
        return self.shelf.state

    latest = state

    def watch(self) -> "MemoryStore":
        return self

    def lease(self) -> Lease:
        return self.shelf.lease

    def open_attempt(self) -> Progress | None:
        return next((one for one in reversed(fold(self.shelf.records)) if not one.finished), None)

    def attempt(self, identity: str) -> Progress:
        for found in fold(self.shelf.records):
            if found.id == identity:
                return found
        raise KickoffError(f"no attempt {identity!r}")

    def acquire(self, owner: Owner, ttl: float) -> Lease:
        with self.shelf.fence:
            self.shelf.lease = leases.acquired(self.shelf.lease, owner, ttl)
            return self.shelf.lease

    def take_over(self, attempt: str, owner: Owner, ttl: float, *, alive: bool = False) -> Lease:
        with self.shelf.fence:
            self.shelf.lease = leases.taken_over(self.shelf.lease, attempt, owner, ttl, alive=alive)
            self.note(event="taken over", attempt=attempt, by=owner.who)
            return self.shelf.lease

    def join(self, attempt: str, owner: Owner, ttl: float) -> Lease:
        with self.shelf.fence:
            current = self.shelf.lease
            if current.attempt != attempt:
                raise self._overtaken(attempt)
            self.shelf.lease = leases.joined(current, owner, ttl)
            if self.shelf.lease.token != current.token:
                self.note(event="taken over", attempt=attempt, by=owner.who)
            return self.shelf.lease

    def renew(self, lease: Lease, owner: Owner, ttl: float) -> None:
        with self.shelf.fence:
            self._check(lease)
            self.shelf.lease = Lease(lease.token, lease.attempt, owner, time.time() + ttl)

    def release_lock(self, lease: Lease) -> None:
        with self.shelf.fence:
            if leases.same(lease, self.shelf.lease):
                self.shelf.lease = leases.freed(self.shelf.lease)

    def force_unlock(self, by: str) -> Lease:
        with self.shelf.fence:
            current = self.shelf.lease
            self.shelf.lease = leases.freed(current, by_force=True)
            if current.attempt:
                self.note(event="taken over", attempt=current.attempt, by=by)
            return current

    @contextmanager
    def transact(self, lease: Lease) -> Iterator["MemoryStore"]:
        with self.shelf.fence:
            self._check(lease)
            yield self

    @contextmanager
    def exclusive(self) -> Iterator["MemoryStore"]:
        with self.shelf.fence:
            yield self

    def save(self, state: State) -> None:
        self.shelf.state = state

    def note(self, **record: Any) -> None:
        record = {"at": now(), **record}
        self.shelf.records.append(record)
        if self.observer is not None:
            self.observer(record)

    def record(self, action: str, outcome: str, release: str, previous: str, **data: Any) -> None:
        seq = len(self.shelf.entries) + 1
        self.shelf.entries.append(Entry(action, outcome, release, previous, now(), data, seq))

    def keep_release(self, folder: Path) -> None:
        """No other host has this state."""

    def forget_releases(self, kept: Collection[str]) -> None:
        """No other host has this state."""

    def recorded_live(self) -> str:
        return rollback_targets.live(self.newest_first())

    def upgrade(self) -> None:
        """Nothing is older than this process."""

    def release_folder(self, name: str) -> Path:
        return self.root / "releases" / name

    def keep_log(self, release: str, lines: list[str], most: int) -> None:
        self.shelf.logs.pop(release, None)
        self.shelf.logs[release] = lines
        for old in list(self.shelf.logs)[:-most]:
            del self.shelf.logs[old]

    def kept_log(self, release: str) -> list[str] | None:
        return self.shelf.logs.get(release)

    def _check(self, lease: Lease) -> None:
        if not leases.same(lease, self.shelf.lease):
            raise self._overtaken(lease.attempt)

    def _overtaken(self, attempt: str) -> KickoffError:
        known = next((one for one in fold(self.shelf.records) if one.id == attempt), None)
        return leases.overtaken(self.shelf.lease, attempt, known)
