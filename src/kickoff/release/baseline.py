"""The live release as a baseline: one that a candidate may be compared with, and go back to, or none."""

from typing import Any

from kickoff.release.attempt import Run
from kickoff.release.model import State


def down(run: Run, state: State) -> dict[str, Any] | None:
    """Return what is known of a live release that fails most requests now; ``None`` when it does not."""
    if state.live is None:
        return None
    answers = run.session.answers(state.live)
    if not answers.down:
        return None
    process = run.session.target.state(state.live)
    return {
        "release": state.release_of(state.live),
        "since": stopped_at(run),
        "reason": answers.problem if process.running else f"its process does not run ({process.detail})",
        "started_again": False,
    }


def stopped_at(run: Run) -> str:
    """Return when the live release was stopped on request, ISO 8601; empty when it was not."""
    last = next(run.store.history.newest_first(), None)
    return last.at if last and last.action == "stop" else ""
