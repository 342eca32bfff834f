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
            try:
                records.append(json.loads(line))
            except ValueError:
                raise KickoffError(
                    f"the journal is damaged at line {number}",
                    code=ExitCode.UNREACHABLE,
                    at=f"{self.path}:{number}",
                    hint="restore the file from a backup, or move it away: `status` shows what runs",
                ) from None
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
        finished: Outcome, or empty while the attempt is open.
        proved_by: The release that proved it, and where; empty where no proof was needed or there was none.
        unproven_reason: Why the release was staged without the proof it needs; empty otherwise.
        data: Everything the opening record carried.
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
    finished: str = ""
    proved_by: str = ""
    unproven_reason: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def shifting(self) -> bool:
        """Public traffic began to move."""
        return bool(self.shifted_at)

    @property
    def token(self) -> int:
        """The fencing token of the attempt."""
        return int(self.id.split("-")[0])


def fold(records: list[dict[str, Any]]) -> list[Attempt]:
    """Rebuild the attempts, oldest first."""
    attempts: dict[str, Attempt] = {}
    for record in records:
        identity = record.get("attempt", "")
        if record["event"] == "opened":
            attempts[identity] = Attempt(id=identity, kind=record["kind"], data=record)
        attempt = attempts.get(identity)
        if attempt is None:
            continue
        match record["event"]:
            case "planned":
                attempt.release, attempt.colour = record["release"], record["colour"]
                attempt.previous, attempt.warm_start = record["previous"], record["warm_start"]
            case "done" if record["step"] == "ready":
                attempt.staged = True
            case "done" if record["step"] == "shift":
                attempt.shifted = True
            case "intent" if record["step"] == "shift":
                attempt.shifted_at = attempt.shifted_at or record["at"]
            case "failed" if record["step"] in ("judge", "bake"):
                attempt.condemned = True
            case "intent" if record["step"] == "restore":
                attempt.condemned = True
            case "check":
                attempt.checks[record["check"]] = record["verdict"]
            case "proved" | "unproven":
                attempt.proved_by, attempt.unproven_reason = record.get("by", ""), record.get("reason", "")
            case "finished":
                attempt.finished = record["outcome"]
    return list(attempts.values())
