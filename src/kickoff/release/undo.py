"""Going back to what was live before an attempt, and the evidence that an attempt leaves."""

from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine
from kickoff.release.model import Colour, State
from kickoff.release.steps import VERIFICATIONS, Rejected, Steps
from kickoff.release.stores.files import TakenBack
from kickoff.release.stores.journal import Attempt


class Undo(Steps):
    """What ends an attempt that must not go on."""

    def _undo(
        self,
        attempt: str,
        stage: str,
        started: str,
        error: KickoffError,
        series: dict[str, Any] | None = None,
    ) -> Evidence:
        """Return to what was live before ``attempt``, stop the candidate, record why.

        A release before that does not answer is no reason to keep the attempt open: that would forbid the
        next release, which is the cure.

        Raises:
            KickoffError: Going back failed, or nothing answers after it: exit 6, saying who serves.
        """
        if error.code is ExitCode.LOCK_HELD:
            raise error
        folded = self.store.attempt(attempt)
        reached_users = folded.shifted or folded.colour in self.session.proxy.weights()
        doubt = ""
        try:
            if folded.colour:
                doubt = self._restore(folded)
        except KickoffError as failure:
            if failure.code is ExitCode.LOCK_HELD:
                raise
            raise self._rollback_failed(error, str(failure)) from error
        went_live = reached_users and folded.kind == "release"
        outcome = "rolled-back" if went_live else "aborted"
        self._keep_log(folded)
        self._prune(attempt, spare=folded.release)
        with self.store.fenced(attempt):
            self.store.history.append(
                "auto-rollback" if went_live else "abort", "undone", folded.release, folded.previous,
                attempt=attempt, reason=str(error), by=self._who(), met_users=folded.shifted_at,
                **self._origin(folded.release), **self._bypass(attempt),
            )  # fmt: skip
        self._finish(attempt, outcome)
        if doubt and not folded.live_down:
            raise self._rollback_failed(error, doubt) from error
        evidence = self._evidence(
            stage, started, _verdict(error), str(error), attempt,
            release=folded.release, previous=folded.previous, outcome=outcome, hint=error.hint,
            exit_code=int(_undone_code(error, stage, went_live=went_live)),
        )  # fmt: skip
        if isinstance(error, Rejected):
            evidence.rules, evidence.log_tail = error.rules, error.log_tail
        elif error.causes:
            evidence.log_tail = list(error.causes)
        evidence.rules = [*evidence.rules, *_verified(folded, doubt)]
        evidence.series = series or {}
        return evidence

    def _restore(self, folded: Attempt) -> str:
        """Give the traffic back, stop the candidate; return why the release before does not answer, if so."""
        attempt, colour = folded.id, Colour(folded.colour)
        self._renew(attempt)
        doubt = self._wake(attempt, self._before(folded, self.store.state()).live)
        state = self.store.state()
        before = self._before(folded, state)
        route = {before.live: 100} if before.live else {}
        if self.session.proxy.weights() != route:
            with self._step(attempt, "restore"):
                self._route(attempt, route, state)
        if before.live is not None and folded.shifting and not doubt:
            try:
                self._verify(before.release_of(before.live))
            except Rejected as failure:
                doubt = str(failure)
        keep = folded.warm_start
        with self._step(attempt, "stop"):
            if not keep:
                self._route(attempt, route, before.with_slot(colour, None))
            with self.store.fenced(attempt):
                if not keep:
                    self.session.target.stop(colour)
                self.store.save(before if keep else before.with_slot(colour, None))
        return doubt

    def _wake(self, attempt: str, live: Colour | None) -> str:
        """Start the release before unless it runs; return why it does not get ready, if so."""
        if live is None or self.session.target.state(live).running:
            return ""
        try:
            state = self._running(attempt, live, self.store.state())
            self._route(attempt, self.session.proxy.weights(), state)
            self._wait_ready(state.release_of(live), live)
        except KickoffError as failure:
            if failure.code is ExitCode.LOCK_HELD:
                raise
            return str(failure)
        return ""

    def _rollback_failed(self, error: KickoffError, why: str) -> KickoffError:
        name = self.session.environment.name
        return KickoffError(
            f"rollback failed after: {error}",
            code=ExitCode.ROLLBACK_FAILED,
            causes=[why, f"the route gives {_shares(self.session.proxy.weights())}"],
            hint=f"`scripts/deploy/release.py status --env {name}` shows who serves; "
            f"`scripts/deploy/release.py resume --env {name}` tries again",
        )

    def _keep_log(self, folded: Attempt) -> None:
        """Keep the log of a refused candidate: the next one in its colour starts a new one."""
        if folded.kind != "release" or not folded.colour:
            return
        lines = self.session.logs(folded.colour, lines=_KEPT_LINES)
        self.store.keep_log(folded.release, lines, self.session.environment.integer("KEEP_RELEASES"))

    def _before(self, attempt: Attempt, state: State) -> State:
        """Return the state to go back to: the colour that held the previous release is live again."""
        colour = Colour(attempt.colour)
        live = colour.other if attempt.previous and colour.other in state.slots else None
        return State(live=live, warm=colour if attempt.warm_start else None, slots=state.slots)

    # --- evidence -----------------------------------------------------------------------------------

    def refusal(self, stage: str, started: str, error: KickoffError) -> Evidence:
        """Return the evidence of a phase that ended in an error before it could leave any of its own."""
        outcome = _OUTCOMES.get(error.code, "refused")
        taken = {"taken_by": error.by, "taken_at": error.taken_at} if isinstance(error, TakenBack) else {}
        evidence = self._evidence(
            stage, started, _verdict(error), str(error), "",
            release="", outcome=outcome, exit_code=int(error.code), hint=error.hint, **taken,
        )  # fmt: skip
        evidence.log_tail = list(error.causes)
        return evidence

    def _evidence(
        self, stage: str, started: str, verdict: Verdict, summary: str, attempt: str, *, release: str,
        **facts: Any,  # noqa: ANN401
    ) -> Evidence:  # fmt: skip
        state = self.store.state()
        with self.session.target.reach("live") as endpoint:
            address = endpoint.url
        serving = {
            "release": state.release_of(state.live),
            "colour": str(state.live or ""),
            "answers": self.session.not_serving() or "yes",
        }
        rules = []
        if verdict is Verdict.PASS:
            rules = [RuleResult(*_RULES[stage], Verdict.PASS, "yes", "yes", 1)]
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


