"""The history: what was released, rolled back or refused; append-only and hash-chained.

Each entry carries the hash of the one before, so a changed, removed or reordered line is found. The chain
proves integrity to its reader, not authorship: whoever can write the folder can rewrite all of it.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import now
from kickoff.release.journal import cut_torn_line, write_fully

GENESIS = "0" * 64
_KEYS = {"seq", "at", "action", "outcome", "release", "previous", "data", "parent", "hash"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history.

    Attributes:
        action: ``release``, ``rollback``, ``auto-rollback``, ``abort`` or ``unlock``.
        outcome: ``live``, ``undone``, ``rejected``, ``failed`` or ``recorded``.
        release: The release concerned.
        previous: Who was live before.
        at: When it ended, ISO 8601 UTC.
        data: Facts of the release, commit and attempt times, owner, reason.
    """

    action: str
    outcome: str
    release: str
    previous: str
    at: str
    data: dict[str, Any]


class History:
    """The file ``releases.jsonl``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, action: str, outcome: str, release: str, previous: str, **data: Any) -> None:  # noqa: ANN401
        """Add an entry durably; call inside the fence."""
        documents = self._documents()
        body = {
            "seq": len(documents) + 1,
            "at": now(),
            "action": action,
            "outcome": outcome,
            "release": release,
            "previous": previous,
            "data": data,
            "parent": documents[-1]["hash"] if documents else GENESIS,
        }
        text = json.dumps(body | {"hash": _hash(body)}, ensure_ascii=False, separators=(",", ":"))
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            cut_torn_line(descriptor)
            write_fully(descriptor, text.encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def entries(self) -> list[Entry]:
        """Return the entries, oldest first.

        Raises:
            KickoffError: A line is not an entry (exit code 1).
        """
        return [
            Entry(d["action"], d["outcome"], d["release"], d["previous"], d["at"], d["data"])
            for d in self._documents()
        ]

    def verify(self) -> int:
        """Check the chain and return the number of entries.

        Raises:
            KickoffError: A line was changed, removed or reordered; names it (exit code 1).
        """
        parent = GENESIS
        documents = self._documents()
        for number, document in enumerate(documents, 1):
            recorded = document.pop("hash")
            if document["parent"] != parent or document["seq"] != number or recorded != _hash(document):
                raise self._tampered(number)
            parent = recorded
        return len(documents)

    def _documents(self) -> list[dict[str, Any]]:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return []
        documents = []
        # What follows the last newline was torn by a crash: the entry was never acknowledged, and the next
        # resume writes it again. Only a writer cuts it off: here it may be a line that is being written.
        for number, line in enumerate(raw.split(b"\n")[:-1], 1):
            try:
                document = json.loads(line)
            except ValueError:
                raise self._tampered(number) from None
            if not isinstance(document, dict) or not document.keys() >= _KEYS:
                raise self._tampered(number)
            documents.append(document)
        return documents

    def _tampered(self, number: int) -> KickoffError:
        return KickoffError(
            f"the history was tampered with at entry {number}",
            code=ExitCode.REJECTED,
            at=f"{self.path}:{number}",
            hint="compare with a backup; entries before this one are intact",
        )


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
