"""Finished attempts leave the journal for the archive: nothing is lost or doubled, wherever a kill falls."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.stores import journal as journals
from kickoff.release.stores import lines
from kickoff.release.stores.journal import Journal


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


def finished(journal: Journal, *identities: str) -> None:
    for identity in identities:
        journal.append(event="opened", attempt=identity, kind="release")
        journal.append(event="done", attempt=identity, step="bake")
        journal.append(event="finished", attempt=identity, outcome="released")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal.jsonl")
    finished(journal, "1-a", "2-b", "3-c")
    journal.append(event="opened", attempt="4-d", kind="release")
    return journal


def everything(journal: Journal) -> Counter[tuple[str, str]]:
    """How often each record is kept, in the journal or in the archive."""
    archived = [json.loads(line) for line in lines.read(journal.archive)]
    records = [record for entry in archived for record in entry["records"]] + journal.read()
    return Counter((record["attempt"], record["event"]) for record in records)


def test_the_journal_keeps_what_is_open_and_the_newest_that_finished(journal: Journal) -> None:
    before = everything(journal)
    journal.archive_finished()
    assert [attempt.id for attempt in journal.attempts()] == ["3-c", "4-d"]
    assert [json.loads(line)["attempt"] for line in lines.read(journal.archive)] == ["1-a", "2-b"]
    assert everything(journal) == before
    assert journal.path.stat().st_mode & 0o777 == journal.archive.stat().st_mode & 0o777 == 0o600


def test_an_archived_attempt_is_found_as_it_was(journal: Journal) -> None:
    before = [journal.attempt(identity) for identity in ("1-a", "2-b", "3-c", "4-d")]
    journal.archive_finished()
    assert [journal.attempt(identity) for identity in ("1-a", "2-b", "3-c", "4-d")] == before
    assert journal.attempt("5-e") is None


def test_with_nothing_to_move_nothing_is_written(journal: Journal) -> None:
    journal.archive_finished()
    before = [(path, path.stat().st_ino, path.read_bytes()) for path in (journal.path, journal.archive)]
    journal.archive_finished()
    assert [(path, path.stat().st_ino, path.read_bytes()) for path, *_ in before] == before


def test_a_record_that_came_late_is_archived_and_belongs_to_its_attempt(journal: Journal) -> None:
    journal.archive_finished()
    journal.append(event="taken over", attempt="2-b", by="ada@host")
    journal.archive_finished()
    assert [attempt.id for attempt in journal.attempts()] == ["3-c", "4-d"]
    found = journal.attempt("2-b")
    assert found is not None
    assert (found.finished, found.taken_by) == ("released", "ada@host")


def before_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(lines, "write_fully", killed)


def at_byte(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    def arm(monkeypatch: pytest.MonkeyPatch) -> None:
        real = lines.write_fully

        def killed(descriptor: int, data: bytes) -> None:
            real(descriptor, data[:number])
            raise Killed

        monkeypatch.setattr(lines, "write_fully", killed)

    return arm


def between_archive_and_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(journals, "write_atomic", killed)


def before_the_journal_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(Path, "replace", killed)


POINTS = {
    "before the archive": before_the_archive,
    **{f"at byte {number} of the archive": at_byte(number) for number in (1, 150, 300, 400, 10_000)},
    "between archive and cut": between_archive_and_cut,
    "before the journal is replaced": before_the_journal_is_replaced,
}


@pytest.mark.parametrize("arm", POINTS.values(), ids=POINTS)
def test_a_kill_loses_and_doubles_nothing(
    journal: Journal, arm: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before = everything(journal)
    attempts = [journal.attempt(identity) for identity in ("1-a", "2-b", "3-c", "4-d")]
    with pytest.MonkeyPatch.context() as monkeypatch:
        arm(monkeypatch)
        with pytest.raises(Killed):
            journal.archive_finished()
    again = Journal(journal.path)
    assert [again.attempt(identity) for identity in ("1-a", "2-b", "3-c", "4-d")] == attempts
    again.append(event="finished", attempt="4-d", outcome="aborted")
    finished(again, "5-e")
    again.archive_finished()
    expected = before + Counter([("4-d", "finished"), *(("5-e", e) for e in ("opened", "done", "finished"))])
    assert everything(again) == expected
    assert [attempt.id for attempt in again.attempts()] == ["5-e"]


def test_a_damaged_archive_is_named_where_it_is_needed(journal: Journal) -> None:
    journal.archive_finished()
    journal.archive.write_bytes(b"[]\n")
    assert [attempt.id for attempt in journal.attempts()] == ["3-c", "4-d"], (
        "what is open is read all the same"
    )
    with pytest.raises(KickoffError, match="archive of the journal is damaged") as caught:
        journal.attempt("1-a")
    assert caught.value.code is ExitCode.UNREACHABLE
