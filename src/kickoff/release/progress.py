"""Progress of an attempt, folded from the records of its steps. Pure."""

from dataclasses import dataclass, field
from typing import Any

UNCHANGED = "unchanged"
"""The outcome of an attempt that found done what was asked for, and touched nothing."""


@dataclass(slots=True)
class Progress:
    """One attempt at a release or a rollback, as its records tell it.

    Attributes:
        id: ``<fencing token>-<random>``.
        kind: ``release`` or ``rollback``.
        release: Release id of the candidate.
        colour: Slot of the candidate.
        previous: Release id that was live when the attempt began, or empty.
        warm_start: The candidate was the warm colour already (a rollback), so undoing must not stop it.
        checks: Verdict by required check.
        problems: Why one did not pass, by check.
        staged: The candidate is up, ready and answers with the expected release.
        shifted_at: When public traffic began to move, or was about to, ISO 8601; empty before.
        shifted: Public traffic did move.
        condemned: A verdict fell against it, or going back began: it must not become live any more.
        baked_at: When the bake ended with a passing verdict, ISO 8601; empty before.
        live_down: Why the release before did not serve when this one was staged; empty when it did.
        taken_by: Who took the attempt over from the run that was at it; empty for nobody.
        taken_at: When, ISO 8601.
        finished: Outcome, or empty while the attempt is open.
        proved_by: The release that proved it, and where; empty where no proof was needed or there was none.
        judged_by: The record of the rules that judge it; empty for a rollback.
        unproven_reason: Why the release was staged without the proof it needs; empty otherwise.
        freeze_reason: Why it was staged in spite of a freeze; empty where there was none.
        perf_allow_once: By how much it may be slower than live, and why; empty for what rules say.
    """

    id: str
    kind: str
    release: str = ""
    colour: str = ""
    previous: str = ""
    warm_start: bool = False
    checks: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    staged: bool = False
    shifted_at: str = ""
    shifted: bool = False
    condemned: bool = False
    baked_at: str = ""
    live_down: str = ""
    taken_by: str = ""
    taken_at: str = ""
    finished: str = ""
    proved_by: str = ""
    unproven_reason: str = ""
    freeze_reason: str = ""
    perf_allow_once: str = ""
    judged_by: dict[str, Any] = field(default_factory=dict)

    @property
    def shifting(self) -> bool:
        """Public traffic began to move."""
        return bool(self.shifted_at)


def fold(records: list[dict[str, Any]]) -> list[Progress]:
    """Rebuild the attempts, oldest first."""
    attempts: dict[str, Progress] = {}
    for record in records:
        identity = record.get("attempt", "")
        if record["event"] == "opened":
            attempts[identity] = Progress(id=identity, kind=record["kind"])
        attempt = attempts.get(identity)
        if attempt is None:
            continue
        _apply(attempt, record)
    return list(attempts.values())


def _apply(attempt: Progress, record: dict[str, Any]) -> None:
    match record["event"], record.get("step"):
        case "planned", _:
            attempt.release, attempt.colour = record["release"], record["colour"]
            attempt.previous, attempt.warm_start = record["previous"], record["warm_start"]
            attempt.judged_by = record.get("judged_by", {})
        case "check", _:
            attempt.checks[record["check"]] = record["verdict"]
            attempt.problems[record["check"]] = record.get("problem", "")
        case "proved" | "unproven", _:
            attempt.proved_by, attempt.unproven_reason = record.get("by", ""), record.get("reason", "")
        case "frozen", _:
            attempt.freeze_reason = record["reason"]
        case "cost allowed", _:
            attempt.perf_allow_once = record["reason"]
        case "live down", _:
            attempt.live_down = record["reason"]
        case "taken over", _:
            attempt.taken_by, attempt.taken_at = record["by"], record["at"]
        case "finished", _:
            attempt.finished = record["outcome"]
        case _, str(step):
            _apply_step(attempt, record, step)


def _apply_step(attempt: Progress, record: dict[str, Any], step: str) -> None:
    match record["event"], step:
        case "done", "ready":
            attempt.staged = True
        case "intent", "shift":
            attempt.shifted_at = attempt.shifted_at or record["at"]
        case "done", "shift":
            attempt.shifted = True
        case "done", "bake":
            attempt.baked_at = record["at"]
        # An interrupted judge has not spoken; whoever goes on asks again.
        case "failed", "judge" | "bake" if not record.get("interrupted"):
            attempt.condemned = True
        case "intent", "restore":
            attempt.condemned = True
