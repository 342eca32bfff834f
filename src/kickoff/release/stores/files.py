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
import yaml

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.release import rollback_targets
from kickoff.release.model import EMPTY, State
from kickoff.release.route import weights_of
from kickoff.release.stores import migrations
from kickoff.release.stores.history import History
from kickoff.release.stores.journal import Attempt, Journal, Observer

REBUILD = "`scripts/deploy/release.py resume --rebuild-state --env {}` derives it again from what runs"
UNLOCK = "`scripts/deploy/release.py unlock --force --env {}` writes a new one, once no run is at work"


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

    Raises:
        KickoffError: A newer version of Kickoff wrote the folder (exit 2).
    """

    def __init__(self, root: Path, observer: Observer | None = None) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        migrations.version_of(root)
        for folder in ("releases", "traefik/dynamic", "supervisor", "logs", "data"):
            (root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.journal = Journal(root / "journal.jsonl", observer)
        # The token under which this process works on an attempt. An attempt that is taken over keeps its
        # id, so the id alone would let the overtaken process through the fence.
        self._tokens: dict[str, int] = {}
        self.history = History(root / "releases.jsonl")

    def upgrade(self) -> None:
        """Bring an older folder to the current version; while a run is at work, that is left to the next."""
        if migrations.is_current(self.root):
            return
        with self._flock():
            owner = self.lease().owner
            if owner is None or owner.pid == 0 or not _alive(owner.pid, owner.born):
                migrations.migrate(self.root)

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
        return bool(self.recorded_live() or weights_of(self._route()))

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
            owner = Owner(**document["owner"]) if document["owner"] else None
            return Lease(document["token"], document["attempt"], owner, document["expires"])
        except (KeyError, TypeError):
            raise self._damaged("lock.json", "is damaged", UNLOCK) from None

    def open_attempt(self) -> Attempt | None:
        """Return the attempt that was begun and not finished, if any."""
        return next((one for one in reversed(self.journal.attempts()) if not one.finished), None)

    def attempt(self, identity: str) -> Attempt:
        """Return the attempt ``identity``.

        Raises:
            KickoffError: There is none.
        """
        attempt = self.journal.attempt(identity)
        if attempt is None:
            raise KickoffError(
                f"no attempt {identity!r} in {self.root}", hint="`status` shows the open attempt"
            )
        return attempt

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
            migrations.migrate(self.root)
            token = current.token + 1
            lease = Lease(token, f"{token}-{secrets.token_hex(3)}", owner, time.time() + ttl)
            self._write_lease(lease)
            self._tokens[lease.attempt] = token
            return lease

    def take_over(self, attempt: str, owner: Owner, ttl: float, *, alive: bool = False) -> None:
        """Continue an open attempt whose run died, fencing that run off should it wake up.

        The token rises, but the attempt keeps its id: it is the same attempt that is finished or undone. The
        journal says who took it over, so that the run it was taken from can tell.

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
            migrations.migrate(self.root)  # only now that the run it was taken from writes nothing more
            self.journal.append(event="taken over", attempt=attempt, by=owner.who)

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
            overtakes = attempt not in self._tokens and working not in {0, os.getpid()}
            token = self._tokens.setdefault(attempt, current.token + overtakes)
            self._write_lease(Lease(token, attempt, owner, time.time() + ttl))
            migrations.migrate(self.root)
            if overtakes:
                self.journal.append(event="taken over", attempt=attempt, by=owner.who)

    def release_lock(self, attempt: str) -> None:
        """Free the lock if ``attempt`` still holds it; the token stays, so it is never reused."""
        with self._flock():
            current = self.lease()
            if current.attempt == attempt and self._tokens.get(attempt, current.token) == current.token:
                self._write_lease(Lease(current.token, "", None, 0.0))

    def force_unlock(self, by: str) -> Lease:
        """Free the lock whoever holds it, fencing the holder off; return what it was.

        Args:
            by: Who frees it, for the journal.
        """
        with self._flock():
            current = self.lease()
            self._write_lease(Lease(current.token + 1, "", None, 0.0))
            if current.attempt:
                self.journal.append(event="taken over", attempt=current.attempt, by=by)
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

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep all other writers out, whoever holds the lock: for records that belong to no attempt."""
        with self._flock():
            yield

    def save(self, state: State) -> None:
        """Write the state; call inside :meth:`fenced`."""
        write_atomic(self.root / "state.json", json.dumps(state.to_document(), indent=1), mode=0o600)

    def _check_fence(self, current: Lease, attempt: str) -> None:
        if current.attempt != attempt or self._tokens.get(attempt, current.token) != current.token:
            raise self._overtaken(current, attempt)

    def _overtaken(self, current: Lease, attempt: str) -> KickoffError:
        """Return the error of a run whose attempt passed to somebody else, naming them where possible."""
        known = self.journal.attempt(attempt)
        if known is None or not known.taken_by:
            return held_by(current)
        return TakenBack(known.taken_by, known.taken_at, known.release or attempt)

    @contextmanager
    def _flock(self) -> Iterator[None]:
        descriptor = os.open(self.root / "fence", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            migrations.version_of(self.root)  # a newer Kickoff may have been here since this run began
            yield
        finally:
            os.close(descriptor)

    def _write_lease(self, lease: Lease) -> None:
        write_atomic(self.root / "lock.json", json.dumps(asdict(lease), indent=1), mode=0o600)

    def _route(self) -> dict[str, Any]:
        try:
            found = yaml.safe_load((self.root / "traefik" / "dynamic" / "route.yml").read_text("utf-8"))
        except (FileNotFoundError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) else {}

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


class TakenBack(KickoffError):
    """The refusal of a run whose attempt was taken over.

    Attributes:
        by: Who took it over.
        taken_at: When, ISO 8601.
    """

    def __init__(self, by: str, taken_at: str, what: str) -> None:
        super().__init__(
            f"this run no longer holds the lock: {by} took {what} over at {taken_at[11:19]} UTC",
            code=ExitCode.LOCK_HELD,
            hint="this run changed nothing more; `release.py history` says what became of it",
        )
        self.by, self.taken_at = by, taken_at


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
        hint="wait for it (`--wait SECONDS`), or, if that run is gone for good, `release.py unlock --force`",
    )
