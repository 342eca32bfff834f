"""The day after a bad one: what a run that died left open, a live release that does not run, a lost state."""

import time

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict, now
from kickoff.release import colours, outcome, readiness, recording, rollback_targets, shares, workers
from kickoff.release.attempt import Attempt, Rejected, Run
from kickoff.release.model import Colour, Slot, State
from kickoff.release.promote import complete, roll_out
from kickoff.release.undo import before, undo


def begin(run: Run, kind: str, wait: float) -> Attempt:
    """Take the lock and open an attempt, once what a dead run left is finished or undone.

    Raises:
        KickoffError: Another run holds the lock, and still did after ``wait`` seconds (exit 75).
    """
    deadline, told = time.monotonic() + wait, False
    while True:
        try:
            _tidy(run)
            attempt = Attempt(run, run.acquire())
            break
        except KickoffError as error:
            if error.code is not ExitCode.LOCK_HELD or time.monotonic() >= deadline:
                raise
            if not told:
                run.tell(f"… waiting up to {wait:g} s: {error}")
                told = True
            time.sleep(1)
    attempt.note(event="opened", kind=kind, owner=run.who)
    return attempt


def resume(run: Run) -> Evidence | None:
    """Finish or undo what a run that died left behind, then see that the live release serves.

    Returns:
        Evidence of what was done; nothing when there was nothing to do.

    Raises:
        KickoffError: A living run holds the lock (75), or the live release does not serve (4).
    """
    done = converge(run)
    if run.store.state().live is None or not run.session.unwell():
        return done
    return start(run, 0)


def converge(run: Run) -> Evidence | None:
    """Finish or undo an attempt whose run died; nothing to do otherwise.

    A release is finished only when its bake ended with a passing verdict in the journal. One that had
    traffic without it is taken back while the release before is there and healthy, and baked again,
    whole, otherwise: released means judged.

    Raises:
        KickoffError: A living run holds the lock (exit 75).
    """
    progress = run.store.open_attempt()
    if progress is None:
        if run.store.lease().held:
            run.store.release_lock(run.acquire())
        return None
    attempt = run.take_over(progress.id)
    started = now()
    run.session.target.prepare()
    if not progress.colour:
        attempt.finish("abandoned before it began")
        return None
    try:
        return _go_on(attempt, started)
    except KickoffError as error:
        return undo(attempt, "promote", started, error)


def _go_on(attempt: Attempt, started: str) -> Evidence:
    """Finish the attempt when that is safe, and undo it otherwise."""
    session, progress, state = attempt.session, attempt.progress, attempt.store.state()
    colour, back, weights = Colour(progress.colour), before(progress, state), session.proxy.weights()
    has_all = weights == {colour: 100} and state.release_of(colour) == progress.release
    early = Rejected("the run that began it ended too early")
    if progress.condemned or colour not in weights:
        return undo(attempt, "abort", started, early)
    if progress.kind == "rollback" and has_all:
        readiness.ready(attempt, progress.release, colour)
        readiness.verify(session, progress.release)
        workers.assign(attempt, colour)
        recording.record(attempt, "rollback", progress.release, colour, back)
        return outcome.evidence(
            attempt.run, "rollback", started, Verdict.PASS,
            f"{progress.release} serves again; now it is recorded", attempt=attempt.id,
            release=progress.release, previous=progress.previous, outcome="rolled-back-on-request",
        )  # fmt: skip
    if progress.kind == "release" and progress.baked_at and has_all:
        readiness.ready(attempt, progress.release, colour)
        return complete(attempt, started, [])
    if back.live is not None and not session.answers(back.live).problem:
        return undo(attempt, "abort", started, early)
    if progress.kind == "release" and session.target.state(colour).running:
        readiness.ready(attempt, progress.release, colour)
        return roll_out(attempt, started, at_once=True)
    return undo(attempt, "abort", started, early)


def _tidy(run: Run) -> None:
    """Converge; a release before that does not answer afterwards must not forbid what is to come."""
    try:
        converge(run)
    except KickoffError as error:
        if run.store.open_attempt() is not None:
            raise
        run.log(str(error), "converge")


def start(run: Run, wait: float) -> Evidence:
    """Bring up what the record calls live, after a stop or a reboot.

    Args:
        run: The command.
        wait: Seconds to wait for another run's lock.

    Raises:
        KickoffError: No release is live, or it does not get ready in ``READY_TIMEOUT`` (exit 4).
    """
    started, session, name = now(), run.session, run.session.environment.name
    release, tidy = session.expected_release("live"), run.store.open_attempt() is None
    if tidy and not release:
        raise KickoffError(
            f"no release is live in {name}, so there is nothing to start",
            code=ExitCode.UNREACHABLE,
            hint=f"ship one: `kickoff deploy --env {name}`",
        )
    if tidy and not session.unwell():
        return outcome.evidence(
            run, "start", started, Verdict.PASS, f"{release} serves already",
            release=release, outcome="unchanged",
        )  # fmt: skip
    attempt = begin(run, "start", wait)
    try:
        with attempt.step("prepare"):
            session.target.prepare()
        state = run.store.state()
        release = state.release_of(state.live)
        if problem := colours.revive(attempt, state):
            raise KickoffError(
                f"{release} does not serve: {problem}",
                code=ExitCode.UNREACHABLE,
                causes=session.logs("live"),
                hint=f"`kickoff rollback --env {name}`, or ship a release that works",
            )
    except KickoffError:
        attempt.finish("not started")
        raise
    with attempt.fenced() as transaction:
        transaction.record("start", "recorded", release, "", attempt=attempt.id, **run.caller)
    attempt.finish("started")
    return outcome.evidence(
        run, "start", started, Verdict.PASS, f"{release} serves", attempt=attempt.id,
        release=release, outcome="started",
    )  # fmt: skip


def stop(run: Run) -> str:
    """Stop both colours and the proxy; return the release that was live.

    Releases, record and route are kept: ``start`` brings back what was live.
    """
    release = run.store.recorded_live()
    run.session.target.shut_down()
    shares.write(run.session, {}, {})
    with run.store.exclusive() as transaction:
        transaction.record("stop", "recorded", release, "", **run.caller)
    return release


def unlock(run: Run) -> str:
    """Free the lock by force, recorded in the history; return who held it."""
    lease = run.store.force_unlock(run.who)
    holder = lease.owner.who if lease.owner else ""
    release = run.store.recorded_live()
    with run.store.exclusive() as transaction:
        transaction.record("unlock", "recorded", release, "", holder=holder, **run.caller)
    return holder


def rebuild_state(run: Run) -> State:
    """Derive the state again from history, route and what runs; write it and return it.

    Raises:
        KickoffError: They do not agree on one live release (exit 4), or a living run holds the lock (75).
    """
    lease = run.acquire()
    try:
        state = _derived(run)
        with run.store.transact(lease) as transaction:
            transaction.save(state)
    finally:
        run.store.release_lock(lease)
    return state


def _derived(run: Run) -> State:
    slots: dict[Colour, Slot] = {}
    for colour in Colour:
        slot = run.session.target.slot(colour)
        if slot is not None:
            slots[colour] = slot
    weights, recorded = run.session.proxy.weights(), run.store.recorded_live()
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
            at=str(run.store.root),
            hint="restore state.json from a backup of that folder, or ship the release again after "
            "moving the whole folder away",
        )
    good = set(rollback_targets.good(run.store.history.newest_first()))
    warm = next((c for c, slot in slots.items() if c is not live and slot.release in good), None)
    return State(live=live, warm=warm, slots=slots)
