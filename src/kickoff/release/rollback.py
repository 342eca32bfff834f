"""Going back on request: to a release that was good, once, and from whoever is at work."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kickoff.artifact import admission
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, now
from kickoff.release import assembly, rollback_targets
from kickoff.release.folder import describe
from kickoff.release.model import State
from kickoff.release.recovery import Recovery
from kickoff.release.steps import VERIFICATIONS, Rejected
from kickoff.release.stores.journal import Attempt


@dataclass(frozen=True, slots=True)
class Request:
    """What a rollback is asked for.

    Attributes:
        to: The release to serve; empty for the last good one before the live one.
        failed: Take this release back, and no other; empty for whichever is live.
        forced: It may be a release that never was live, or was rolled back from.
        reason: Why; must be given when forced.
        unproven_reason: Why that one may serve where only proved releases do.
    """

    to: str = ""
    failed: str = ""
    forced: bool = False
    reason: str = ""
    unproven_reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows from a request: the release to serve, empty for none; or why nothing is to be done."""

    release: str = ""
    nothing_to_do: str = ""


class Rollback(Recovery):
    """The commands that take a release back."""

    def abort(self, identity: str, reason: str) -> Evidence | None:
        """Undo the open attempt; nothing to do when it has finished.

        Args:
            identity: The attempt; empty for whichever is open.
            reason: Recorded in the history.
        """
        started = now()
        attempt = self.store.attempt(identity) if identity else self.store.open_attempt()
        if attempt is None or attempt.finished:
            return None
        self._renew(attempt.id)
        return self._undo(attempt.id, "abort", started, Rejected(reason or "aborted on request"))

    def rollback(self, request: Request, wait: float) -> Evidence:
        """Serve an earlier release again: the warm colour by one route write, others started from disk.

        Everything is checked before anything is touched. Then a release in progress is taken back, from
        whoever is at it: an emergency does not wait. When users had met its candidate, that is the rollback.
        Where the release that failed was the first, nothing serves afterwards.

        Args:
            request: What is asked for.
            wait: Seconds to wait for another run's lock.

        Raises:
            KickoffError: There is no such release, or none to go back to (exit 2); the database has moved too
                far (exit 1); what came back last does not answer (exit 4).
        """
        started = now()
        live = self.session.expected_release("live")
        met = self._in_progress()
        by_taking_back = met is not None and self._met_users(met) and not (request.to or request.failed)
        answer = Answer(live) if by_taking_back else self._answer(request)
        if answer.nothing_to_do:
            return self._nothing_to_do(started, answer.nothing_to_do)
        taken_back = self._take_back(met)
        if by_taking_back:
            end = f"{live} serves again" if live else "it was the first release, so nothing serves now"
            outcome = "rolled-back-on-request" if live else "rolled-back"
            code = ExitCode.PASS if live else ExitCode.ROLLED_BACK
            return self._evidence(
                "rollback", started, Verdict.PASS, f"the release of {taken_back} was taken back: {end}", "",
                release=live, previous=taken_back, outcome=outcome, exit_code=int(code),
            )  # fmt: skip
        attempt = self._open("rollback", wait)
        try:
            answer = self._answer(request)  # again: whoever held the lock until now may have gone back
        except KickoffError:
            self._finish(attempt, "refused")
            raise
        if answer.nothing_to_do:
            self._finish(attempt, "unchanged")
            return self._nothing_to_do(started, answer.nothing_to_do)
        if not answer.release:
            return self._withdraw(attempt, started, request.failed)
        return self._serve(attempt, started, answer.release, request)

    def _serve(self, attempt: str, started: str, release: str, request: Request) -> Evidence:
        try:
            with self._step(attempt, "prepare"):
                self.session.target.prepare()
            state = self.store.state()
            folder = self._folder(release)
            warm = state.warm is not None and state.release_of(state.warm) == release
            warm = warm and state.warm is not None and self.session.target.state(state.warm).running
            colour = state.warm if warm and state.warm else state.idle
            self._plan(attempt, release, colour, state, warm_start=warm)
            if not warm:
                self.session.target.install(folder)
                self._start(attempt, folder, colour)
            self._ready(attempt, release, colour)
            self._shift(attempt, {colour: 100}, state)
            self._verify(release)
            reasons = {"reason": request.reason, "unproven_reason": request.unproven_reason}
            given = {key: reason for key, reason in reasons.items() if reason}
            self._record(attempt, "rollback", release, colour, state, **given)
        except KickoffError as error:
            return self._undo(attempt, "rollback", started, error)
        return self._evidence(
            "rollback", started, Verdict.PASS,
            f"{release} serves again, verified by {VERIFICATIONS} requests", attempt,
            release=release, previous=state.release_of(state.live), outcome="rolled-back-on-request",
        )  # fmt: skip

    def _withdraw(self, attempt: str, started: str, failed: str) -> Evidence:
        """Take the first release out of service: users get the maintenance answer instead of a broken one."""
        with self._step(attempt, "prepare"):
            self.session.target.prepare()
        state = self.store.state()
        if state.live is not None:
            with self._step(attempt, "withdraw"):
                self._route(attempt, {}, state)
                self._drain(attempt, state.live, state)
                with self.store.fenced(attempt):
                    self.session.target.stop(state.live)
                    self.store.history.append(
                        "auto-rollback", "undone", failed, "", attempt=attempt, by=self._who(),
                        reason="it failed after it went live, and no release was there before",
                        **self._origin(failed),
                    )  # fmt: skip
                    slots = state.with_slot(state.live, None).slots
                    self.store.save(State(live=None, warm=None, slots=slots))
                self._route(attempt, {}, self.store.state())
        self._finish(attempt, "rolled back")
        evidence = self._evidence(
            "rollback", started, Verdict.PASS,
            f"{failed} was taken out of service: it was the first release, so nothing serves now", attempt,
            release="", previous=failed, outcome="rolled-back", exit_code=int(ExitCode.ROLLED_BACK),
            hint="ship a release that works; until then users get 503",
        )  # fmt: skip
        evidence.rules = [
            RuleResult("rollback.withdrawn", "nothing is live any more", Verdict.PASS, "yes", "yes", 1)
        ]
        return evidence

    def _nothing_to_do(self, started: str, why: str) -> Evidence:
        live = self.session.expected_release("live")
        return self._evidence(
            "rollback", started, Verdict.PASS, why, "", release=live, previous="", outcome="unchanged"
        )

    # --- what is asked for --------------------------------------------------------------------------

    def _answer(self, request: Request) -> Answer:
        """Return what a request comes to, having changed nothing.

        Raises:
            KickoffError: As :meth:`rollback` says.
        """
        live = self.session.expected_release("live")
        if request.failed and rollback_targets.check_id(request.failed) != live:
            return Answer(nothing_to_do=f"{request.failed} is not live any more: nothing to take back")
        back = rollback_targets.last_return(self.store.history.newest_first())
        if request.to:
            if rollback_targets.check_id(request.to) == live:
                return Answer(nothing_to_do=self._serving_already(f"{live} is live already"))
            self._require_target(request)
            release = request.to
        elif back is not None and back.to and back.to == live:
            further = next(self._good(but=live), "")
            hint = f"; to go further back: `rollback --to {further}`" if further else ""
            text = f"already went back from {back.left} to {live} {_ago(back.at)} (by {back.by}){hint}"
            return Answer(nothing_to_do=self._serving_already(text))
        else:
            release = next(self._good(but=live), "")
        if not release and request.failed:
            return Answer()
        if not release:
            raise KickoffError(
                f"{self.session.environment.name} has no earlier release to go back to",
                hint="`release.py history` lists what was released; `stop` stops what serves",
            )
        self._check_schema(self._folder(release), release, self.store.state())
        return Answer(release)

    def _good(self, *, but: str) -> Iterator[str]:
        """Yield the good releases that are kept here, the one that was live last first."""
        found = rollback_targets.good(self.store.history.newest_first())
        return (one for one in found if one != but and describe(self.store.release_folder(one)))

    def _serving_already(self, text: str) -> str:
        """Return ``text``, which says that there is nothing to do, unless the live release does not serve.

        Raises:
            KickoffError: It does not (exit 4).
        """
        problem = self.session.not_serving()
        if not problem:
            return text
        name = self.session.environment.name
        raise KickoffError(
            f"{text}, but it does not serve: {problem}",
            code=ExitCode.UNREACHABLE,
            hint=f"bring it up: scripts/deploy/release.py start --env {name}",
        )

    def _require_target(self, request: Request) -> None:
        """Refuse a release that was never good, unless a person says why it has to be that one.

        Raises:
            KickoffError: It is not kept, or was never good and no reason is given (exit 2).
        """
        live = self.session.expected_release("live")
        self._folder(request.to)
        if request.to in rollback_targets.good(self.store.history.newest_first()):
            return
        entries = self.store.history.newest_first()
        was_live = any(entry.outcome == "live" and entry.release == request.to for entry in entries)
        why = "it was rolled back from" if was_live else "it never was live"
        if not request.forced:
            raise KickoffError(
                f"{request.to} is no release to go back to: {why}",
                hint=f"good ones: {', '.join(self._good(but=live)) or 'none'}; "
                "for this one all the same add --force --reason 'WHY', which is recorded",
            )
        name = self.session.environment.name
        if admission.needed(name) and not was_live and not request.unproven_reason:
            raise KickoffError(
                f"{request.to} never was live in {name}, which takes only what was proved",
                hint="add --unproven-reason 'WHY', which is recorded",
            )

    def _folder(self, release: str) -> Path:
        folder = self.store.release_folder(release)
        if not release or not describe(folder):
            good = ", ".join(self._good(but=self.session.expected_release("live")))
            raise KickoffError(f"release {release!r} is not kept here", hint=f"good ones: {good or 'none'}")
        return folder

    def _check_schema(self, folder: Path, release: str, state: State) -> None:
        """Refuse a release whose code never met the schema the database has now.

        Migrations only expand, so a release also works with the schema of its direct successor.
        """
        command = self.session.service.database_revision
        live_folder = self.store.release_folder(state.release_of(state.live))
        if not command or not describe(live_folder):
            return
        current = assembly.schema_revision(self.session, live_folder, command)
        own = describe(folder)["facts"]["schema"]
        entries = self.store.history.newest_first()
        came = next((e for e in entries if e.release == live_folder.name and e.outcome == "live"), None)
        successor = came is not None and came.previous == release
        if own != current and not successor:
            raise KickoffError(
                f"rolling back to {release} is unsafe: it knows schema {own}, the database has {current}",
                code=ExitCode.REJECTED,
                hint="roll forward only: ship a fix as a new release",
            )

    # --- what is under way --------------------------------------------------------------------------

    def _in_progress(self) -> Attempt | None:
        """Return the release that a living run is at; ``None`` when none is."""
        attempt, lease = self.store.open_attempt(), self.store.lease()
        owner = self.session.owner(working=True)
        if attempt is None or attempt.kind != "release" or lease.abandoned(owner.run):
            return None
        return attempt

    def _met_users(self, attempt: Attempt) -> bool:
        return attempt.shifted or attempt.colour in self.session.proxy.weights()

    def _take_back(self, attempt: Attempt | None) -> str:
        """Undo the release that a living run is at; return it, or nothing when there is none."""
        if attempt is None:
            return ""
        owner = self.session.owner(working=True)
        self.store.take_over(attempt.id, owner, self._ttl, alive=True)
        self._undo(attempt.id, "abort", now(), Rejected(f"{owner.who} asked for a rollback"))
        return attempt.release


def _ago(at: str) -> str:
    seconds = max(0, (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())
    return f"{timedelta(seconds=round(seconds))} ago" if seconds >= 60 else f"{seconds:.0f} s ago"
