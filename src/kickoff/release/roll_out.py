"""Moving the traffic to a candidate, judged step by step."""

import time
from typing import Any

from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, RuleResult, Verdict, combine
from kickoff.release import strategy
from kickoff.release.model import Colour, State
from kickoff.release.steps import Rejected
from kickoff.release.stores.journal import Attempt
from kickoff.release.undo import Undo
from kickoff.release.watch import Watch


class RollOut(Undo):
    """The way from a candidate that nobody meets to the release that everybody does."""

    def _roll_out(self, attempt: Attempt, started: str, *, at_once: bool = False) -> Evidence:
        """Move the traffic by the environment's strategy, judge every step, record what passed.

        Args:
            attempt: The attempt.
            started: When the command began, ISO 8601.
            at_once: Give the candidate everything and bake it whole.
        """
        state, colour = self.store.state(), Colour(attempt.colour)
        down = self._down(state)
        # Users whom live fails lose nothing by meeting the candidate; the rest would only go on failing.
        steps = strategy.steps(self.session.environment, at_once=at_once or bool(down) or state.live is None)
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
                    self._demand_pass(rules, f"at {step.percent}%", colour)
            except Rejected as error:
                return self._undo(attempt.id, "promote", started, error, self._series(watch, weights_seen))
        evidence = self._complete(attempt, started, rules)
        if down:
            evidence.facts["live_down"] = down
        evidence.facts["strategy"] = self.session.environment.text("RELEASE_STRATEGY")
        evidence.series = self._series(watch, weights_seen)
        return evidence

    def _complete(self, attempt: Attempt, started: str, rules: list[RuleResult]) -> Evidence:
        """Record a candidate that has all the traffic and whose bake ended with a passing verdict."""
        colour = Colour(attempt.colour)
        before = self._before(attempt, self.store.state())
        self._verify(attempt.release)
        drained = self._drain(attempt.id, before.live, before) if before.live else 0.0
        baked_at = self.store.attempt(attempt.id).baked_at
        self._record(attempt.id, "release", attempt.release, colour, before, baked_at=baked_at)
        evidence = self._evidence(
            "promote", started, Verdict.PASS,
            f"{attempt.release} serves all requests on {colour}", attempt.id,
            release=attempt.release, previous=attempt.previous, outcome="released",
            drain_seconds=round(drained, 3),
        )  # fmt: skip
        evidence.rules = rules or evidence.rules
        return evidence

    def _down(self, state: State) -> dict[str, Any] | None:
        """Return what is known of a live release that fails most requests now; ``None`` when it does not."""
        if state.live is None:
            return None
        answers = self.session.answers(state.live)
        if not answers.down:
            return None
        process = self.session.target.state(state.live)
        return {
            "release": state.release_of(state.live),
            "since": self._stopped_at(),
            "reason": answers.problem if process.running else f"its process is {process.detail}",
            "started_again": False,
        }

    def _stopped_at(self) -> str:
        """Return when the live release was stopped on request, ISO 8601; empty when it was not."""
        last = next(self.store.history.newest_first(), None)
        return last.at if last and last.action == "stop" else ""

    def _demand_pass(self, rules: list[RuleResult], when: str, colour: Colour) -> None:
        verdict = combine(rule.verdict for rule in rules)
        if verdict is Verdict.PASS:
            return
        decisive = next(rule for rule in rules if rule.verdict is verdict)
        raise Rejected(
            f"{decisive.rule} {when}: {decisive.measured} against a limit of "
            f"{decisive.threshold}, {decisive.samples} samples",
            rules=rules,
            log_tail=self.session.logs(str(colour)),
            code=ExitCode.ROLLED_BACK,
        )

    def _series(self, watch: Watch, weights: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        return {"traffic": watch.points, "weights": weights}
