"""The release engine: one journalled attempt from a staged candidate to a live release, or back.

``stage`` → checks → ``promote`` are segments of one attempt, which owns the lock from the first to the
last. Every step is journalled before and after and safe to repeat, so :meth:`Engine.converge` can finish or
undo an attempt that died at any instruction: forward when users already reached the candidate alone, it
is healthy and no verdict fell against it, back otherwise.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from kickoff.artifact import admission
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, now
from kickoff.release import assembly, strategy
from kickoff.release.folder import describe, environment_of
from kickoff.release.journal import Attempt
from kickoff.release.model import Colour, Facts, State
from kickoff.release.preview import KeyChanges, Preview
from kickoff.release.steps import VERIFICATIONS, Rejected, Steps
from kickoff.release.watch import Watch


class Engine(Steps):
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
        attempt = self._open("release", wait)
        try:
            if leave is not None:
                with self.store.fenced(attempt):
                    self.store.journal.append(attempt=attempt, **admission.record(leave))
            with self._step(attempt, "prepare"):
                self.session.target.prepare()
            folder, release = self._fetch(attempt, artifact, digest, commit)
            state = self.store.state()
            if not force and self._serves(release.id, state):
                self._finish(attempt, "unchanged")
                return self._evidence(
                    "stage", started, Verdict.PASS, f"{release.id} is live and healthy already", attempt,
                    release=release.id, changed=False, live_release=release.id,
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
            steps=strategy.steps(self.session.environment, first=state.live is None),
        )

    def promote(self, identity: str) -> Evidence:
        """Move public traffic to the candidate by the environment's strategy, judged, then bake.

        Raises:
            KickoffError: The attempt is not staged, a required check did not pass (exit 3), or the lock is
                lost (75).
        """
        started = now()
        attempt = self.store.attempt(identity)
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
            if error.code is ExitCode.LOCK_HELD:
                raise
            return self._undo(identity, "promote", started, error)

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

    def rollback(self, to: str, wait: float) -> Evidence:
        """Serve an earlier release again: the warm colour by one route write, others started from disk.

        A release in progress is taken back first, from whoever is at it: an emergency does not wait. When
        users had met its candidate, that is the rollback.

        Args:
            to: The release; empty for the one that was live before.
            wait: Seconds to wait for another run's lock.

        Raises:
            KickoffError: There is no such release, or the database has moved too far (exit 2).
        """
        started = now()
        taken_back = self._take_back()
        live = self.session.expected_release("live")
        # Taking a first release back leaves nothing to serve: that is no rollback, and is said below.
        if taken_back and live and not to:
            return self._evidence(
                "rollback", started, Verdict.PASS,
                f"{live} serves again: the release of {taken_back} was taken back", "",
                release=live, previous=taken_back, outcome="rolled-back-on-request",
            )  # fmt: skip
        attempt = self._open("rollback", wait)
        try:
            with self._step(attempt, "prepare"):
                self.session.target.prepare()
            state = self.store.state()
            release = to or self._previous(state)
            folder = self._folder(release)
            warm = state.warm is not None and state.release_of(state.warm) == release
            colour = state.warm if warm and state.warm else state.idle
            self._check_schema(folder, release, state)
            self._plan(attempt, release, colour, state, warm_start=warm)
            if not warm:
                self.session.target.install(folder)
                self._start(attempt, folder, colour)
            self._ready(attempt, release, colour)
            self._shift(attempt, {colour: 100}, state)
            self._verify(release)
            self._record(attempt, "rollback", release, colour, state)
        except KickoffError as error:
            return self._undo(attempt, "rollback", started, error)
        return self._evidence(
            "rollback", started, Verdict.PASS,
            f"{release} serves again, verified by {VERIFICATIONS} requests", attempt,
            release=release, previous=state.release_of(state.live), outcome="rolled-back-on-request",
        )  # fmt: skip

    def converge(self) -> Evidence | None:
        """Finish or undo an attempt whose run died; nothing to do otherwise.

        Raises:
            KickoffError: A living run holds the lock (exit 75).
        """
        attempt = self.store.open_attempt()
        lease = self.store.lease()
        if attempt is None and not lease.held:
            return None
        if attempt is None:
            self.store.release_lock(self.store.acquire(self.session.owner(working=True), self._ttl).attempt)
            return None
        self.store.take_over(attempt.id, self.session.owner(working=True), self._ttl)
        started = now()
        self.session.target.prepare()
        if not attempt.colour:
            self._finish(attempt.id, "abandoned before it began")
            return None
        colour, state = Colour(attempt.colour), self.store.state()
        fully_live = self.session.proxy.weights() == {colour: 100}
        if fully_live and not attempt.condemned and state.release_of(colour) == attempt.release:
            try:
                self._ready(attempt.id, attempt.release, colour)
                self._verify(attempt.release)
                self._record(attempt.id, attempt.kind, attempt.release, colour, self._before(attempt, state))
                return self._evidence(
                    "promote", started, Verdict.PASS, f"{attempt.release} was live already; recorded",
                    attempt.id,
                    release=attempt.release, previous=attempt.previous, outcome="released",
                )  # fmt: skip
            except KickoffError as error:
                return self._undo(attempt.id, "promote", started, error)
        return self._undo(attempt.id, "abort", started, Rejected("the run that began it ended too early"))

    def refusal(self, stage: str, started: str, error: KickoffError) -> Evidence:
        """Return the evidence of a phase that ended in an error before it could leave any of its own."""
        outcome = "rollback-failed" if error.code is ExitCode.ROLLBACK_FAILED else "refused"
        evidence = self._evidence(
            stage, started, _verdict(error), str(error), "",
            release="", outcome=outcome, exit_code=int(error.code), hint=error.hint,
        )  # fmt: skip
        evidence.log_tail = list(error.causes)
        return evidence

    def unlock(self) -> str:
        """Free the lock by force, recorded in the history; return who held it."""
        lease = self.store.force_unlock()
        who = lease.owner.who if lease.owner else ""
        state = self.store.state()
        self.store.history.append(
            "unlock", "recorded", state.release_of(state.live), "", holder=who, by=self._who()
        )
        return who

    # --- parts of a segment -------------------------------------------------------------------------

    def _open(self, kind: str, wait: float) -> str:
        deadline = time.monotonic() + wait
        while True:
            try:
                self.converge()
                lease = self.store.acquire(self.session.owner(working=True), self._ttl)
                break
            except KickoffError as error:
                if error.code is not ExitCode.LOCK_HELD or time.monotonic() >= deadline:
                    raise
                time.sleep(1)
        with self.store.fenced(lease.attempt):
            self.store.journal.append(event="opened", attempt=lease.attempt, kind=kind, owner=self._who())
        return lease.attempt

    def _take_back(self) -> str:
        """Undo the release that a living run is at; return it when users had met it, else nothing."""
        attempt, lease = self.store.open_attempt(), self.store.lease()
        owner = self.session.owner(working=True)
        if attempt is None or attempt.kind != "release" or lease.abandoned(owner.run):
            return ""
        self.store.take_over(attempt.id, owner, self._ttl, alive=True)
        met_users = attempt.shifted or attempt.colour in self.session.proxy.weights()
        self._undo(attempt.id, "abort", now(), Rejected(f"{owner.who} asked for a rollback"))
        return attempt.release if met_users else ""

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
            f"{name}: {attempt.checks.get(name, 'no verdict')}"
            for name in self.session.service.checks_for(self.session.environment.name)
            if attempt.checks.get(name) != Verdict.PASS
        ]
        if missing:
            raise Rejected(
                f"not promoted: required checks have not passed ({', '.join(missing)})",
                code=ExitCode.INCONCLUSIVE,
                rules=[
                    RuleResult(
                        f"required check {name.split(':')[0]}",
                        Verdict.INCONCLUSIVE, name.split(": ")[1], "pass", 0,
                        "every check that service.yml requires must have passed for this attempt",
                    )
                    for name in missing
                ],
            )  # fmt: skip

    def _roll_out(self, attempt: Attempt, started: str) -> Evidence:
        state, colour = self.store.state(), Colour(attempt.colour)
        steps = strategy.steps(self.session.environment, first=state.live is None)
        watch = Watch(self.session, colour, state.live, self.session.target.state(colour).pid)
        weights_seen = [{"t": 0.0, "candidate_percent": 0}]
        rules: list[RuleResult] = []
        for step in steps:
            weights = {colour: step.percent}
            if state.live is not None and step.percent < 100:
                weights[state.live] = 100 - step.percent
            self._shift(attempt.id, weights, state)
            weights_seen.append(
                {"t": round(time.monotonic() - watch.began, 2), "candidate_percent": step.percent}
            )
            try:
                # A verdict against the candidate is journalled, so that no crash can turn it into a release.
                with self._step(attempt.id, "bake" if step.percent == 100 else "judge", percent=step.percent):
                    rules = watch.hold(step.hold_seconds, lambda: self._renew(attempt.id))
                    self._demand_pass(rules, step.percent, colour)
            except Rejected as error:
                return self._undo(attempt.id, "promote", started, error, self._series(watch, weights_seen))
        self._verify(attempt.release)
        drained = self._drain(attempt.id, state.live, state) if state.live else 0.0
        self._record(attempt.id, "release", attempt.release, colour, state)
        evidence = self._evidence(
            "promote", started, Verdict.PASS,
            f"{attempt.release} serves all requests on {colour}", attempt.id,
            release=attempt.release, previous=attempt.previous, outcome="released",
            strategy=self.session.environment.text("RELEASE_STRATEGY"), drain_seconds=round(drained, 3),
        )  # fmt: skip
        evidence.rules, evidence.series = rules, self._series(watch, weights_seen)
        return evidence

    def _demand_pass(self, rules: list[RuleResult], percent: int, colour: Colour) -> None:
        verdict = combine(rule.verdict for rule in rules)
        if verdict is Verdict.PASS:
            return
        decisive = next(rule for rule in rules if rule.verdict is verdict)
        raise Rejected(
            f"{decisive.rule} at {percent}%: {decisive.measured} against a limit of "
            f"{decisive.threshold}, {decisive.samples} samples",
            rules=rules,
            log_tail=self.session.logs(str(colour)),
            code=ExitCode.ROLLED_BACK,
        )

    def _undo(
        self,
        attempt: str,
        stage: str,
        started: str,
        error: KickoffError,
        series: dict[str, Any] | None = None,
    ) -> Evidence:
        """Return to what was live before ``attempt``, stop the candidate, record why.

        Raises:
            KickoffError: Going back failed: exit 6, saying who serves.
        """
        if error.code is ExitCode.LOCK_HELD:
            raise error
        folded = self.store.attempt(attempt)
        state = self.store.state()
        reached_users = folded.shifted or folded.colour in self.session.proxy.weights()
        verified: list[RuleResult] = []
        try:
            if folded.colour:
                colour = Colour(folded.colour)
                before = self._before(folded, state)
                self._renew(attempt)
                if self.session.proxy.weights() != ({before.live: 100} if before.live else {}):
                    with self._step(attempt, "restore"):
                        self._route(attempt, {before.live: 100} if before.live else {}, state)
                if before.live is not None and folded.shifting:
                    restored = before.release_of(before.live)
                    self._verify(restored)
                    answers = f"{VERIFICATIONS} of {VERIFICATIONS}"
                    rule = f"rolled back: the public address answers with {restored}"
                    verified = [RuleResult(rule, Verdict.PASS, answers, answers, VERIFICATIONS)]
                keep = folded.warm_start
                with self._step(attempt, "stop"):
                    if not keep:
                        remaining = before.with_slot(colour, None)
                        self._route(attempt, {before.live: 100} if before.live else {}, remaining)
                    with self.store.fenced(attempt):
                        if not keep:
                            self.session.target.stop(colour)
                        self.store.save(before if keep else before.with_slot(colour, None))
        except KickoffError as failure:
            if failure.code is ExitCode.LOCK_HELD:
                raise
            raise KickoffError(
                f"rollback failed after: {error}",
                code=ExitCode.ROLLBACK_FAILED,
                causes=[str(failure), f"the route gives {dict(self.session.proxy.weights())}"],
                hint=f"`release.py status --env {self.session.environment.name}` shows who serves; "
                "`release.py resume` tries again",
            ) from error
        went_live = reached_users and folded.kind == "release"
        outcome = "rolled-back" if went_live else "aborted"
        with self.store.fenced(attempt):
            self.store.history.append(
                "auto-rollback" if went_live else "abort", "undone", folded.release, folded.previous,
                attempt=attempt, reason=str(error), by=self._who(), met_users=folded.shifted_at,
                **self._origin(folded.release), **self._bypass(attempt),
            )  # fmt: skip
        self._finish(attempt, outcome)
        evidence = self._evidence(
            stage, started, _verdict(error), str(error), attempt,
            release=folded.release, previous=folded.previous, outcome=outcome, hint=error.hint,
            exit_code=int(_undone_code(error, stage, went_live=went_live)),
        )  # fmt: skip
        if isinstance(error, Rejected):
            evidence.rules, evidence.log_tail = error.rules, error.log_tail
        elif error.causes:
            evidence.log_tail = list(error.causes)
        evidence.rules = [*evidence.rules, *verified]
        evidence.series = series or {}
        return evidence

    # --- small things -------------------------------------------------------------------------------

    def _serves(self, release: str, state: State) -> bool:
        if state.release_of(state.live) != release:
            return False
        try:
            self._verify(release)
        except KickoffError:
            return False
        return True

    def _before(self, attempt: Attempt, state: State) -> State:
        """Return the state to go back to: the colour that held the previous release is live again."""
        colour = Colour(attempt.colour)
        live = colour.other if attempt.previous and colour.other in state.slots else None
        return State(live=live, warm=colour if attempt.warm_start else None, slots=state.slots)

    def _previous(self, state: State) -> str:
        current = state.release_of(state.live)
        if state.warm is not None:
            return state.release_of(state.warm)
        for entry in reversed(self.store.history.entries()):
            if entry.outcome == "live" and entry.release != current:
                return entry.release
        raise KickoffError(
            f"{self.session.environment.name} has no earlier release to go back to",
            hint="`release.py history` lists what was released",
        )

    def _folder(self, release: str) -> Path:
        folder = self.store.release_folder(release)
        if not release or not describe(folder):
            kept = sorted(f.name for f in folder.parent.iterdir())
            raise KickoffError(
                f"release {release!r} is not kept here", hint=f"kept: {', '.join(kept) or 'none'}"
            )
        return folder

    def _check_schema(self, folder: Path, release: str, state: State) -> None:
        """Refuse a release whose code never met the schema the database has now.

        Migrations only expand, so a release also works with the schema of its direct successor.
        """
        command = self.session.service.database_revision
        if not command or state.live is None:
            return
        live_folder = self._folder(state.release_of(state.live))
        current = assembly.schema_revision(self.session, live_folder, command)
        own = describe(folder)["facts"]["schema"]
        entries = [e for e in self.store.history.entries() if e.release == state.release_of(state.live)]
        successor = bool(entries) and entries[-1].previous == release
        if own != current and not successor:
            raise KickoffError(
                f"rolling back to {release} is unsafe: it knows schema {own}, the database has {current}",
                code=ExitCode.REJECTED,
                hint="roll forward only: ship a fix as a new release",
            )

    def _series(self, watch: Watch, weights: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        return {"traffic": watch.points, "weights": weights}

    def _evidence(
        self, stage: str, started: str, verdict: Verdict, summary: str, attempt: str, *, release: str,
        **facts: Any,  # noqa: ANN401
    ) -> Evidence:  # fmt: skip
        state = self.store.state()
        with self.session.target.reach("live") as endpoint:
            address = endpoint.url
        serving = {"release": state.release_of(state.live), "colour": str(state.live or "")}
        rules = []
        if verdict is Verdict.PASS:
            rules = [RuleResult(_RULES[stage], Verdict.PASS, "yes", "yes", 1)]
        return Evidence(
            stage=stage,
            environment=self.session.environment.name,
            verdict=verdict,
            summary=summary,
            started=started,
            service=self.session.service.name,
            release=release,
            attempt=attempt,
            rules=rules,
            timeline=self.timeline,
            facts={"serving": serving, "address": address, **facts},
        )


_RULES = {
    "stage": "candidate gets ready and names its release",
    "promote": "the public address answers with the release",
    "rollback": "the public address answers with the release",
}


def _verdict(error: KickoffError) -> Verdict:
    if isinstance(error, Rejected) and error.rules:
        return combine(rule.verdict for rule in error.rules)
    return Verdict.INCONCLUSIVE if error.code is ExitCode.INCONCLUSIVE else Verdict.FAIL


def _undone_code(error: KickoffError, stage: str, *, went_live: bool) -> ExitCode:
    if stage == "abort":
        return ExitCode.PASS  # what was asked for was done; the evidence still says that nothing shipped
    return ExitCode.ROLLED_BACK if went_live else error.code
