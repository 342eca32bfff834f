"""The history: what was released, rolled back or refused; append-only and hash-chained.

Each entry carries the hash of the one before, so a changed, removed or reordered line is found. The chain
proves integrity to its reader, not authorship: whoever can write the folder can rewrite all of it.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import now
from kickoff.release.stores import lines

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
        seq: Its place in the history, from 1; 0 before it is there.
    """

    action: str
    outcome: str
    release: str
    previous: str
    at: str
    data: dict[str, Any]
    seq: int = 0


class Chain(ABC):
    """Entries that are chained, wherever they are kept."""

    @abstractmethod
    def _read(self) -> list[bytes]:
        """Return the lines of the entries, oldest first."""

    @abstractmethod
    def _read_newest(self) -> Iterator[bytes]:
        """Yield the lines, newest first, reading no more than is asked for."""

    @abstractmethod
    def _place(self, number: int) -> str:
        """Return where the entry ``number`` is, for people."""

    def following(
        self, action: str, outcome: str, release: str, previous: str, data: dict[str, Any]
    ) -> tuple[int, bytes]:
        """Return number and line of an entry that follows the newest one."""
        last = next(self._newest_first(), None)
        number = last["seq"] + 1 if last else 1
        body = {
            "seq": number,
            "at": now(),
            "action": action,
            "outcome": outcome,
            "release": release,
            "previous": previous,
            "data": data,
            "parent": last["hash"] if last else GENESIS,
        }
        text = json.dumps(body | {"hash": _hash(body)}, ensure_ascii=False, separators=(",", ":"))
        return number, text.encode()

    def newest_first(self) -> Iterator[Entry]:
        """Yield the entries, newest first, reading no more of them than is asked for.

        Raises:
            KickoffError: A line on the way is not an entry (exit code 1).
        """
        yield from map(_entry, self._newest_first())

    def entries(self) -> list[Entry]:
        """Return the entries, oldest first.

        Raises:
            KickoffError: A line is not an entry (exit code 1).
        """
        return [_entry(document) for document in self._documents()]

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
        return [self._document(line, number) for number, line in enumerate(self._read(), 1)]

    def _newest_first(self) -> Iterator[dict[str, Any]]:
        for age, line in enumerate(self._read_newest()):
            yield self._document(line, -age)

    def _document(self, line: bytes, number: int) -> dict[str, Any]:
        """Return the document of a line; ``number`` counts from 1, or from 0 down for the newest ones."""
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not document.keys() >= _KEYS:
            raise self._tampered(number if number > 0 else len(self._read()) + number)
        return document

    def _tampered(self, number: int) -> KickoffError:
        return KickoffError(
            f"the history was tampered with at entry {number}",
            code=ExitCode.REJECTED,
            at=self._place(number),
            hint="compare with a backup; entries before this one are intact",
        )


class History(Chain):
    """The file ``releases.jsonl``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, action: str, outcome: str, release: str, previous: str, **data: Any) -> None:  # noqa: ANN401
        """Add an entry durably; call inside the fence."""
        lines.append(self.path, self.following(action, outcome, release, previous, data)[1])

    def _read(self) -> list[bytes]:
        # A torn last line was never acknowledged, and the next resume writes it again.
        return lines.read(self.path)

    def _read_newest(self) -> Iterator[bytes]:
        return lines.newest_first(self.path)

    def _place(self, number: int) -> str:
        return f"{self.path}:{number}"


def _entry(document: dict[str, Any]) -> Entry:
    return Entry(**{field.name: document[field.name] for field in fields(Entry)})


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
