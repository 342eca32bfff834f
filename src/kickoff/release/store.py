"""State on the target: the lock, the fence, and every durable write.

All writes of state, route and life cycle happen inside :meth:`Store.fenced`, which under one ``flock``
compares the caller's fencing token with the current one. A run that was paused and overtaken can
therefore wake up at any instruction and still change nothing.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.release.history import History
from kickoff.release.journal import Attempt, Journal, Observer, fold
from kickoff.release.model import EMPTY, State


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds the lock.

    Attributes:
        who: ``user@host`` or the run's address, for people.
        run: Identity of the pipeline run; a run may take over its own lock.
        pid: Process that works on the attempt now; 0 between two commands of one attempt.
        born: When that process started (:func:`born`), so that a reused pid is not mistaken for it.
    """

    who: str
    run: str
    pid: int
    born: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The lock's content; times are seconds since the epoch.

    Attributes:
        token: Fencing token: grows with every acquisition and is never reused.
        attempt: Attempt the lock is held for; empty when free.
        owner: The holder; ``None`` when free.
        expires: Instant after which anyone may take over.
    """

    token: int
    attempt: str
    owner: Owner | None
    expires: float

    @property
    def held(self) -> bool:
        """Whether somebody holds the lock, dead or alive."""
        return self.owner is not None

    def abandoned(self, run: str) -> bool:
        """Whether ``run`` may take the lock over: expired, of a process that died, or its own and idle.

        A clock that jumps back can only make a lease look younger, never hand it to two runs at once:
        the fencing token decides about writes.
        """
        if self.owner is None or time.time() >= self.expires:
            return True
        if self.owner.pid != 0:
            return not _alive(self.owner.pid, self.owner.born)
        return self.owner.run == run


def born(process: psutil.Process) -> float:
    """Return when ``process`` started, in seconds since the machine did: the clock may jump meanwhile."""
    return float(process.create_time() - psutil.boot_time())


def _alive(pid: int, since: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(born(process) - since) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Store:
    """The state folder of one environment.

    Args:
        root: The folder; created when missing.
        observer: Sees each journal record after it is durable.
    """

    def __init__(self, root: Path, observer: Observer | None = None) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in ("releases", "traefik/dynamic", "supervisor", "logs", "data"):
            (root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.journal = Journal(root / "journal.jsonl", observer)
        # The token under which this process works on an attempt. An attempt that is taken over keeps its
        # id, so the id alone would let the overtaken process through the fence.
        self._tokens: dict[str, int] = {}
        self.history = History(root / "releases.jsonl")

    def state(self) -> State:
        """Return who runs where."""
        document = self._json("state.json")
        return State.from_document(document) if document else EMPTY

    def release_folder(self, name: str) -> Path:
        """Return where the release ``name`` is kept, or would be."""
        return self.root / "releases" / name

    def lease(self) -> Lease:
        """Return the lock's content."""
        document = self._json("lock.json")
        if not document:
            return Lease(token=0, attempt="", owner=None, expires=0.0)
        owner = Owner(**document["owner"]) if document["owner"] else None
        return Lease(document["token"], document["attempt"], owner, document["expires"])

    def open_attempt(self) -> Attempt | None:
        """Return the attempt that was begun and not finished, if any."""
        attempts = [attempt for attempt in fold(self.journal.read()) if not attempt.finished]
        return attempts[-1] if attempts else None

    def attempt(self, identity: str) -> Attempt:
        """Return the attempt ``identity``.

        Raises:
            KickoffError: There is none.
        """
        for attempt in fold(self.journal.read()):
            if attempt.id == identity:
                return attempt
        raise KickoffError(f"no attempt {identity!r} in {self.root}", hint="`status` shows the open attempt")

    def acquire(self, owner: Owner, ttl: float) -> Lease:
        """Take the lock, raising the fencing token.

        Args:
            owner: The new holder.
            ttl: Seconds until the lease expires unless renewed.

        Raises:
            KickoffError: Another run holds it (exit code 75, naming the owner).
        """
        with self._flock():
            current = self.lease()
            if current.owner is not None and not current.abandoned(owner.run):
                raise held_by(current)
            token = current.token + 1
            lease = Lease(token, f"{token}-{secrets.token_hex(3)}", owner, time.time() + ttl)
            self._write_lease(lease)
            self._tokens[lease.attempt] = token
            return lease

    def take_over(self, attempt: str, owner: Owner, ttl: float, *, alive: bool = False) -> None:
        """Continue an open attempt whose run died, fencing that run off should it wake up.

        The token rises, but the attempt keeps its id: it is the same attempt that is finished or undone.

        Args:
            attempt: The attempt.
            owner: The new holder.
            ttl: Seconds until the lease expires unless renewed.
            alive: Take it from a living run too; the fence lets that one write nothing more.

        Raises:
            KickoffError: A living run holds the lock (exit code 75).
        """
        with self._flock():
            current = self.lease()
            # Whoever holds another attempt by now is not the run that this one was to be taken from.
            takes = alive and current.attempt == attempt
            if current.owner is not None and not takes and not current.abandoned(owner.run):
                raise held_by(current)
            self._write_lease(Lease(current.token + 1, attempt, owner, time.time() + ttl))
            self._tokens[attempt] = current.token + 1

    def renew(self, attempt: str, owner: Owner, ttl: float) -> None:
        """Extend the lease of ``attempt`` and name the process that works on it now.

        A process that meets the attempt for the first time while another one is named as working on it
        (an abort during a promotion) raises the token, which fences that one off.

        Raises:
            KickoffError: The lock has passed to another attempt or process (exit code 75).
        """
        with self._flock():
            current = self.lease()
            self._check_fence(current, attempt)
            working = current.owner.pid if current.owner is not None else 0
            if attempt not in self._tokens:
                self._tokens[attempt] = current.token + (1 if working not in {0, os.getpid()} else 0)
            self._write_lease(Lease(self._tokens[attempt], attempt, owner, time.time() + ttl))

    def release_lock(self, attempt: str) -> None:
        """Free the lock if ``attempt`` still holds it; the token stays, so it is never reused."""
        with self._flock():
            current = self.lease()
            if current.attempt == attempt and self._tokens.get(attempt, current.token) == current.token:
                self._write_lease(Lease(current.token, "", None, 0.0))

    def force_unlock(self) -> Lease:
        """Free the lock whoever holds it, fencing the holder off; return what it was."""
        with self._flock():
            current = self.lease()
            self._write_lease(Lease(current.token + 1, "", None, 0.0))
            return current

    @contextmanager
    def fenced(self, attempt: str) -> Iterator[None]:
        """Hold the fence while ``attempt`` still owns the lock; write only inside.

        Raises:
            KickoffError: A newer attempt, or another process on the same one, took over (exit code 75).
        """
        with self._flock():
            self._check_fence(self.lease(), attempt)
            yield

    def save(self, state: State) -> None:
        """Write the state; call inside :meth:`fenced`."""
        write_atomic(self.root / "state.json", json.dumps(state.to_document(), indent=1), mode=0o600)

    def _check_fence(self, current: Lease, attempt: str) -> None:
        if current.attempt != attempt or self._tokens.get(attempt, current.token) != current.token:
            raise held_by(current)

    @contextmanager
    def _flock(self) -> Iterator[None]:
        descriptor = os.open(self.root / "fence", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write_lease(self, lease: Lease) -> None:
        write_atomic(self.root / "lock.json", json.dumps(asdict(lease), indent=1), mode=0o600)

    def _json(self, name: str) -> dict[str, Any]:
        try:
            document = json.loads((self.root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise KickoffError(
                f"{name} is damaged: {error}",
                code=ExitCode.UNREACHABLE,
                at=str(self.root / name),
                hint="restore the file from a backup; `status` shows what the proxy routes to",
            ) from None
        return dict(document)


def held_by(lease: Lease) -> KickoffError:
    """Return the error for a lock that belongs to somebody else."""
    if lease.owner is None:
        return KickoffError(
            "this attempt no longer holds the lock: it was taken over or freed by force",
            code=ExitCode.LOCK_HELD,
            hint="nothing was changed; start again",
        )
    left = max(0, round(lease.expires - time.time()))
    return KickoffError(
        f"{lease.owner.who} is releasing (attempt {lease.attempt}, lock expires in {left} s)",
        code=ExitCode.LOCK_HELD,
        hint="wait for it (`--wait SECONDS`), or, if that run is gone for good, `release.py unlock --force`",
    )
