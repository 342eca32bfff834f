"""The release engine: one journalled attempt from a staged candidate to a live release, or back.

``stage`` → checks → ``promote`` are segments of one attempt, which owns the lock from the first to the
last. Every step is journalled before and after and safe to repeat, so that an attempt which died at any
instruction is finished or undone by the next command. One module holds each concern: ``steps`` what a release
is made of, ``undo`` the way back, ``roll_out`` the judged way forward, ``recovery`` what a dead run or a
reboot left, ``rollback`` going back on request, and this one the candidate and the watch after it.
"""

import tempfile
from pathlib import Path
from typing import Any

from kickoff.artifact import admission
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, now
from kickoff.release import assembly, strategy
from kickoff.release.folder import describe, environment_of
from kickoff.release.model import Colour, Facts, State
from kickoff.release.preview import KeyChanges, Preview
from kickoff.release.rollback import Request, Rollback
from kickoff.release.steps import Rejected
from kickoff.release.stores.files import TakenBack
from kickoff.release.stores.journal import Attempt
from kickoff.release.watch import Watch


class Engine(Rollback):
    """Release commands on one environment."""

    # --- segments -----------------------------------------------------------------------------------

    def stage(
        self,
        digest: str,
        directory: Path,
        commit: str,
        *,
        wait: float,
        force: bool,
        unproven_reason: str = "",
    ) -> Evidence:
        """Bring a candidate up on the idle colour, without public traffic.

        Args:
            digest: The artefact, ``sha256:<hex>``.
            directory: Folder that holds the bundle, or the record of the image.
            commit: The commit the artefact was built from.
            wait: Seconds to wait for another run's lock.
            force: Ship even when exactly this release is live.
            unproven_reason: Why this is shipped without a proof; recorded in the history.

        Returns:
            Evidence ``stage``; fact ``changed`` is false when there was nothing to ship.

        Raises:
            KickoffError: The lock is held (75), the target is unreachable (4), the input is wrong (2), or the
                environment takes only what was proved, and this was not (1).
        """
        started = now()
        leave = admission.require_proof(
            self.root, self.session.service.name, self.session.environment.name,
            commit=commit, digest=digest, reason=unproven_reason,
        )  # fmt: skip
        artifact = self.session.target.find(directory, digest)
        self.session.target.require_room()
        self._require_known_state()
        attempt = self._open("release", wait)
        try:
            if leave is not None:
                with self.store.fenced(attempt):
                    self.store.journal.append(attempt=attempt, **admission.record(leave))
            with self._step(attempt, "prepare"):
                self.session.target.prepare()
            folder, release = self._fetch(attempt, artifact, digest, commit)
            lost = self._lost_live(attempt, self.store.state())
            state = self.store.state()
            promoted = None if force else self._serves(release.id, state)
            if promoted:
                self._finish(attempt, "unchanged")
                return self._evidence(
                    "stage", started, Verdict.PASS, f"{release.id} is live and healthy already", attempt,
                    release=release.id, changed=False, live_release=release.id, promoted=promoted,
                    **({"live_down": lost} if lost else {}),
                )  # fmt: skip
            self._plan(attempt, release.id, state.idle, state)
            if self.session.service.pre_deploy:
                with self._step(attempt, "hook"):
                    self._hook(folder)
            self._start(attempt, folder, state.idle)
            self._ready(attempt, release.id, state.idle)
        except KickoffError as error:
            return self._undo(attempt, "stage", started, error)
        self.store.renew(
            attempt, self.session.owner(working=False), self.session.environment.seconds("LOCK_TTL")
        )
        with self.session.reach("candidate") as endpoint:
            return self._evidence(
                "stage", started, Verdict.PASS, f"{release.id} is ready on {state.idle}, without traffic",
                attempt, release=release.id, changed=True, candidate_url=endpoint.url,
                live_release=state.release_of(state.live), facts=release.to_document()["facts"],
                **({"live_down": lost} if lost else {}),
            )  # fmt: skip

    def preview(self, digest: str, directory: Path, commit: str) -> Preview:
        """Return what staging and promoting this artefact would change; changes nothing that runs.

        The release is assembled in a folder of its own, which is removed again: only that tells its facts.

        Args:
            digest: The artefact, ``sha256:<hex>``.
            directory: Folder that holds the bundle, or the record of the image.
            commit: The commit the artefact was built from.
        """
        artifact = self.session.target.find(directory, digest)
        self.session.target.require_room()
        with tempfile.TemporaryDirectory(prefix=".preview-", dir=self.store.root) as scratch:
            folder = Path(scratch) / "release"
            release = assembly.assemble(
                self.session, self.root, folder, artifact=artifact, digest=digest, commit=commit
            )
            after = environment_of(folder)
        state, service = self.store.state(), self.session.service
        live = state.release_of(state.live)
        live_folder = self.store.release_folder(live)
        known = describe(live_folder) if live else {}
        return Preview(
            release=release.id,
            live=live,
            before=Facts(**known["facts"]) if known else None,
            after=release.facts,
            keys=KeyChanges.between(environment_of(live_folder) if live else {}, after),
            candidate=str(state.idle),
            serving=str(state.live or ""),
            gives_way=state.release_of(state.warm),
            command=service.web_command,
            hook=service.pre_deploy,
            checks=service.checks_for(self.session.environment.name),
            steps=strategy.steps(self.session.environment, at_once=state.live is None),
        )

    def promote(self, identity: str) -> Evidence:
        """Move public traffic to the candidate by the environment's strategy, judged, then bake.

        Raises:
            KickoffError: The attempt is not staged, a required check did not pass (exit 3), or the lock is
                lost (75).
        """
        started = now()
        attempt = self.store.attempt(identity)
        if attempt.finished and attempt.taken_by:
            raise TakenBack(attempt.taken_by, attempt.taken_at, attempt.release)
        if attempt.finished or not attempt.staged:
            raise KickoffError(
                f"attempt {identity} cannot be promoted: it {attempt.finished or 'is not staged'}",
                hint="stage the release first",
            )
        self._renew(identity)
        try:
            self._require_leave(attempt)
            self._require_checks(attempt)
            self._ready(identity, attempt.release, Colour(attempt.colour))
            return self._roll_out(attempt, started)
        except KickoffError as error:
            if error.code in (ExitCode.LOCK_HELD, ExitCode.ROLLBACK_FAILED):
                raise
            return self._undo(identity, "promote", started, error)

    def watch(self, release: str) -> Evidence:
        """Judge the live release for ``WATCH_TIME`` by the rules of the bake; take it back when it fails.

        It holds no lock: another release may come and a person may go back. Then the watch ends undecided.

        Args:
            release: The release that must be live; empty for whichever is.

        Raises:
            KickoffError: Another release is live, or became live (exit 3); none is (4); taking the release
                back failed (6).
        """
        started = now()
        state, seconds = self.store.state(), self.session.environment.seconds("WATCH_TIME")
        live = state.release_of(state.live)
        if state.live is None or (release and release != live):
            raise _not_live_any_more(release or "a release", live)
        if seconds == 0:
            return self._evidence(
                "watch", started, Verdict.NOT_APPLICABLE, "WATCH_TIME is 0: the release is not watched", "",
                release=live, outcome="unwatched",
            )  # fmt: skip

        def still_live() -> None:
            now_live = self.session.expected_release("live")
            if now_live != live:
                raise _not_live_any_more(live, now_live)

        warm = state.warm if state.warm and self.session.target.state(state.warm).running else None
        watch = Watch(self.session, state.live, warm, self.session.target.state(state.live).pid)
        rules = watch.hold(seconds, still_live)
        verdict = combine(rule.verdict for rule in rules)
        outcome, code, summary, hint = "watched", verdict.exit_code, f"{live} held for {seconds:g} s", ""
        if verdict is not Verdict.PASS:
            worst = next(rule for rule in rules if rule.verdict is verdict)
            summary = f"{worst.rule} in the watch: {worst.measured} against a limit of {worst.threshold}"
        log = self.session.logs("live") if verdict is Verdict.FAIL else []
        if verdict is Verdict.FAIL:
            back = self._take_back_watched(live, summary)
            outcome, code, hint = "rolled-back", ExitCode.ROLLED_BACK, back.summary
        evidence = self._evidence(
            "watch", started, verdict, summary, "",
            release=live, previous=state.release_of(warm), outcome=outcome, exit_code=int(code), hint=hint,
        )  # fmt: skip
        evidence.rules, evidence.log_tail, evidence.series = rules, log, {"traffic": watch.points}
        return evidence

    def _take_back_watched(self, live: str, why: str) -> Evidence:
        try:
            return self.rollback(Request(failed=live, reason=why), wait=self._ttl)
        except KickoffError as error:
            raise self._rollback_failed(Rejected(why), str(error)) from error

    # --- parts of a segment -------------------------------------------------------------------------

    def _require_known_state(self) -> None:
        """Refuse to take what runs for nothing: a lost state folder is not a first release.

        Raises:
            KickoffError: A colour runs, and no record says why (exit 4).
        """
        if self.store.state().slots or self.store.open_attempt() is not None:
            return
        runs = [colour for colour in Colour if self.session.target.state(colour).running]
        if runs:
            raise KickoffError(
                f"{runs[0]} runs, and the state folder knows nothing of it",
                code=ExitCode.UNREACHABLE,
                at=str(self.store.root),
                hint="KICKOFF_STATE_ROOT may name another folder than it did; if not: "
                f"scripts/deploy/release.py resume --rebuild-state --env {self.session.environment.name}",
            )

    def _require_leave(self, attempt: Attempt) -> None:
        """Refuse an attempt that was staged without the proof that the environment demands."""
        led_in = attempt.proved_by or attempt.unproven_reason
        if admission.needed(self.session.environment.name) and not led_in:
            raise Rejected(
                "not promoted: it was staged without the proof that this environment demands",
                hint="stage it again",
            )

    def _require_checks(self, attempt: Attempt) -> None:
        missing = [
            (name, str(attempt.checks.get(name, "no verdict")))
            for name in self.session.service.checks_for(self.session.environment.name)
            if attempt.checks.get(name) != Verdict.PASS
        ]
        if missing:
            raise Rejected(
                f"not promoted: required checks have not passed ({', '.join(map(': '.join, missing))})",
                code=ExitCode.INCONCLUSIVE,
                rules=[
                    RuleResult(
                        "promote.required-check", f"required check {name}",
                        Verdict.INCONCLUSIVE, verdict, "pass", 0,
                        "every check that service.yml requires must have passed for this attempt",
                    )
                    for name, verdict in missing
                ],
            )  # fmt: skip

    def _serves(self, release: str, state: State) -> dict[str, str] | None:
        """Return the promotion by which ``release`` became live, when it serves now; ``None`` otherwise.

        A release that no judge passed is shipped again, however healthy it looks.
        """
        if state.release_of(state.live) != release or self.session.not_serving():
            return None
        for entry in self.store.history.newest_first():
            if (entry.action, entry.release) == ("release", release):
                attempt = str(entry.data.get("attempt", ""))
                baked = entry.data.get("baked_at") or self._baked(attempt)
                return {"attempt": attempt, "at": entry.at, "verdict": "pass"} if baked else None
        return None

    def _baked(self, identity: str) -> str:
        """Return when the bake of a past attempt passed; older versions left that to the journal alone."""
        attempt = self.store.journal.attempt(identity)
        return attempt.baked_at if attempt else ""

    def _lost_live(self, attempt: str, state: State) -> dict[str, Any] | None:
        """Bring the live release back before a candidate is tried; return what was lost, if anything was.

        Users are served meanwhile when it comes up. When it does not, the candidate is the cure, and must not
        depend on it.
        """
        if state.live is None:
            return None
        process, down = self.session.target.state(state.live), self._down(state)
        routed = self.session.proxy.weights() == {state.live: 100}
        if process.running and routed and down is None:
            return None
        since = self._stopped_at()
        if process.running and routed:  # it may only be coming up still, as after a reboot
            problem = self._not_ready(state.release_of(state.live), state.live)
        else:
            problem = self._revive(attempt, state)
        still = self._down(self.store.state())
        reason = down["reason"] if down else "the route was lost"
        lost = {
            "release": state.release_of(state.live),
            "since": since,
            "reason": f"{reason}; started again, it did not serve: {problem}" if problem else reason,
            "started_again": not problem and still is None,
        }
        if not lost["started_again"]:
            with self.store.fenced(attempt):
                self.store.journal.append(event="live down", attempt=attempt, reason=lost["reason"])
        return lost


def _not_live_any_more(release: str, live: str) -> KickoffError:
    return KickoffError(
        f"{release} is not live: {f'{live} is' if live else 'no release is'}",
        code=ExitCode.INCONCLUSIVE if live else ExitCode.UNREACHABLE,
        hint="`scripts/deploy/release.py history` says who replaced it or went back",
    )
