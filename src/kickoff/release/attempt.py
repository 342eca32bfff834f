"""One command on an environment, and the handle of the attempt it works on."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickoff import github
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import RuleResult, now
from kickoff.paths import user
from kickoff.release import deliveries
from kickoff.release.progress import Progress
from kickoff.release.session import Session
from kickoff.release.stores import StateStore, Transaction
from kickoff.release.stores.lease import Lease


class Rejected(KickoffError):
    """A candidate that must not go on; carries the rules and the log that say why."""

    def __init__(
        self,
        message: str,
        *,
        rules: list[RuleResult] | None = None,
        log_tail: list[str] | None = None,
        code: ExitCode = ExitCode.REJECTED,
        at: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, at=at, hint=hint)
        self.rules = rules or []
        self.log_tail = log_tail or []


@dataclass(frozen=True, slots=True)
class Run:
    """One command.

    Attributes:
        session: The environment.
        root: The project whose configuration is read.
        tell: Called with what people should know while it waits.
        timeline: Events of this command, for the evidence.
    """

    session: Session
    root: Path
    tell: Callable[[str], object] = lambda _: None
    timeline: list[dict[str, Any]] = field(default_factory=list)

    @property
    def store(self) -> StateStore:
        """The environment's state."""
        return self.session.store

    @property
    def ttl(self) -> float:
        """Seconds until a lease expires unless renewed."""
        return self.session.environment.seconds("LOCK_TTL")

    @property
    def who(self) -> str:
        """Whoever gave the command, for people."""
        return self.session.owner(working=False).who

    @property
    def caller(self) -> dict[str, str]:
        """Whoever gave the command, and the run it belongs to, for the history; unknown ones are left out."""
        context, evidence = github.context(), os.environ.get("KICKOFF_EVIDENCE_DIR", "")
        run = context.run_url or (str(Path(evidence).parent) if "runs" in Path(evidence).parts else "")
        known = {"by": self.who, "actor": context.actor or user(), "run": run}
        return {key: text for key, text in known.items() if text}

    def log(self, event: str, step: str, **data: Any) -> None:  # noqa: ANN401 - events are open JSON objects
        """Add an event to the timeline."""
        self.timeline.append({"at": now(), "event": event, "step": step, **data})

    def acquire(self) -> Lease:
        """Take the lock for this process.

        Raises:
            KickoffError: Another run holds it (exit 75).
        """
        return self.store.acquire(self.session.owner(working=True), self.ttl)

    def join(self, identity: str) -> "Attempt":
        """Go on with an attempt that holds the lock.

        Raises:
            KickoffError: The lock has passed to another attempt (exit 75).
        """
        return Attempt(self, self.store.join(identity, self.session.owner(working=True), self.ttl))

    def take_over(self, identity: str, *, alive: bool = False) -> "Attempt":
        """Go on with an attempt in the place of the run that began it; ``alive``: even if that one lives.

        Raises:
            KickoffError: A living run holds the lock (exit 75).
        """
        owner = self.session.owner(working=True)
        return Attempt(self, self.store.take_over(identity, owner, self.ttl, alive=alive))


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt this command works on: every change of it goes through here, under its fencing token.

    Attributes:
        run: The command.
        lease: The attempt's id and token.
    """

    run: Run
    lease: Lease

    @property
    def id(self) -> str:
        """``<fencing token>-<random>``."""
        return self.lease.attempt

    @property
    def session(self) -> Session:
        """The environment."""
        return self.run.session

    @property
    def store(self) -> StateStore:
        """The environment's state."""
        return self.run.session.store

    @property
    def progress(self) -> Progress:
        """The attempt's progress, by the records of now."""
        return self.store.attempt(self.id)

    def fenced(self) -> AbstractContextManager[Transaction]:
        """Hold the fence; state, route and processes are changed inside only.

        Raises:
            KickoffError: Another run took over (exit 75).
        """
        return self.store.transact(self.lease)

    def note(self, **record: Any) -> None:  # noqa: ANN401 - records are open JSON objects
        """Record a fact about the attempt."""
        with self.fenced() as transaction:
            transaction.note(attempt=self.id, **record)

    @contextmanager
    def step(self, name: str, **data: Any) -> Iterator[None]:  # noqa: ANN401 - records are open JSON objects
        """Record a step's intent, run it, record its end or its failure."""
        self.note(event="intent", step=name, **data)
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            self.run.log(f"{name} failed", name)
            if not (isinstance(error, KickoffError) and error.code is ExitCode.LOCK_HELD):
                # An interruption is no verdict, and no reason to forget that the step never ended.
                how: dict[str, Any] = {} if isinstance(error, Exception) else {"interrupted": True}
                how["reason"] = str(error) or type(error).__name__
                with self.store.exclusive() as transaction:
                    transaction.note(event="failed", attempt=self.id, step=name, **how)
            raise
        seconds = round(time.monotonic() - began, 3)
        self.run.log(name, name, seconds=seconds, **data)
        self.note(event="done", step=name, seconds=seconds)

    def renew(self, *, working: bool = True) -> None:
        """Extend the lease; ``working`` ties it to the life of this process.

        Raises:
            KickoffError: Another run took over (exit 75).
        """
        self.store.renew(self.lease, self.session.owner(working=working), self.run.ttl)

    def finish(self, outcome: str) -> None:
        """Record the outcome, tell Prometheus of it, and free the lock."""
        self.note(event="finished", outcome=outcome)
        try:
            deliveries.write(self.session)
        except (KickoffError, OSError) as error:  # what only looks on must not cost a release
            self.run.log(f"the delivery figures could not be written: {error}", "record")
        self.store.release_lock(self.lease)
