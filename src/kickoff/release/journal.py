"""The journal: every step's intent and completion, on disk before and after it happens.

Attempts are folded from it, so a crash loses at most the line being written: a torn last line is ignored
by readers and cut off by the next writer.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import now

Observer = Callable[[dict[str, Any]], None]


class Journal:
    """An append-only file of JSON lines.

    Args:
        path: The file; created by the first append.
        observer: Called after each record is on disk (progress display, rehearsals).
    """

    def __init__(self, path: Path, observer: Observer | None = None) -> None:
        self.path = path
        self.observer = observer

    def read(self) -> list[dict[str, Any]]:
        """Return the complete records, oldest first.

        Raises:
            KickoffError: A line other than a torn last one is damaged.
        """
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return []
        lines = raw.split(b"\n")[:-1]  # what follows the last newline is empty or torn
        records = []
        for number, line in enumerate(lines, 1):
            record = _parsed(line)
            if record is None:
                raise KickoffError(
                    f"the journal is damaged at line {number}",
                    code=ExitCode.UNREACHABLE,
                    at=f"{self.path}:{number}",
                    hint="restore the file from a backup, or move it away: `status` shows what runs",
                )
            records.append(record)
        return records

    def append(self, **record: Any) -> None:  # noqa: ANN401 - records are open JSON objects
        """Add one record durably."""
        record = {"at": now(), **record}
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            cut_torn_line(descriptor)
            write_fully(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if self.observer is not None:
            self.observer(record)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the record in a line; ``None`` when it is not one."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"at", "event"} <= record.keys() else None


def write_fully(descriptor: int, data: bytes) -> None:
    """Write all of ``data``: on a full disk the first write may be short and only the next one fails.

    Raises:
        OSError: The rest could not be written.
    """
    while data:
        data = data[os.write(descriptor, data) :]


def cut_torn_line(descriptor: int) -> None:
    """Remove what follows the last newline: a line that a crash left incomplete."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    block = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, block.rfind(b"\n") + 1)


@dataclass(slots=True)
class Attempt:
    """One attempt at a release, folded from the journal.

    Attributes:
        id: ``<fencing token>-<random>``.
        kind: ``release`` or ``rollback``.
        release: Release id of the candidate.
        colour: Slot of the candidate.
        previous: Release id that was live when the attempt began, or empty.
        warm_start: The candidate was the warm colour already (a rollback), so undoing must not stop it.
        checks: Verdict by required check.
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
        unproven_reason: Why the release was staged without the proof it needs; empty otherwise.
    """

    id: str
    kind: str
    release: str = ""
    colour: str = ""
    previous: str = ""
    warm_start: bool = False
    checks: dict[str, str] = field(default_factory=dict)
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

    @property
    def shifting(self) -> bool:
        """Public traffic began to move."""
        return bool(self.shifted_at)


def fold(records: list[dict[str, Any]]) -> list[Attempt]:
    """Rebuild the attempts, oldest first."""
    attempts: dict[str, Attempt] = {}
    for record in records:
        identity = record.get("attempt", "")
        if record["event"] == "opened":
            attempts[identity] = Attempt(id=identity, kind=record["kind"])
        attempt = attempts.get(identity)
        if attempt is None:
            continue
        _apply(attempt, record)
    return list(attempts.values())


def _apply(attempt: Attempt, record: dict[str, Any]) -> None:
    match record["event"], record.get("step"):
        case "planned", _:
            attempt.release, attempt.colour = record["release"], record["colour"]
            attempt.previous, attempt.warm_start = record["previous"], record["warm_start"]
        case "check", _:
            attempt.checks[record["check"]] = record["verdict"]
        case "proved" | "unproven", _:
            attempt.proved_by, attempt.unproven_reason = record.get("by", ""), record.get("reason", "")
        case "live down", _:
            attempt.live_down = record["reason"]
        case "taken over", _:
            attempt.taken_by, attempt.taken_at = record["by"], record["at"]
        case "finished", _:
            attempt.finished = record["outcome"]
        case _, str(step):
            _apply_step(attempt, record, step)


def _apply_step(attempt: Attempt, record: dict[str, Any], step: str) -> None:
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
