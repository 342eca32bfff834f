"""The journal: every step's intent and completion, on disk before and after it happens.

Attempts are folded from it. It holds what is open and the newest attempt that finished; older ones are in the
archive beside it, so that a look-up costs the same whatever the age.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import now, write_atomic
from kickoff.release.progress import Progress, fold
from kickoff.release.stores import Observer, lines


class Journal:
    """An append-only file of JSON lines, and the archive of the attempts that finished.

    Args:
        path: The file; created by the first append.
        observer: Called after each record is on disk (progress display, rehearsals).
    """

    def __init__(self, path: Path, observer: Observer | None = None) -> None:
        self.path = path
        self.archive = path.with_name(f"{path.stem}.archive{path.suffix}")
        self.observer = observer

    def read(self) -> list[dict[str, Any]]:
        """Return the complete records, oldest first.

        Raises:
            KickoffError: A line other than a torn last one is damaged.
        """
        records = []
        for number, line in enumerate(lines.read(self.path), 1):
            record = _parsed(line)
            if record is None or not {"at", "event"} <= record.keys():
                raise KickoffError(
                    f"the journal is damaged at line {number}",
                    code=ExitCode.UNREACHABLE,
                    at=f"{self.path}:{number}",
                    hint="restore the file from a backup, or move it away: "
                    "`kickoff status --env NAME` shows what runs",
                )
            records.append(record)
        return records

    def append(self, **record: Any) -> None:  # noqa: ANN401 - records are open JSON objects
        """Add one record durably; call it where no other process writes."""
        record = {"at": now(), **record}
        lines.append(self.path, _line(record))
        if self.observer is not None:
            self.observer(record)

    def attempts(self) -> list[Progress]:
        """Return the attempts that are not archived, oldest first."""
        return fold(self.read())

    def attempt(self, identity: str) -> Progress | None:
        """Return an attempt, however old; ``None`` when there is none."""
        found = next((one for one in self.attempts() if one.id == identity), None)
        return found or next(iter(fold(self._archived(identity))), None)

    def archive_finished(self) -> None:
        """Move all but the open attempts and the newest finished one to the archive; call inside the fence.

        A crash loses and doubles nothing: an attempt is in the archive before it leaves the journal, and what
        is already there is not written again.
        """
        records = self.read()
        attempts = fold(records)
        kept = {attempt.id for attempt in attempts if not attempt.finished}
        kept.update(attempt.id for attempt in [one for one in attempts if one.finished][-1:])
        leaving: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            if (identity := record.get("attempt", "")) not in kept:
                leaving.setdefault(identity, []).append(record)
        if not leaving:
            return
        archived = self._newest_archived(leaving)
        new = [(identity, own) for identity, own in leaving.items() if (identity, len(own)) not in archived]
        if new:
            entries = (_line({"attempt": identity, "records": own}) for identity, own in new)
            lines.append(self.archive, b"\n".join(entries))
        remaining = [_line(record).decode() for record in records if record.get("attempt", "") in kept]
        write_atomic(self.path, "".join(f"{line}\n" for line in remaining), mode=0o600)

    def _archived(self, identity: str) -> list[dict[str, Any]]:
        """Return the archived records of an attempt; the search goes back as far as where it was opened."""
        found: list[dict[str, Any]] = []
        for document in self._archive():
            if document["attempt"] == identity:
                found[:0] = document["records"]
                if found[0]["event"] == "opened":
                    break
        return found

    def _newest_archived(self, leaving: dict[str, list[dict[str, Any]]]) -> set[tuple[str, int]]:
        """Return what an interrupted move has archived of ``leaving``: the newest of the archive."""
        found: set[tuple[str, int]] = set()
        for document in self._archive():
            if len(leaving.get(document["attempt"], ())) != len(document["records"]):
                break
            found.add((document["attempt"], len(document["records"])))
        return found

    def _archive(self) -> Iterator[dict[str, Any]]:
        """Yield what is archived, newest first.

        Raises:
            KickoffError: A line is damaged.
        """
        for line in lines.newest_first(self.archive):
            document = _parsed(line)
            if document is None or not {"attempt", "records"} <= document.keys():
                raise KickoffError(
                    "the archive of the journal is damaged",
                    code=ExitCode.UNREACHABLE,
                    at=str(self.archive),
                    hint="restore the file from a backup, or move it away: it holds finished attempts only",
                )
            yield document


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line; ``None`` when it is not one."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
