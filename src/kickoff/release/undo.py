"""Going back to what was live before an attempt that must not go on."""

from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict
from kickoff.release import colours, outcome, readiness, recording, traffic, workers
from kickoff.release.attempt import Attempt, Rejected, Run
from kickoff.release.model import Colour, State
from kickoff.release.progress import Progress

ROLLED_BACK = "rollback.verified"
"""Id of the rule that shows that the release before answers again."""
_KEPT_LINES = 10_000


def undo(
    attempt: Attempt, stage: str, started: str, error: KickoffError, series: dict[str, Any] | None = None
) -> Evidence:
    """Return to what was live before ``attempt``, stop the candidate, record why.

    A release before that does not answer is no reason to keep the attempt open: that would forbid the
    next release, which is the cure.

    Raises:
        KickoffError: Going back failed, or nothing answers after it: exit 6, saying who serves. Or ``error``
            itself, when it says that another run took over or that going back has failed already.
    """
    if error.code in (ExitCode.LOCK_HELD, ExitCode.ROLLBACK_FAILED):
        raise error
    run, progress = attempt.run, attempt.progress
    went_live = met_users(run, progress) and progress.kind == "release"
    try:
        doubt = _restore(attempt, progress) if progress.colour else ""
    except KickoffError as failure:
        if failure.code is ExitCode.LOCK_HELD:
            raise
        raise rollback_failed(run, error, str(failure)) from error
    _close(attempt, progress, error, stage, went_live=went_live)
    if doubt and not progress.live_down:
        raise rollback_failed(run, error, doubt) from error
    evidence = outcome.evidence(
        run, stage, started, outcome.verdict_of(error), str(error), attempt=attempt.id,
        release=progress.release, previous=progress.previous,
        outcome="rolled-back" if went_live else "aborted", hint=error.advice,
        exit_code=int(_exit_code(error, stage, went_live=went_live)),
    )  # fmt: skip
    if isinstance(error, Rejected):
        evidence.rules, evidence.log_tail = error.rules, error.log_tail
    elif error.causes:
        evidence.log_tail = list(error.causes)
    evidence.rules = [*evidence.rules, *_verified(progress, doubt)]
    evidence.series = series or {}
    return evidence


def met_users(run: Run, progress: Progress) -> bool:
    """True when users were given to the candidate."""
    return progress.shifted or progress.colour in run.session.proxy.weights()


def before(progress: Progress, state: State) -> State:
    """Return the state to go back to: the colour that held the previous release is live again."""
    colour = Colour(progress.colour)
    live = colour.other if progress.previous and colour.other in state.slots else None
    return State(live=live, warm=colour if progress.warm_start else None, slots=state.slots)


def rollback_failed(run: Run, error: KickoffError, why: str) -> KickoffError:
    """Return the error of a way back that failed (exit 6)."""
    name, weights = run.session.environment.name, run.session.proxy.weights()
    shares = ", ".join(f"{colour} {weight}%" for colour, weight in weights.items()) or "no public traffic"
    return KickoffError(
        f"rollback failed after: {error}",
        code=ExitCode.ROLLBACK_FAILED,
        causes=[why, f"the route gives {shares}"],
        hint=f"`kickoff status --env {name}` shows who serves; `kickoff resume --env {name}` tries again",
    )


def _restore(attempt: Attempt, progress: Progress) -> str:
    """Give the traffic back, stop the candidate; return why the release before does not answer, if so."""
    session, colour = attempt.session, Colour(progress.colour)
    attempt.renew()
    doubt = _wake(attempt, before(progress, attempt.store.state()).live)
    state = attempt.store.state()
    target_state = before(progress, state)
    route = {target_state.live: 100} if target_state.live else {}
    if session.proxy.weights() != route:
        with attempt.step("restore"):
            traffic.route(attempt, route, state)
    if target_state.live is not None and progress.shifting and not doubt:
        try:
            readiness.verify(session, target_state.release_of(target_state.live))
        except Rejected as failure:
            doubt = str(failure)
        # Who fails everything may still say its name.
        if progress.live_down and not doubt and (answers := session.answers(target_state.live)).down:
            doubt = answers.problem
    try:
        workers.assign(attempt, target_state.live)
    except KickoffError as failure:
        if failure.code is ExitCode.LOCK_HELD:
            raise
        doubt = doubt or str(failure)
    with attempt.step("stop"):
        if progress.warm_start:
            with attempt.fenced() as transaction:
                transaction.save(target_state)
        else:
            without = target_state.with_slot(colour, None)
            traffic.route(attempt, route, without)
            with attempt.fenced() as transaction:
                session.target.stop(colour, attempt.lease.token)
                transaction.save(without)
    return doubt


def _wake(attempt: Attempt, live: Colour | None) -> str:
    """Start the release before unless it runs; return why it does not get ready, if so."""
    session = attempt.session
    if live is None or session.target.state(live).running:
        return ""
    try:
        state = colours.running(attempt, live, attempt.store.state())
        traffic.route(attempt, session.proxy.weights(), state)
        readiness.await_ready(session, state.release_of(live), live)
    except KickoffError as failure:
        if failure.code is ExitCode.LOCK_HELD:
            raise
        return str(failure)
    return ""


def _close(attempt: Attempt, progress: Progress, error: KickoffError, stage: str, *, went_live: bool) -> None:
    """Record in the history that the attempt came to nothing, and free the lock."""
    run = attempt.run
    if progress.kind == "release" and progress.colour:
        # The next candidate of this colour begins a new log.
        log = run.session.logs(progress.colour, lines=_KEPT_LINES)
        run.store.keep_log(progress.release, log, run.session.environment.integer("KEEP_RELEASES"))
    recording.prune(attempt, spare=progress.release)
    with attempt.fenced() as transaction:
        transaction.record(
            "auto-rollback" if went_live else "abort", "undone", progress.release, progress.previous,
            attempt=attempt.id, stage=stage, reason=str(error), met_users=progress.shifted_at, **run.caller,
            **recording.checks(attempt), **recording.bypass(attempt),
            **recording.origin(run, progress.release),
        )  # fmt: skip
    attempt.finish("rolled-back" if went_live else "aborted")


def _verified(progress: Progress, doubt: str) -> list[RuleResult]:
    """Return the rule that says whether the release before answers again; none where no traffic had moved."""
    if not (progress.previous and progress.shifting):
        return []
    passed = serves_again(progress.previous)
    if not doubt:
        return [passed]
    why = f"it was down before this release, too: {progress.live_down}"
    return [RuleResult(ROLLED_BACK, passed.rule, Verdict.NOT_APPLICABLE, doubt, "all answers", 0, why)]


def serves_again(release: str) -> RuleResult:
    """Return the rule that says that the release before answers again, as its verification found."""
    rule = f"rolled back: the public address answers with {release}"
    answers = f"{readiness.VERIFICATIONS} of {readiness.VERIFICATIONS}"
    return RuleResult(ROLLED_BACK, rule, Verdict.PASS, answers, answers, readiness.VERIFICATIONS)


def _exit_code(error: KickoffError, stage: str, *, went_live: bool) -> ExitCode:
    if stage == "abort":
        return ExitCode.PASS  # what was asked for was done; the evidence still says that nothing shipped
    return ExitCode.ROLLED_BACK if went_live else error.code
