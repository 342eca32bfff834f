"""Moving the traffic to a staged candidate, judged step by step, until it is the recorded live release."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kickoff import freeze
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, now
from kickoff.release import (
    alerts,
    baseline,
    certificate,
    judged,
    outcome,
    readiness,
    recording,
    strategy,
    traffic,
    workers,
)
from kickoff.release.attempt import Attempt, Rejected, Run
from kickoff.release.model import Colour
from kickoff.release.progress import Progress
from kickoff.release.session import Session
from kickoff.release.trial import Trial
from kickoff.release.undo import before, undo


def promote(run: Run, identity: str) -> Evidence | None:
    """Move public traffic to the candidate by the environment's strategy, judged, then bake.

    Returns:
        Evidence ``promote``; ``None`` when ``stage`` found the release live already.

    Raises:
        KickoffError: The attempt is not staged, a required check did not pass (exit 3), or the lock is
            lost (75).
    """
    started = now()
    if run.session.unchanged(identity):
        return None
    run.session.require_own(identity)
    progress = run.store.attempt(identity)
    if progress.finished or not progress.staged:
        raise KickoffError(
            f"attempt {identity} cannot be promoted: it {progress.finished or 'is not staged'}",
            hint="stage the release first",
        )
    attempt = run.join(identity)
    try:
        require_leave(run.session, progress)
        require_checks(run.session, progress)
        judged.require_same(run.session, run.root, progress)
        readiness.ready(attempt, progress.release, Colour(progress.colour))
        return roll_out(attempt, started)
    except KickoffError as error:
        return undo(attempt, "promote", started, error)


def roll_out(attempt: Attempt, started: str, *, at_once: bool = False) -> Evidence:
    """Move the traffic by the environment's strategy, judge every step, record what passed.

    Args:
        attempt: The attempt.
        started: When the command began, ISO 8601.
        at_once: Give the candidate everything and bake it whole.
    """
    session, state = attempt.session, attempt.store.state()
    colour = Colour(attempt.progress.colour)
    down = baseline.down(attempt.run, state)
    # Users whom live fails lose nothing by meeting the candidate; the rest would only go on failing.
    steps = strategy.steps(session.environment, at_once=at_once or bool(down) or state.live is None)
    # Baked again after a crash, the release met users before.
    witness = alerts.witness(session, attempt.progress.shifted_at or now())
    _require_answer(session, witness)
    secured = certificate.require(attempt)
    trial = Trial(session, colour, state.live, session.target.state(colour).pid, witness)
    series: dict[str, list[dict[str, Any]]] = {
        "traffic": trial.points,
        "weights": [{"t": 0.0, "candidate_percent": 0}],
        "judged": [],
    }
    rules: list[RuleResult] = []
    for step in steps:
        weights = {colour: step.percent}
        if state.live is not None and step.percent < 100:
            weights[state.live] = 100 - step.percent
        traffic.shift(attempt, weights, state.live, forward=True)
        elapsed = round(time.monotonic() - trial.began, 2)
        series["weights"].append({"t": elapsed, "candidate_percent": step.percent})
        try:
            if step.percent == 100:
                workers.assign(attempt, colour)
                trial.watch_workers()
            # A verdict against the candidate is journalled, so that no crash can turn it into a release.
            with attempt.step("bake" if step.percent == 100 else "judge", percent=step.percent):
                rules = trial.hold(step.hold_seconds, attempt.renew)
                series["judged"] += _judged(rules, trial, step.percent)
                _demand_pass(session, rules, f"at {step.percent}%", colour)
        except Rejected as error:
            return _taken_back(attempt, started, error, series, trial)
    evidence = complete(attempt, started, [*secured, *rules])
    if down:
        evidence.facts["live_down"] = down
    evidence.facts["strategy"] = session.environment.text("RELEASE_STRATEGY")
    evidence.series = series
    return evidence


def _require_answer(session: Session, witness: alerts.Witness) -> None:
    """Refuse to let users meet a release whose alerts could not be asked for afterwards.

    Raises:
        Rejected: They cannot be read, or there are none (exit 3).
    """
    asked_now = replace(witness, since=datetime.now(UTC))  # an alert of before is for the judge
    for rule in asked_now.testify():
        if rule.verdict is Verdict.INCONCLUSIVE:
            raise Rejected(
                f"the alerts that judge a release cannot be asked for: {rule.reason}",
                code=ExitCode.INCONCLUSIVE,
                rules=[rule],
                at=f"configs/environments/{session.environment.name}.env",
                hint="start that Prometheus or correct ALERTS_URL and ALERTS_LABELS; ALERTS_UNREADABLE=warn "
                "releases without it",
            )


def _judged(rules: list[RuleResult], trial: Trial, percent: int) -> list[dict[str, Any]]:
    """Return what was judged at one share of the traffic, as points of the evidence."""
    at = {"t": round(time.monotonic() - trial.began, 2), "candidate_percent": percent}
    return [
        {
            **at,
            "verdict": str(rule.verdict),
            "rule": rule.rule,
            "measured": rule.measured,
            "limit": rule.limit,
        }
        for rule in rules
        if rule.verdict is not Verdict.NOT_APPLICABLE
    ]


def _taken_back(
    attempt: Attempt, started: str, error: Rejected, series: dict[str, list[dict[str, Any]]], trial: Trial
) -> Evidence:
    """Undo what users met, and enter into the series when their traffic was back."""
    decided = time.monotonic() - trial.began
    evidence = undo(attempt, "promote", started, error, series)
    restored = sum(event.get("seconds", 0.0) for event in evidence.timeline if event.get("step") == "restore")
    series["weights"].append({"t": round(decided + restored, 2), "candidate_percent": 0})
    return evidence


def complete(attempt: Attempt, started: str, rules: list[RuleResult]) -> Evidence:
    """Record a candidate that has all the traffic and whose bake ended with a passing verdict."""
    progress = attempt.progress
    colour, back = Colour(progress.colour), before(progress, attempt.store.state())
    readiness.verify(attempt.session, progress.release)
    workers.assign(attempt, colour)
    drained = traffic.drain(attempt, back.live, back) if back.live else 0.0
    judged.keep(attempt, progress)
    recording.record(attempt, "release", progress.release, colour, back, baked_at=progress.baked_at)
    evidence = outcome.evidence(
        attempt.run, "promote", started, Verdict.PASS,
        f"{progress.release} serves all requests on {colour}", attempt=attempt.id,
        release=progress.release, previous=progress.previous, outcome="released",
        drain_seconds=round(drained, 3),
    )  # fmt: skip
    evidence.rules = rules or evidence.rules
    return evidence


def require_leave(session: Session, progress: Progress) -> None:
    """Refuse an attempt that was staged without the proof it needs, or that a freeze has overtaken.

    Raises:
        Rejected: It was.
    """
    declared = session.service.declared(session.environment.name)
    try:
        freeze.require_open(declared.name, declared.freezes, progress.freeze_reason)
    except KickoffError as error:
        raise Rejected(f"not promoted: {error}", hint=error.hint) from None
    led_in = progress.proved_by or progress.unproven_reason
    if declared.after and not led_in:
        raise Rejected(
            "not promoted: it was staged without the proof that this environment demands",
            hint="stage it again",
        )


def require_checks(session: Session, progress: Progress) -> None:
    """Refuse an attempt for which a required check has not passed.

    Raises:
        Rejected: One has not (exit 3).
    """
    missing = [
        (name, str(progress.checks.get(name, "no verdict")))
        for name in session.service.checks_for(session.environment.name)
        if progress.checks.get(name) != Verdict.PASS
    ]
    if missing:
        raise Rejected(
            f"not promoted: required checks have not passed ({', '.join(map(': '.join, missing))})",
            code=ExitCode.INCONCLUSIVE,
            rules=[
                RuleResult(
                    "promote.required-check", f"required check {name}",
                    Verdict.INCONCLUSIVE, verdict, "pass", 0,
                    "every check that kickoff.yml requires must have passed for this attempt",
                )
                for name, verdict in missing
            ],
        )  # fmt: skip


def _demand_pass(session: Session, rules: list[RuleResult], when: str, colour: Colour) -> None:
    verdict = combine(rule.verdict for rule in rules)
    if verdict is Verdict.PASS:
        return
    decisive = next(rule for rule in rules if rule.verdict is verdict)
    grounds = f", {decisive.samples} samples" if decisive.samples > 1 else ""
    raise Rejected(
        f"{decisive.rule} {when}: {decisive.measured} against a limit of {decisive.threshold}{grounds}",
        rules=rules,
        log_tail=session.record_of_log(str(colour)),
        code=ExitCode.ROLLED_BACK,
    )
