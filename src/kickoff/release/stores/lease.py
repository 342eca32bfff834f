"""The lock of an environment: a lease with owner, fencing token and expiry."""

import os
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any, Self

import psutil

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.progress import Progress

TOKENS_LOST = 1000
"""More tokens than can have been given since the newest attempt was opened, for a lock that is damaged."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of the lock.

    Attributes:
        who: ``user@host`` or the run's address, for people.
        run: Identity of the pipeline run; a run may take over its own lock.
        pid: Process that works on the attempt now; 0 between two commands of one attempt.
        born: When that process started (:func:`born`), so that a reused pid is not mistaken for it.
        host: Host of that process; empty for this one.
    """

    who: str
    run: str
    pid: int
    born: float
    host: str = ""

    @property
    def at_work(self) -> bool:
        """True when the process that works on the attempt lives; of one on another host only expiry tells."""
        if self.host:
            return self.pid != 0
        try:
            process = psutil.Process(self.pid) if self.pid else None
            return (
                process is not None
                and abs(born(process) - self.born) < 1
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False


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
        """True when somebody holds the lock, dead or alive."""
        return self.owner is not None

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the lease of its JSON form.

        Raises:
            KeyError: A field is missing.
            TypeError: A field is of the wrong type.
        """
        owner = Owner(**document["owner"]) if document["owner"] else None
        return cls(document["token"], document["attempt"], owner, document["expires"])

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form, without a host that is this one: older versions do not know the field."""
        document = asdict(self)
        if self.owner is not None and not self.owner.host:
            del document["owner"]["host"]
        return document

    def abandoned(self, run: str) -> bool:
        """True when ``run`` may take the lock over: expired, of a process that died, or its own and idle.

        A clock that jumps back can only make a lease look younger, never hand it to two runs at once:
        the fencing token decides about writes.
        """
        if self.owner is None or time.time() >= self.expires:
            return True
        if self.owner.pid != 0:
            return not self.owner.at_work
        return self.owner.run == run


def birth_of_this_process() -> float:
    """Return when this process started, as :func:`born` says it."""
    return born(psutil.Process())


def born(process: psutil.Process) -> float:
    """Return when ``process`` started, in seconds since the machine did: the clock may jump meanwhile."""
    return float(process.create_time() - psutil.boot_time())


def acquired(current: Lease, owner: Owner, ttl: float) -> Lease:
    """Return the lease of a new attempt under a higher token.

    Raises:
        KickoffError: Another run holds the lock (exit 75).
    """
    if current.owner is not None and not current.abandoned(owner.run):
        raise held_by(current)
    token = current.token + 1
    return Lease(token, f"{token}-{secrets.token_hex(3)}", owner, time.time() + ttl)


def taken_over(current: Lease, attempt: str, owner: Owner, ttl: float, *, alive: bool) -> Lease:
    """Return the lease of an attempt that is continued in the place of its run, under a higher token.

    Raises:
        KickoffError: A living run holds the lock, and it is not to be taken from it (exit 75).
    """
    # Whoever holds another attempt by now is not the run that this one was to be taken from.
    takes = alive and current.attempt == attempt
    if current.owner is not None and not takes and not current.abandoned(owner.run):
        raise held_by(current)
    return Lease(current.token + 1, attempt, owner, time.time() + ttl)


def joined(current: Lease, owner: Owner, ttl: float) -> Lease:
    """Return the lease of the attempt that holds the lock, continued in this process.

    The token rises while another process is named as working on it, which fences that one off.
    """
    at_it = current.owner
    mine = at_it is not None and at_it.pid == os.getpid() and not at_it.host
    overtakes = at_it is not None and at_it.pid != 0 and not mine
    return Lease(current.token + overtakes, current.attempt, owner, time.time() + ttl)


def freed(current: Lease, *, by_force: bool = False) -> Lease:
    """Return the lease of a free lock; by force the token rises, which fences the holder off."""
    return Lease(current.token + by_force, "", None, 0.0)


def same(lease: Lease, current: Lease) -> bool:
    """True when ``lease`` still holds the lock.

    An attempt that is taken over keeps its id: the token alone keeps the overtaken process out.
    """
    return (lease.attempt, lease.token) == (current.attempt, current.token)


class TakenBack(KickoffError):
    """The refusal of a run whose attempt was taken over.

    Attributes:
        by: Who took it over.
        taken_at: When, ISO 8601.
    """

    def __init__(self, by: str, taken_at: str, what: str, message: str = "") -> None:
        super().__init__(
            message or f"this run no longer holds the lock: {by} took {what} over at {taken_at[11:19]} UTC",
            code=ExitCode.LOCK_HELD,
            hint="this run changed nothing more; `kickoff history --env NAME` says what became of it",
        )
        self.by, self.taken_at = by, taken_at

    @property
    def facts(self) -> dict[str, Any]:
        """The evidence fields of whatever ended with it, with who took over, and when."""
        return {**super().facts, "taken_by": self.by, "taken_at": self.taken_at}


def held_by(lease: Lease) -> KickoffError:
    """Return the error for a lock that belongs to somebody else."""
    if lease.owner is None:
        return KickoffError(
            "this run no longer holds the lock: it was taken over or freed by force",
            code=ExitCode.LOCK_HELD,
            hint="nothing was changed; start again",
        )
    left = max(0, round(lease.expires - time.time()))
    return KickoffError(
        f"{lease.owner.who} is releasing (attempt {lease.attempt}, lock expires in {left} s)",
        code=ExitCode.LOCK_HELD,
        hint="wait for it: add `--wait 600`; when it is gone for good: `kickoff unlock --force --env NAME`",
    )


def overtaken(current: Lease, attempt: str, known: Progress | None) -> KickoffError:
    """Return the error of a run whose attempt passed to somebody else, naming them where they are known."""
    if known is None or not known.taken_by:
        return held_by(current)
    return TakenBack(known.taken_by, known.taken_at, known.release or attempt)
