"""The workers of a release: its processes that serve no requests. One colour's run, and those of no other."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kickoff.errors import KickoffError
from kickoff.evidence import RuleResult, Verdict
from kickoff.release.attempt import Attempt, Rejected
from kickoff.release.model import Colour
from kickoff.release.session import Session
from kickoff.release.targets import worker_of

_POLL_SECONDS = 0.2
_STEADY_SECONDS = 1.0
"""How long a worker must have stayed up; not every target waits that long before it calls it running."""


def assign(attempt: Attempt, colour: Colour | None) -> None:
    """Run the workers of the release in ``colour`` and nobody else's, as a step of the attempt.

    All others have ended before the first is started, so none runs twice. Where it is so already, and where
    no release has workers, nothing is done.

    Args:
        attempt: The attempt.
        colour: The colour that has all traffic; ``None`` for nobody's workers.

    Raises:
        Rejected: One does not stay up, or its health command fails, within ``READY_TIMEOUT``.
    """
    session, target = attempt.session, attempt.session.target
    others = [one for one in Colour if one is not colour and target.workers(one)]
    wanted, idle = session.workers(colour), session.idle_workers(colour)
    if not (others or idle):
        return
    with attempt.step("workers", colour=str(colour or "")):
        with attempt.fenced():
            for other in others:
                target.stop_workers(other, attempt.lease.token)
            if idle and colour:
                target.start_workers(colour, _folder(session, colour), attempt.lease.token)
        if colour and wanted:
            _await_up(session, colour, wanted)
            attempt.renew()


def _folder(session: Session, colour: Colour) -> Path:
    return session.store.release_folder(session.store.state().release_of(colour))


def _await_up(session: Session, colour: Colour, wanted: Mapping[str, Any]) -> None:
    """Wait until every worker has stayed up for a second and its health command, if any, has passed."""
    limit = session.environment.seconds("READY_TIMEOUT")
    began = time.monotonic()
    waiting = list(wanted)
    while waiting:
        name = waiting[0]
        state = session.target.workers(colour).get(name)
        if state is None or not (state.running or "STARTING" in state.detail):
            why = f"the process ended ({state.detail})" if state else "it was not started"
            raise _refused(session, colour, name, why)
        elapsed = time.monotonic() - began
        starting = elapsed < _STEADY_SECONDS or "STARTING" in state.detail
        problem = "it is starting" if starting else _ill(session, colour, wanted[name])
        if not problem:
            waiting.pop(0)
        elif elapsed > limit:
            raise _refused(session, colour, name, f"not well within {limit:g} s: {problem}")
        else:
            time.sleep(_POLL_SECONDS)


def _ill(session: Session, colour: Colour, worker: Mapping[str, Any]) -> str:
    """Return why a worker's health command fails; empty when it passes, or when there is none."""
    if not worker["health"]:
        return ""
    seconds = session.environment.seconds("READY_TIMEOUT")
    try:
        session.target.run_hook(_folder(session, colour), tuple(worker["health"]), seconds)
    except KickoffError as error:
        return str(error)
    return ""


def _refused(session: Session, colour: Colour, name: str, why: str) -> Rejected:
    rule = RuleResult("release.workers", f"worker {name} runs", Verdict.FAIL, "down", "up", 1, why)
    return Rejected(
        f"worker {name} on {colour} is not up: {why}",
        rules=[rule],
        log_tail=session.record_of_log(worker_of(colour, name)),
    )
