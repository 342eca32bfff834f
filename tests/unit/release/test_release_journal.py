"""The journal: durable records, torn and damaged lines, and the attempts folded from it."""

import os
from pathlib import Path
from typing import Any

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.progress import fold
from kickoff.release.stores.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def test_a_missing_journal_is_empty(journal: Journal) -> None:
    assert journal.read() == []


def test_records_come_back_in_order_and_the_observer_sees_them_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: list[tuple[str, int]] = []

    def observer(record: dict[str, Any]) -> None:
        seen.append((record["event"], len(Journal(path).read())))

    journal = Journal(path, observer)
    journal.append(event="one", text="line\nbreak \u2028 and ü")
    journal.append(event="two")
    assert [record["event"] for record in journal.read()] == ["one", "two"]
    assert journal.read()[0]["text"] == "line\nbreak \u2028 and ü"
    assert seen == [("one", 1), ("two", 2)]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", [b'{"event":"tw', b"{", '{"event":"ü'.encode()[:-1]])
def test_a_torn_last_line_is_ignored_and_cut_by_the_next_writer(journal: Journal, torn: bytes) -> None:
    journal.append(event="one")
    with journal.path.open("ab") as stream:
        stream.write(torn)
    assert [record["event"] for record in journal.read()] == ["one"]
    assert journal.path.read_bytes().endswith(torn), "a reader changes nothing"
    journal.append(event="three")
    assert [record["event"] for record in journal.read()] == ["one", "three"]


def test_a_journal_that_is_one_torn_line_starts_again(journal: Journal) -> None:
    journal.path.write_bytes(b'{"event":')
    assert journal.read() == []
    journal.append(event="one")
    assert [record["event"] for record in journal.read()] == ["one"]


@pytest.mark.parametrize("damage", [b"garbage", b"", b"\xff\xfe"])
def test_a_damaged_middle_line_is_named(journal: Journal, damage: bytes) -> None:
    for name in ("one", "two", "three"):
        journal.append(event=name)
    lines = journal.path.read_bytes().split(b"\n")
    lines[1] = damage
    journal.path.write_bytes(b"\n".join(lines))
    with pytest.raises(KickoffError, match="line 2") as caught:
        journal.read()
    assert caught.value.code is ExitCode.UNREACHABLE
    assert caught.value.at == f"{journal.path}:2"


def test_a_short_write_is_continued(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    journal.append(event="a record longer than one write")
    monkeypatch.undo()
    assert [record["event"] for record in journal.read()] == ["a record longer than one write"]


def test_fold_follows_an_attempt_from_opening_to_end() -> None:
    records: list[dict[str, Any]] = [
        {"event": "opened", "attempt": "7-aa", "kind": "release", "owner": "me"},
        {"event": "planned", "attempt": "7-aa", "release": "r2", "colour": "green", "previous": "r1",
         "warm_start": False},
        {"event": "intent", "attempt": "7-aa", "step": "ready"},
        {"event": "done", "attempt": "7-aa", "step": "ready"},
        {"event": "check", "attempt": "7-aa", "check": "smoke-candidate", "verdict": "fail"},
        {"event": "check", "attempt": "7-aa", "check": "smoke-candidate", "verdict": "pass"},
    ]  # fmt: skip
    [attempt] = fold(records)
    assert (attempt.kind, attempt.release, attempt.colour) == ("release", "r2", "green")
    assert attempt.staged
    assert not attempt.shifting
    assert attempt.checks == {"smoke-candidate": "pass"}, "the newest verdict counts"
    assert attempt.finished == ""
    assert attempt.unproven_reason == ""
    records.append({"event": "unproven", "attempt": "7-aa", "reason": "in a hurry"})
    assert fold(records)[0].unproven_reason == "in a hurry"
    records.append({"event": "intent", "attempt": "7-aa", "step": "shift", "at": "12:00"})
    [attempt] = fold(records)
    assert attempt.shifting
    assert not attempt.shifted
    records.append({"event": "done", "attempt": "7-aa", "step": "shift"})
    records.append({"event": "intent", "attempt": "7-aa", "step": "shift", "at": "12:01"})
    records.append({"event": "finished", "attempt": "7-aa", "outcome": "released"})
    [attempt] = fold(records)
    assert attempt.shifting
    assert attempt.shifted
    assert attempt.shifted_at == "12:00", "users met the candidate at the first step"
    assert attempt.finished == "released"


@pytest.mark.parametrize(("event", "step"), [("failed", "bake"), ("failed", "judge"), ("intent", "restore")])
def test_a_verdict_against_an_attempt_stays(event: str, step: str) -> None:
    opened = {"event": "opened", "attempt": "1-a", "kind": "release"}
    [attempt] = fold([opened, {"event": "done", "attempt": "1-a", "step": step, "at": "12:00"}])
    assert not attempt.condemned
    [attempt] = fold([opened, {"event": event, "attempt": "1-a", "step": step}])
    assert attempt.condemned


@pytest.mark.parametrize("step", ["bake", "judge"])
def test_an_interruption_is_no_verdict(step: str) -> None:
    opened = {"event": "opened", "attempt": "1-a", "kind": "release"}
    [attempt] = fold([opened, {"event": "failed", "attempt": "1-a", "step": step, "interrupted": True}])
    assert not attempt.condemned
    assert attempt.baked_at == ""


def test_only_a_bake_that_ended_well_is_a_passed_bake() -> None:
    opened = {"event": "opened", "attempt": "1-a", "kind": "release"}
    intent = {"event": "intent", "attempt": "1-a", "step": "bake"}
    done = {"event": "done", "attempt": "1-a", "step": "bake", "at": "12:00"}
    assert [fold(records)[0].baked_at for records in ([opened, intent], [opened, intent, done])] == [
        "",
        "12:00",
    ]


def test_who_took_an_attempt_over_is_known_from_the_journal() -> None:
    opened = {"event": "opened", "attempt": "1-a", "kind": "release"}
    taken = {"event": "taken over", "attempt": "1-a", "by": "ada@host", "at": "12:00"}
    [attempt] = fold([opened, taken])
    assert (attempt.taken_by, attempt.taken_at) == ("ada@host", "12:00")


def test_an_intent_alone_is_not_a_completion() -> None:
    [attempt] = fold(
        [
            {"event": "opened", "attempt": "1-a", "kind": "release"},
            {"event": "intent", "attempt": "1-a", "step": "ready"},
            {"event": "failed", "attempt": "1-a", "step": "ready"},
        ]
    )
    assert not attempt.staged


def test_fold_keeps_attempts_apart_and_ignores_records_of_none() -> None:
    first, second = fold(
        [
            {"event": "finished", "attempt": "unknown", "outcome": "released"},
            {"event": "opened", "attempt": "1-a", "kind": "release"},
            {"event": "opened", "attempt": "2-b", "kind": "rollback"},
            {"event": "finished", "attempt": "1-a", "outcome": "aborted"},
        ]
    )
    assert (first.id, first.finished) == ("1-a", "aborted")
    assert (second.id, second.kind, second.finished) == ("2-b", "rollback", "")
