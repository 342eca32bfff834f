"""The day after a bad one: what a run that died left open, a live release that does not run, a lost state."""

import time

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict, now
from kickoff.release import rollback_targets
from kickoff.release.model import Colour, Slot, State
from kickoff.release.roll_out import RollOut
from kickoff.release.steps import Rejected
from kickoff.release.stores.journal import Attempt


class Recovery(RollOut):
    """What brings an environment back to one healthy release live, and the lock free."""

    def resume(self) -> Evidence | None:
        """Finish or undo what a run that died left behind, then see that the live release serves.

        Returns:
            Evidence of what was done; nothing when there was nothing to do.

        Raises:
            KickoffError: A living run holds the lock (75), or the live release does not serve (4).
        """
        done = self.converge()
        if self.store.state().live is None or not self.session.not_serving():
            return done
        return self.start(0)

    def converge(self) -> Evidence | None:
        """Finish or undo an attempt whose run died; nothing to do otherwise.

        A release is finished only when its bake ended with a passing verdict in the journal. One that had
        traffic without it is taken back while the release before is there and healthy, and baked again,
        whole, otherwise: released means judged.

        Raises:
            KickoffError: A living run holds the lock (exit 75).
        """
        attempt = self.store.open_attempt()
        if attempt is None:
            if self.store.lease().held:
                self.store.release_lock(
                    self.store.acquire(self.session.owner(working=True), self._ttl).attempt
                )
            return None
        self.store.take_over(attempt.id, self.session.owner(working=True), self._ttl)
        started = now()
        self.session.target.prepare()
        if not attempt.colour:
            self._finish(attempt.id, "abandoned before it began")
            return None
        try:
            return self._go_on(attempt, started)
        except KickoffError as error:
            if error.code is ExitCode.ROLLBACK_FAILED:
                raise
            return self._undo(attempt.id, "promote", started, error)

    def _go_on(self, attempt: Attempt, started: str) -> Evidence:
        """Finish the attempt when that is safe, and undo it otherwise."""
        colour, state = Colour(attempt.colour), self.store.state()
        before = self._before(attempt, state)
        weights = self.session.proxy.weights()
        has_all = weights == {colour: 100} and state.release_of(colour) == attempt.release
        early = Rejected("the run that began it ended too early")
        if attempt.condemned or colour not in weights:
            return self._undo(attempt.id, "abort", started, early)
        if attempt.kind == "rollback" and has_all:
            self._ready(attempt.id, attempt.release, colour)
            self._verify(attempt.release)
            self._record(attempt.id, "rollback", attempt.release, colour, before)
            return self._evidence(
                "rollback", started, Verdict.PASS, f"{attempt.release} serves again; now it is recorded",
                attempt.id,
                release=attempt.release, previous=attempt.previous, outcome="rolled-back-on-request",
            )  # fmt: skip
        if attempt.kind == "release" and attempt.baked_at and has_all:
            self._ready(attempt.id, attempt.release, colour)
            return self._complete(attempt, started, [])
        if before.live is not None and not self.session.answers(before.live).problem:
            return self._undo(attempt.id, "abort", started, early)
        if attempt.kind == "release" and self.session.target.state(colour).running:
            self._ready(attempt.id, attempt.release, colour)
            return self._roll_out(attempt, started, at_once=True)
        return self._undo(attempt.id, "abort", started, early)

    def start(self, wait: float) -> Evidence:
        """Bring up what the record calls live, after a stop or a reboot.

        Args:
            wait: Seconds to wait for another run's lock.

        Raises:
            KickoffError: No release is live, or it does not get ready in ``READY_TIMEOUT`` (exit 4).
        """
        started = now()
        name = self.session.environment.name
        release, tidy = self.session.expected_release("live"), self.store.open_attempt() is None
        if tidy and not release:
            raise KickoffError(
                f"no release is live in {name}, so there is nothing to start",
                code=ExitCode.UNREACHABLE,
                hint=f"ship one: make deploy ENV={name}",
            )
        if tidy and not self.session.not_serving():
            return self._evidence(
                "start", started, Verdict.PASS, f"{release} serves already", "",
                release=release, outcome="unchanged",
            )  # fmt: skip
        attempt = self._open("start", wait)
        try:
            with self._step(attempt, "prepare"):
                self.session.target.prepare()
            state = self.store.state()
            problem = self._revive(attempt, state)
        except KickoffError:
            self._finish(attempt, "not started")
            raise
        release = state.release_of(state.live)
        if problem:
            self._finish(attempt, "not started")
            raise KickoffError(
                f"{release} does not serve: {problem}",
                code=ExitCode.UNREACHABLE,
                causes=self.session.logs("live"),
                hint=f"scripts/deploy/release.py rollback --env {name}, or ship a release that works",
            )
        with self.store.fenced(attempt):
            self.store.history.append("start", "recorded", release, "", attempt=attempt, by=self._who())
        self._finish(attempt, "started")
        return self._evidence(
            "start", started, Verdict.PASS, f"{release} serves", attempt,
            release=release, outcome="started",
        )  # fmt: skip

    def stop(self) -> str:
        """Stop both colours and the proxy; return the release that was live.

        Releases, record and route are kept: ``start`` brings back what was live.
        """
        release = self.store.recorded_live()
        self.session.target.shut_down()
        with self.store.exclusive():
            self.store.history.append("stop", "recorded", release, "", by=self._who())
        return release

    def rebuild_state(self) -> State:
        """Derive the state again from history, route and what runs; write it and return it.

        Raises:
            KickoffError: They do not agree on one live release (exit 4), or a living run holds the lock (75).
        """
        attempt = self.store.acquire(self.session.owner(working=True), self._ttl).attempt
        try:
            state = self._derived()
            with self.store.fenced(attempt):
                self.store.save(state)
        finally:
            self.store.release_lock(attempt)
        return state

    def _derived(self) -> State:
        slots: dict[Colour, Slot] = {}
        for colour in Colour:
            slot = self.session.target.slot(colour)
            if slot is not None:
                slots[colour] = slot
        weights, recorded = self.session.proxy.weights(), self.store.recorded_live()
        named = [colour for colour, slot in slots.items() if slot.release == recorded]
        routed = [colour for colour, weight in weights.items() if weight == 100 and colour in slots]
        live = next((colour for colour in named if colour in routed), next(iter(named or routed), None))
        if live is None and (weights or recorded):
            held = ", ".join(f"{colour} holds {slot.release}" for colour, slot in slots.items())
            raise KickoffError(
                f"the state cannot be derived: the history names {recorded or 'no release'} as live, "
                f"the route gives {', '.join(weights) or 'nobody'} the traffic, "
                f"and {held or 'no colour is there'}",
                code=ExitCode.UNREACHABLE,
                at=str(self.store.root),
                hint="restore state.json from a backup of that folder, or ship the release again after "
                "moving the whole folder away",
            )
        good = set(rollback_targets.good(self.store.history.newest_first()))
        warm = next((c for c, slot in slots.items() if c is not live and slot.release in good), None)
        return State(live=live, warm=warm, slots=slots)

    def unlock(self) -> str:
        """Free the lock by force, recorded in the history; return who held it."""
        lease = self.store.force_unlock(self._who())
        who = lease.owner.who if lease.owner else ""
        release = self.store.recorded_live()
        with self.store.exclusive():
            self.store.history.append("unlock", "recorded", release, "", holder=who, by=self._who())
        return who

    def _open(self, kind: str, wait: float) -> str:
        """Take the lock and open an attempt, once what a dead run left is finished or undone.

        Raises:
            KickoffError: Another run holds the lock, and still did after ``wait`` seconds (exit 75).
        """
        deadline = time.monotonic() + wait
        while True:
            try:
                self._tidy()
                lease = self.store.acquire(self.session.owner(working=True), self._ttl)
                break
            except KickoffError as error:
                if error.code is not ExitCode.LOCK_HELD or time.monotonic() >= deadline:
                    raise
                time.sleep(1)
        with self.store.fenced(lease.attempt):
            self.store.journal.archive_finished()
            self.store.journal.append(event="opened", attempt=lease.attempt, kind=kind, owner=self._who())
        return lease.attempt

    def _tidy(self) -> None:
        """Converge; a release before that does not answer afterwards must not forbid what is to come."""
        try:
            self.converge()
        except KickoffError as error:
            if self.store.open_attempt() is not None:
                raise
            self.timeline.append({"at": now(), "event": str(error), "step": "converge"})