ROLLED_BACK = "rollback.verified"
"""Id of the rule that shows that the release before answers again."""
_KEPT_LINES = 10_000
_OUTCOMES = {ExitCode.ROLLBACK_FAILED: "rollback-failed", ExitCode.INTERRUPTED: "interrupted"}
_RULES = {
    "stage": ("stage.ready", "candidate gets ready and names its release"),
    "promote": ("release.public-address", "the public address answers with the release"),
    "rollback": ("release.public-address", "the public address answers with the release"),
    "start": ("release.public-address", "the public address answers with the release"),
    "watch": ("watch.serves", "the release still serves when the watch ends"),
}


def _verified(folded: Attempt, doubt: str) -> list[RuleResult]:
    """Return the rule that says whether the release before answers again; none where no traffic had moved."""
    if not (folded.previous and folded.shifting):
        return []
    rule = f"rolled back: the public address answers with {folded.previous}"
    if doubt:
        why = f"it was down before this release, too: {folded.live_down}"
        return [RuleResult(ROLLED_BACK, rule, Verdict.NOT_APPLICABLE, doubt, "all answers", 0, why)]
    answers = f"{VERIFICATIONS} of {VERIFICATIONS}"
    return [RuleResult(ROLLED_BACK, rule, Verdict.PASS, answers, answers, VERIFICATIONS)]


def _shares(weights: dict[Colour, int]) -> str:
    return ", ".join(f"{colour} {weight}%" for colour, weight in weights.items()) or "no public traffic"


def _verdict(error: KickoffError) -> Verdict:
    if isinstance(error, Rejected) and error.rules:
        return combine(rule.verdict for rule in error.rules)
    doubt = error.code in (ExitCode.INCONCLUSIVE, ExitCode.INTERRUPTED)
    return Verdict.INCONCLUSIVE if doubt else Verdict.FAIL


def _undone_code(error: KickoffError, stage: str, *, went_live: bool) -> ExitCode:
    if stage == "abort":
        return ExitCode.PASS  # what was asked for was done; the evidence still says that nothing shipped
    return ExitCode.ROLLED_BACK if went_live else error.code
