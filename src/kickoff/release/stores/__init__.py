"""Stores of an environment's state: one protocol, one module per kind of store.

State is who runs where, who holds the lock, how far each attempt has come, and the history. It is read by
anyone and written in a transaction only, which compares the writer's fencing token with the current one: a
run that was paused and overtaken can wake up at any instruction and still change nothing.
"""

import importlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from kickoff.release.model import State
from kickoff.release.progress import Progress
from kickoff.release.stores.history import Entry
from kickoff.release.stores.lease import Lease, Owner

Observer = Callable[[dict[str, Any]], None]
"""Sees each record of an attempt once it is durable."""
STORES = {"files": "kickoff.release.stores.files", "etcd": "kickoff.release.stores.etcd"}
"""Module of each kind of store; each has a function ``open_store``."""
MEMBERS = "etcd.json"
"""File of a state folder that names the members of etcd which keep its state."""
REBUILD = "`kickoff resume --rebuild-state --env {}` derives it again from what runs"
UNLOCK = "`kickoff unlock --force --env {}` writes a new one, once no run is at work"
"""Hints for a damaged state and a damaged lock."""


class Transaction(Protocol):
    """Writes that no other run can come between."""

    def save(self, state: State) -> None:
        """Record who runs where."""

    def note(self, **record: Any) -> None:  # noqa: ANN401 - records are open JSON objects
        """Record how far an attempt has come."""

    def record(self, action: str, outcome: str, release: str, previous: str, **data: Any) -> None:  # noqa: ANN401
        """Add an entry to the history."""

    def keep_release(self, folder: Path) -> None:
        """Keep what a release folder holds for other hosts that share the state, where there may be any."""

    def forget_releases(self, kept: Collection[str]) -> None:
        """Forget all releases that are kept there but these."""


class Past(Protocol):
    """The history, to be read."""

    def newest_first(self) -> Iterator[Entry]:
        """Yield the entries, newest first; costs as much as is asked for."""

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first."""

    def verify(self) -> int:
        """Check that nothing was changed afterwards, and return the number of entries.

        Raises:
            KickoffError: It was (exit code 1).
        """


class Changes(Protocol):
    """The state as it changes."""

    def latest(self) -> State:
        """Return who runs where now; without a change since the last call this costs next to nothing."""


class StateStore(Protocol):
    """The state of one environment."""

    @property
    def root(self) -> Path:
        """Folder on this host for what is no state: releases, logs, sockets."""

    @property
    def history(self) -> Past:
        """The history: releases, rollbacks and refusals."""

    def state(self) -> State:
        """Return who runs where.

        Raises:
            KickoffError: It is damaged, or is gone while other records name a live release (exit 4).
        """

    def watch(self) -> Changes:
        """Return the state as it changes from now on."""

    def lease(self) -> Lease:
        """Return who holds the lock."""

    def open_attempt(self) -> Progress | None:
        """Return the attempt that was begun and not finished, if any."""

    def attempt(self, identity: str) -> Progress:
        """Return an attempt, however old.

        Raises:
            KickoffError: There is none.
        """

    def acquire(self, owner: Owner, ttl: float) -> Lease:
        """Take the lock for a new attempt, raising the fencing token.

        Args:
            owner: The new holder.
            ttl: Seconds until the lease expires unless renewed.

        Raises:
            KickoffError: Another run holds it (exit code 75, naming the owner).
        """

    def take_over(self, attempt: str, owner: Owner, ttl: float, *, alive: bool = False) -> Lease:
        """Continue an open attempt whose run died, fencing that run off should it wake up.

        The token rises, but the attempt keeps its id: it is the same attempt that is finished or undone. Its
        records say who took it over, so that the run it was taken from can tell.

        Args:
            attempt: The attempt.
            owner: The new holder.
            ttl: Seconds until the lease expires unless renewed.
            alive: Take it from a living run too; the fence lets that one write nothing more.

        Raises:
            KickoffError: A living run holds the lock (exit code 75).
        """

    def join(self, attempt: str, owner: Owner, ttl: float) -> Lease:
        """Continue an attempt that holds the lock in another process.

        While a process is named as working on it (an abort during a promotion), the token rises, which fences
        that process off.

        Raises:
            KickoffError: The lock has passed to another attempt (exit code 75).
        """

    def renew(self, lease: Lease, owner: Owner, ttl: float) -> None:
        """Extend a lease, and name the process that works on the attempt now.

        Raises:
            KickoffError: The lock has passed to another attempt or process (exit code 75).
        """

    def release_lock(self, lease: Lease) -> None:
        """Free the lock if this lease still holds it; the token stays, so it is never reused."""

    def force_unlock(self, by: str) -> Lease:
        """Free the lock whoever holds it, fencing the holder off; return what it was.

        Args:
            by: Who frees it, for the records.
        """

    def transact(self, lease: Lease) -> AbstractContextManager[Transaction]:
        """Hold the fence while this lease owns the lock; whatever must not be overtaken happens inside.

        Raises:
            KickoffError: A newer attempt, or another process on the same one, took over (exit code 75).
        """

    def exclusive(self) -> AbstractContextManager[Transaction]:
        """Keep all other writers out, whoever holds the lock: for records that belong to no attempt."""

    def recorded_live(self) -> str:
        """Return the release that the history names as live; empty when it names none."""

    def upgrade(self) -> None:
        """Bring what an older version wrote up to date, unless a run is at work or a file is damaged."""

    def release_folder(self, name: str) -> Path:
        """Return where the release ``name`` is kept on this host, or would be."""

    def keep_log(self, release: str, lines: list[str], most: int) -> None:
        """Keep the log of a refused release; at most ``most`` of them, the newest."""

    def kept_log(self, release: str) -> list[str] | None:
        """Return the lines of the kept log of a refused release; ``None`` when there is none."""


def make_folders(root: Path) -> None:
    """Make the folders of what an environment keeps on this host."""
    for folder in ("releases", "traefik/dynamic", "supervisor", "logs", "data"):
        (root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)


def open_store(root: Path, observer: Observer | None = None) -> StateStore:
    """Open the store of an environment: in etcd where its folder names the members, in files otherwise.

    What an older version wrote is brought up to date, unless a run is at work.

    Args:
        root: Folder on this host.
        observer: Sees each record of an attempt once it is durable.

    Raises:
        KickoffError: A newer version of Kickoff wrote what is there (exit 2).
    """
    kind = "etcd" if (root / MEMBERS).is_file() else "files"
    store: StateStore = importlib.import_module(STORES[kind]).open_store(root, observer)
    store.upgrade()
    return store
