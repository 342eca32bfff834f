"""State in files: all writes happen under one ``flock``, after comparing fencing tokens."""

import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.release import rollback_targets
from kickoff.release.model import EMPTY, State
from kickoff.release.progress import Progress
from kickoff.release.route import weights_in
from kickoff.release.stores import REBUILD, UNLOCK, Observer, make_folders, migrations
from kickoff.release.stores import lease as leases
from kickoff.release.stores.history import History
from kickoff.release.stores.journal import Journal
from kickoff.release.stores.lease import Lease, Owner


class FileTransaction:
    """Writes into the state folder; made where the fence is held."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def save(self, state: State) -> None:
        """Record who runs where."""
        write_atomic(self._store.path, json.dumps(state.to_document(), indent=1), mode=0o600)

    def note(self, **record: Any) -> None:  # noqa: ANN401 - records are open JSON objects
        """Record how far an attempt has come."""
        self._store.journal.append(**record)

    def record(self, action: str, outcome: str, release: str, previous: str, **data: Any) -> None:  # noqa: ANN401
        """Add an entry to the history."""
        self._store.history.append(action, outcome, release, previous, **data)

    def keep_release(self, folder: Path) -> None:
        """Nothing to do: no other host has this state."""

    def forget_releases(self, kept: Collection[str]) -> None:
        """Nothing to do: no other host has this state."""


class FileChanges:
    """The state's file, read again when it was replaced."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._seen: tuple[int, int] | None = None
        self._state = EMPTY

    def latest(self) -> State:
        """Return who runs where now."""
        try:
            found = self._store.path.stat()
            seen = (found.st_ino, found.st_mtime_ns)
        except FileNotFoundError:
            seen = None
        if seen is None or seen != self._seen:
            self._state, self._seen = self._store.state(), seen
        return self._state


