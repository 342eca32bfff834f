"""Going back on request: to a release that was good, once, and from whoever is at work."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, now
from kickoff.release import (
    assembly,
    colours,
    outcome,
    readiness,
    recording,
    rollback_targets,
    traffic,
    workers,
)
from kickoff.release.attempt import Attempt, Rejected, Run
from kickoff.release.folder import describe
from kickoff.release.model import State
from kickoff.release.progress import UNCHANGED, Progress
from kickoff.release.recovery import begin
from kickoff.release.stage import plan
from kickoff.release.undo import met_users, undo


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of a rollback.

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
    """The decision about a request: the release to serve, empty for none; or why nothing is to be done."""

    release: str = ""
    nothing_to_do: str = ""


def abort(run: Run, identity: str, reason: str) -> Evidence | None:
    """Undo the open attempt; nothing to do when it has finished.

    Args:
        run: The command.
        identity: The attempt; empty for whichever is open.
        reason: Recorded in the history, with the check that did not pass.
    """
    started = now()
    progress = run.store.attempt(identity) if identity else run.store.open_attempt()
    if progress is None or progress.finished:
        return None
    cause = ": ".join(filter(None, (reason, _failed_check(progress)))) or "ended before it was promoted"
    return undo(run.join(progress.id), "abort", started, Rejected(cause))


def _failed_check(progress: Progress) -> str:
    """Return the check that did not pass, and why; else how far the candidate came, empty for nowhere."""
    for name, verdict in progress.checks.items():
        if verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE):
            return f"{name}: {progress.problems.get(name) or verdict}"
    passed = [name for name, verdict in progress.checks.items() if verdict == Verdict.PASS]
    return f"it had passed {', '.join(passed)}" if passed else ""


def rollback(run: Run, request: Request, wait: float) -> Evidence:
    """Serve an earlier release again: the warm colour by one route write, others started from disk.

    Everything is checked before anything is touched. Then a release in progress is taken back, from
    whoever is at it: an emergency does not wait. When users had met its candidate, that is the rollback.
    Where the release that failed was the first, nothing serves afterwards.

    Args:
        run: The command.
        request: What is asked for.
        wait: Seconds to wait for another run's lock.

    Raises:
        KickoffError: There is no such release, or none to go back to (exit 2); the database has moved too
            far (exit 1); what came back last does not answer (exit 4).
    """
    started, live = now(), run.session.expected_release("live")
    met = in_progress(run)
    by_taking_back = met is not None and met_users(run, met) and not (request.to or request.failed)
    found = Answer(live) if by_taking_back else answer(run, request)
    if found.nothing_to_do:
        return _nothing_to_do(run, started, found.nothing_to_do)
    taken_back = take_back(run, met)
    if by_taking_back:
        end = f"{live} serves again" if live else "it was the first release, so nothing serves now"
        code = ExitCode.PASS if live else ExitCode.ROLLED_BACK
        return outcome.evidence(
            run, "rollback", started, Verdict.PASS, f"the release of {taken_back} was taken back: {end}",
            release=live, previous=taken_back, exit_code=int(code),
            outcome="rolled-back-on-request" if live else "rolled-back",
        )  # fmt: skip
    attempt = begin(run, "rollback", wait)
    try:
        found = answer(run, request)  # again: whoever held the lock until now may have gone back
    except KickoffError:
        attempt.finish("refused")
        raise
    if found.nothing_to_do:
        attempt.finish(UNCHANGED)
        return _nothing_to_do(run, started, found.nothing_to_do)
    if not found.release:
        return _withdraw(attempt, started, request.failed, request.reason)
    return _serve(attempt, started, found.release, request)


def in_progress(run: Run) -> Progress | None:
    """Return the release that a living run is at; ``None`` when none is."""
    progress, owner = run.store.open_attempt(), run.session.owner(working=True)
    if progress is None or progress.kind != "release" or run.store.lease().abandoned(owner.run):
        return None
    return progress


def take_back(run: Run, progress: Progress | None) -> str:
    """Undo the release that a living run is at; return it, or nothing when there is none."""
    if progress is None:
        return ""
    attempt = run.take_over(progress.id, alive=True)
    undo(attempt, "abort", now(), Rejected(f"{run.who} asked for a rollback"))
    return progress.release


def _serve(attempt: Attempt, started: str, release: str, request: Request) -> Evidence:
    """Give all traffic to ``release``, from the warm colour when it is there, else started from disk."""
    session, run = attempt.session, attempt.run
    try:
        with attempt.step("prepare"):
            session.target.prepare()
        state, folder = run.store.state(), _folder(run, release)
        warm = state.warm if state.release_of(state.warm) == release else None
        if warm is not None and not session.target.state(warm).running:
            warm = None
        colour = warm or state.idle
        plan(attempt, release, colour, state, warm_start=warm is not None)
        if warm is None:
            session.target.install(folder)
            colours.start(attempt, folder, colour)
        readiness.ready(attempt, release, colour)
        traffic.shift(attempt, {colour: 100}, state.live)
        readiness.verify(session, release)
        workers.assign(attempt, colour)
        reasons = {"reason": request.reason, "unproven_reason": request.unproven_reason}
        given = {key: reason for key, reason in reasons.items() if reason}
        recording.record(attempt, "rollback", release, colour, state, **given)
    except KickoffError as error:
        return undo(attempt, "rollback", started, error)
    return outcome.evidence(
        run, "rollback", started, Verdict.PASS,
        f"{release} serves again, verified by {readiness.VERIFICATIONS} requests", attempt=attempt.id,
        release=release, previous=state.release_of(state.live), outcome="rolled-back-on-request",
        reason=request.reason,
    )  # fmt: skip


def _withdraw(attempt: Attempt, started: str, failed: str, reason: str) -> Evidence:
    """Take the first release out of service: users get the maintenance answer instead of a broken one."""
    session, run = attempt.session, attempt.run
    with attempt.step("prepare"):
        session.target.prepare()
    state = run.store.state()
    if state.live is not None:
        with attempt.step("withdraw"):
            traffic.route(attempt, {}, state)
            traffic.drain(attempt, state.live, state)
            with attempt.fenced() as transaction:
                session.target.stop(state.live, attempt.lease.token)
                transaction.record(
                    "auto-rollback", "undone", failed, "", attempt=attempt.id, **run.caller,
                    reason=f"{reason or 'it failed after it went live'}; no release was there before",
                    **recording.origin(run, failed),
                )  # fmt: skip
                slots = state.with_slot(state.live, None).slots
                transaction.save(State(live=None, warm=None, slots=slots))
            traffic.route(attempt, {}, run.store.state())
    attempt.finish("rolled back")
    evidence = outcome.evidence(
        run, "rollback", started, Verdict.PASS,
        f"{failed} was taken out of service: it was the first release, so nothing serves now",
        attempt=attempt.id, release="", previous=failed, outcome="rolled-back",
        exit_code=int(ExitCode.ROLLED_BACK), hint="ship a release that works; until then users get 503",
    )  # fmt: skip
    evidence.rules = [
        RuleResult("rollback.withdrawn", "nothing is live any more", Verdict.PASS, "yes", "yes", 1)
    ]
    return evidence


def _nothing_to_do(run: Run, started: str, why: str) -> Evidence:
    live = run.session.expected_release("live")
    return outcome.evidence(
        run, "rollback", started, Verdict.PASS, why, release=live, previous="", outcome="unchanged"
    )


# --- what is asked for --------------------------------------------------------------------------------------


def answer(run: Run, request: Request) -> Answer:
    """Return what a request comes to, having changed nothing.

    Raises:
        KickoffError: As :func:`rollback` says.
    """
    live = run.session.expected_release("live")
    if request.failed and rollback_targets.check_id(request.failed) != live:
        return Answer(nothing_to_do=f"{request.failed} is not live any more: nothing to take back")
    back = rollback_targets.last_return(run.store.history.newest_first())
    if request.to:
        if rollback_targets.check_id(request.to) == live:
            return Answer(nothing_to_do=_serving_already(run, f"{live} is live already"))
        require_target(run, request)
        release = request.to
    elif back is not None and back.to and back.to == live:
        further = next(_good(run, but=live), "")
        command = f"kickoff rollback --env {run.session.environment.name} --to {further}"
        hint = f"; to go further back: `{command}`" if further else ""
        return Answer(nothing_to_do=_serving_already(run, f"{_gone_back(back)}{hint}"))
    else:
        release = next(_good(run, but=live), "")
    if not release and request.failed:
        return Answer()
    if not release:
        raise KickoffError(
            f"{run.session.environment.name} has no earlier release to go back to",
            hint="`kickoff history --env NAME` lists what was released, "
            "`kickoff stop --env NAME` stops what serves",
        )
    check_schema(run, _folder(run, release), release)
    return Answer(release)


def _good(run: Run, *, but: str) -> Iterator[str]:
    """Yield the good releases that are kept here, the one that was live last first."""
    found = rollback_targets.good(run.store.history.newest_first())
    return (one for one in found if one != but and describe(run.store.release_folder(one)))


def _serving_already(run: Run, text: str) -> str:
    """Return ``text``, which says that there is nothing to do, unless the live release is not well.

    Raises:
        KickoffError: It is not (exit 4).
    """
    problem = run.session.unwell()
    if not problem:
        return text
    name = run.session.environment.name
    raise KickoffError(
        f"{text}, but it is not well: {problem}",
        code=ExitCode.UNREACHABLE,
        hint=f"bring it up: `kickoff start --env {name}`",
    )


def require_target(run: Run, request: Request) -> None:
    """Refuse a release that was never good, unless a person says why it has to be that one.

    Raises:
        KickoffError: It is not kept, or was never good and no reason is given (exit 2).
    """
    live = run.session.expected_release("live")
    _folder(run, request.to)
    if request.to in rollback_targets.good(run.store.history.newest_first()):
        return
    entries = run.store.history.newest_first()
    was_live = any(entry.outcome == "live" and entry.release == request.to for entry in entries)
    why = "it was rolled back from" if was_live else "it never was live"
    if not request.forced:
        raise KickoffError(
            f"{request.to} is no release to go back to: {why}",
            hint=f"good ones: {', '.join(_good(run, but=live)) or 'none'}; "
            "for this one all the same add --force --reason 'WHY', which is recorded",
        )
    name = run.session.environment.name
    if run.session.service.declared(name).after and not was_live and not request.unproven_reason:
        raise KickoffError(
            f"{request.to} never was live in {name}, which takes only what was proved",
            hint="add --unproven-reason 'WHY', which is recorded",
        )


def _folder(run: Run, release: str) -> Path:
    folder = run.store.release_folder(release)
    if not release or not describe(folder):
        good = ", ".join(_good(run, but=run.session.expected_release("live")))
        raise KickoffError(f"release {release!r} is not kept here", hint=f"good ones: {good or 'none'}")
    return folder


def check_schema(run: Run, folder: Path, release: str) -> None:
    """Refuse a release whose code never met the schema the database has now.

    Migrations only expand, so a release also works with the schema of its direct successor.
    """
    command = run.session.service.database_revision
    live_folder = run.store.release_folder(run.session.expected_release("live"))
    if not command or not describe(live_folder):
        return
    current = assembly.schema_revision(run.session, live_folder, command)
    own = describe(folder)["facts"]["schema"]
    entries = run.store.history.newest_first()
    came = next((e for e in entries if e.release == live_folder.name and e.outcome == "live"), None)
    successor = came is not None and came.previous == release
    if own != current and not successor:
        raise KickoffError(
            f"rolling back to {release} is unsafe: it knows schema {own}, the database has {current}",
            code=ExitCode.REJECTED,
            hint="roll forward only: ship a fix as a new release",
        )


def _gone_back(back: rollback_targets.Return) -> str:
    way = f"already went back from {back.left} to {back.to} {_ago(back.at)}"
    return f"the judge {way}: {back.judged}" if back.judged else f"{way} (by {back.by})"


def _ago(at: str) -> str:
    seconds = max(0, (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())
    return f"{timedelta(seconds=round(seconds))} ago" if seconds >= 60 else f"{seconds:.0f} s ago"
