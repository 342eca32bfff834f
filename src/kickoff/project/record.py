"""The record of what was generated: by which version, from which answers, and the text of each file then."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.project import answers as answering
from kickoff.project.answers import Answers

FILE = Path(".kickoff-project.json")
_NOTE = "Written by kickoff, to be committed: `kickoff upgrade` compares with it, so that your changes stay."


@dataclass(frozen=True, slots=True)
class Record:
    """What was generated last.

    Attributes:
        version: The version of Kickoff that did it.
        answers: The answers it was made from.
        files: Each file's text as rendered, by path: what people changed since is no part of it.
    """

    version: str
    answers: Answers
    files: Mapping[str, str]

    def to_text(self) -> str:
        """Return the record as it is kept: one line of JSON for each line of a file, for a readable diff."""
        document = {
            "note": _NOTE,
            "version": self.version,
            "answers": self.answers.to_document(),
            "files": {
                path: {"sha256": _hash(text), "lines": text.split("\n")}
                for path, text in sorted(self.files.items())
            },
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def write(self, root: Path) -> None:
        """Keep the record in the project at ``root``."""
        write_atomic(root / FILE, self.to_text())


def read(root: Path) -> Record | None:
    """Return the record of the project at ``root``; ``None`` when nothing was generated there.

    Raises:
        KickoffError: It is damaged, so that nobody can tell which lines are people's (exit 2).
    """
    try:
        text = (root / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(str(error)) from None
    try:
        document = json.loads(text)
        files = {path: "\n".join(one["lines"]) for path, one in document["files"].items()}
        wrong = [path for path, one in document["files"].items() if _hash(files[path]) != one["sha256"]]
        record = Record(document["version"], answering.parse(document["answers"]), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from None
    if wrong:
        raise _damaged(f"the lines of {wrong[0]} are not those of their hash")
    return record


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _damaged(why: str) -> KickoffError:
    return KickoffError(
        f"{FILE} cannot be used: {why}",
        at=str(FILE),
        hint=f"git checkout HEAD -- {FILE}",
    )
