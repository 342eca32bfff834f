"""Starting and replacing what runs in a colour, inside the fence."""

from pathlib import Path

from kickoff.errors import ExitCode, KickoffError
from kickoff.release import readiness, traffic, workers
from kickoff.release.attempt import Attempt
from kickoff.release.folder import describe
from kickoff.release.model import Colour, State


def start(attempt: Attempt, folder: Path, colour: Colour) -> None:
    """Start the candidate in ``colour``; the release that was kept warm there gives way, drained."""
    target, state = attempt.session.target, attempt.store.state()
    if state.warm is colour and colour in state.slots:
        _give_way(attempt, colour, state)
    with attempt.step("start", colour=str(colour)):
        with attempt.fenced() as transaction:
            target.stop(colour, attempt.lease.token)
            slot = target.start(colour, folder, attempt.lease.token)
            state = attempt.store.state().with_slot(colour, slot)
            transaction.save(state)
        traffic.route(attempt, {state.live: 100} if state.live else {}, state)


def end_warm(attempt: Attempt, state: State) -> None:
    """Stop the release that is kept warm, drained; going back to it starts it from disk."""
    if state.warm is None:
        return
    rest = _give_way(attempt, state.warm, state)
    with attempt.fenced() as transaction:
        attempt.session.target.stop(state.warm, attempt.lease.token)
        transaction.save(rest)


def _give_way(attempt: Attempt, colour: Colour, state: State) -> State:
    """Make a warm release no longer a fallback: nothing new reaches it, and what it serves may finish."""
    rest = state.with_slot(colour, None)
    traffic.route(attempt, {state.live: 100} if state.live else {}, rest)
    traffic.drain(attempt, colour, state)
    return rest


def revive(attempt: Attempt, state: State) -> str:
    """Bring up what is recorded as live and give it all traffic; return why it does not serve, if so."""
    colour, target = state.live, attempt.session.target
    if colour is None:
        return "no release is live"
    release = state.release_of(colour)
    try:
        with attempt.step("revive", colour=str(colour)):
            state = running(attempt, colour, state)
            if state.warm is not None and not target.state(state.warm).running:
                with attempt.fenced() as transaction:
                    # A supervisor that has just come up may be about to start it; going back to it
                    # starts it from disk.
                    target.stop(state.warm, attempt.lease.token)
                    state = state.with_slot(state.warm, None)
                    transaction.save(state)
            traffic.route(attempt, {colour: 100}, state)
            readiness.await_ready(attempt.session, release, colour)
            readiness.verify_soon(attempt.session, release)
        workers.assign(attempt, colour)
    except KickoffError as error:
        if error.code is ExitCode.LOCK_HELD:
            raise
        return str(error)
    return ""


def running(attempt: Attempt, colour: Colour, state: State) -> State:
    """Start the release that ``colour`` holds unless it runs; return the state with where it listens.

    Raises:
        KickoffError: The release is not kept here (exit 4).
    """
    target = attempt.session.target
    if target.state(colour).running:
        return state
    folder = attempt.store.release_folder(state.release_of(colour))
    if not describe(folder):
        raise KickoffError(f"{folder.name} is not kept here any more", code=ExitCode.UNREACHABLE)
    target.install(folder)
    with attempt.fenced() as transaction:
        state = state.with_slot(colour, target.start(colour, folder, attempt.lease.token))
        transaction.save(state)
    return state