class Store:
    """The state folder of one environment.

    Args:
        root: The folder; created when missing.
        observer: Sees each journal record after it is durable.

    Raises:
        KickoffError: A newer version of Kickoff wrote the folder (exit 2).
    """

    def __init__(self, root: Path, observer: Observer | None = None) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        migrations.version_of(root)
        make_folders(root)
        self.path = root / "state.json"
        self.journal = Journal(root / "journal.jsonl", observer)
        self.history = History(root / "releases.jsonl")

    def upgrade(self) -> None:
        """Bring an older folder to the current version; while a run is at work, that is left to the next.

        So it is where a file is damaged: the command that mends it has to open the store, too.
        """
        if migrations.is_current(self.root):
            return
        with self._flock(), suppress(KickoffError):
            owner = self.lease().owner
            if owner is None or not owner.at_work:
                migrations.migrate(self.root)

    def watch(self) -> FileChanges:
        """Return the state as it changes from now on."""
        return FileChanges(self)

    def state(self) -> State:
        """Return who runs where.

        Raises:
            KickoffError: The file is damaged, or is gone while other records name a live release (exit 4).
        """
        document = self._json("state.json")
        if document is None:
            if self._named_live():
                raise self._damaged("state.json", "is lost, and a release is live", REBUILD)
            return EMPTY
        try:
            return State.from_document(document)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._damaged("state.json", "is damaged", REBUILD) from None

    def recorded_live(self) -> str:
        """Return the release that the history names as live; empty when it names none."""
        return rollback_targets.live(self.history.newest_first())

    def _named_live(self) -> bool:
        return bool(self.recorded_live() or self._routed())

    def release_folder(self, name: str) -> Path:
        """Return where the release ``name`` is kept, or would be."""
        return self.root / "releases" / name

    def keep_log(self, release: str, lines: list[str], most: int) -> None:
        """Keep the log of a refused release in ``refused/``; at most ``most`` of them, the newest.

        Masked as it is written: by the time somebody reads it, its secrets may be known to nobody.
        """
        folder = self.root / "refused"
        folder.mkdir(mode=0o700, exist_ok=True)
        write_atomic(folder / f"{release}.log", masking.text("\n".join(lines) + "\n"), mode=0o600)
        for old in sorted(folder.iterdir(), key=lambda log: log.stat().st_mtime, reverse=True)[most:]:
            old.unlink()

    def kept_log(self, release: str) -> list[str] | None:
        """Return the lines of the kept log of a refused release; ``None`` when there is none."""
        log = self.root / "refused" / f"{release}.log"
        return log.read_text(encoding="utf-8").splitlines() if log.is_file() else None

    def lease(self) -> Lease:
        """Return the lock's content."""
        document = self._json("lock.json")
        if document is None:
            return Lease(token=0, attempt="", owner=None, expires=0.0)
        try:
            return Lease.from_document(document)
        except (KeyError, TypeError):
            raise self._damaged("lock.json", "is damaged", UNLOCK) from None

    def open_attempt(self) -> Progress | None:
        """Return the attempt that was begun and not finished, if any."""
        return next((one for one in reversed(self.journal.attempts()) if not one.finished), None)

    def attempt(self, identity: str) -> Progress:
        """Return the attempt ``identity``.

        Raises:
            KickoffError: There is none.
        """
        attempt = self.journal.attempt(identity)
        if attempt is None:
            raise KickoffError(
                f"no attempt {identity!r} in {self.root}",
                hint=f"`kickoff status --env {self.root.name}` shows the open attempt",
            )
        return attempt

    def acquire(self, owner: Owner, ttl: float) -> Lease:
        """Take the lock for a new attempt; the finished ones before the last leave the journal meanwhile."""
        with self._flock():
            lease = leases.acquired(self.lease(), owner, ttl)
            migrations.migrate(self.root)
            self.journal.archive_finished()
            return self._write_lease(lease)

    def take_over(self, attempt: str, owner: Owner, ttl: float, *, alive: bool = False) -> Lease:
        """Continue an open attempt of another run under a higher token."""
        with self._flock():
            lease = leases.taken_over(self.lease(), attempt, owner, ttl, alive=alive)
            self._write_lease(lease)
            migrations.migrate(self.root)  # only now that the run it was taken from writes nothing more
            self.journal.append(event="taken over", attempt=attempt, by=owner.who)
            return lease

    def join(self, attempt: str, owner: Owner, ttl: float) -> Lease:
        """Continue an attempt that holds the lock in this process."""
        with self._flock():
            current = self.lease()
            if current.attempt != attempt:
                raise self._overtaken(current, attempt)
            lease = self._write_lease(leases.joined(current, owner, ttl))
            migrations.migrate(self.root)
            if lease.token != current.token:
                self.journal.append(event="taken over", attempt=attempt, by=owner.who)
            return lease

    def renew(self, lease: Lease, owner: Owner, ttl: float) -> None:
        """Extend a lease, and name the process that works on the attempt now."""
        with self._flock():
            self._check_fence(lease)
            self._write_lease(Lease(lease.token, lease.attempt, owner, time.time() + ttl))

    def release_lock(self, lease: Lease) -> None:
        """Free the lock if this lease still holds it; the token stays, so it is never reused."""
        with self._flock():
            current = self.lease()
            if leases.same(lease, current):
                self._write_lease(leases.freed(current))

    def force_unlock(self, by: str) -> Lease:
        """Free the lock whoever holds it, fencing the holder off; return what it was."""
        with self._flock():
            try:
                current = self.lease()
            except KickoffError:  # damaged: what it held is lost, but no token may be given twice
                tokens = [int(one.id.partition("-")[0]) for one in self.journal.attempts()]
                current = Lease(max(tokens, default=0) + leases.TOKENS_LOST, "", None, 0.0)
            self._write_lease(leases.freed(current, by_force=True))
            if current.attempt:
                self.journal.append(event="taken over", attempt=current.attempt, by=by)
            return current

    @contextmanager
    def transact(self, lease: Lease) -> Iterator[FileTransaction]:
        """Hold the fence while this lease owns the lock; write only inside."""
        with self._flock():
            self._check_fence(lease)
            yield FileTransaction(self)

    @contextmanager
    def exclusive(self) -> Iterator[FileTransaction]:
        """Keep all other writers out, whoever holds the lock."""
        with self._flock():
            yield FileTransaction(self)

    def _check_fence(self, lease: Lease) -> None:
        current = self.lease()
        if not leases.same(lease, current):
            raise self._overtaken(current, lease.attempt)

    def _overtaken(self, current: Lease, attempt: str) -> KickoffError:
        return leases.overtaken(current, attempt, self.journal.attempt(attempt))

    @contextmanager
    def _flock(self) -> Iterator[None]:
        descriptor = os.open(self.root / "fence", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            migrations.version_of(self.root)  # a newer Kickoff may have been here since this run began
            yield
        finally:
            os.close(descriptor)

    def _write_lease(self, lease: Lease) -> Lease:
        write_atomic(self.root / "lock.json", json.dumps(lease.to_document(), indent=1), mode=0o600)
        return lease

    def _routed(self) -> bool:
        file = self.root / "traefik" / "dynamic" / "route.yml"
        return file.exists() and bool(weights_in(file.read_text("utf-8")))

    def _json(self, name: str) -> dict[str, Any] | None:
        """Return the object in a file; ``None`` when there is no file.

        Raises:
            KickoffError: The file holds no JSON object (exit 4).
        """
        try:
            document = json.loads((self.root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise self._damaged(name, "is damaged", UNLOCK if name == "lock.json" else REBUILD)
        return document

    def _damaged(self, name: str, what: str, fix: str) -> KickoffError:
        return KickoffError(
            f"{name} {what}",
            code=ExitCode.UNREACHABLE,
            at=str(self.root / name),
            hint=fix.format(self.root.name),
        )


open_store = Store
