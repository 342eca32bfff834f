"""The history's hash chain."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.stores.history import GENESIS, History


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "releases.jsonl")
    for number in range(1, 5):
        history.append("release", "live", f"r{number}", f"r{number - 1}", attempt=f"{number}-a")
    return history


def test_an_empty_history_is_intact(tmp_path: Path) -> None:
    history = History(tmp_path / "releases.jsonl")
    assert history.verify() == 0
    assert history.entries() == []


def test_entries_come_back_in_order_and_the_chain_starts_at_genesis(history: History) -> None:
    assert history.verify() == 4
    assert [entry.release for entry in history.entries()] == ["r1", "r2", "r3", "r4"]
    assert history.entries()[0].data == {"attempt": "1-a"}
    assert json.loads(history.path.read_text().splitlines()[0])["parent"] == GENESIS


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"r2"', b'"rX"'), *lines[2:]]


def changed_with_its_own_hash_missing(lines: list[bytes]) -> list[bytes]:
    document = json.loads(lines[1])
    del document["hash"]
    return [lines[0], json.dumps(document).encode(), *lines[2:]]


def removed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def reordered(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], lines[3]]


def repeated(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[0], *lines[1:]]


def not_json(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"\xff garbage", *lines[2:]]


def not_an_object(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"[]", *lines[2:]]


@pytest.mark.parametrize(
    "tamper",
    [changed, changed_with_its_own_hash_missing, removed, reordered, repeated, not_json, not_an_object],
)
def test_tampering_is_found_and_named(history: History, tamper: Callable[[list[bytes]], list[bytes]]) -> None:
    lines = history.path.read_bytes().splitlines()
    history.path.write_bytes(b"\n".join(tamper(lines)) + b"\n")
    with pytest.raises(KickoffError, match="entry 2") as caught:
        history.verify()
    assert caught.value.code is ExitCode.REJECTED
    assert caught.value.at == f"{history.path}:2"


def test_a_first_entry_removed_is_found(history: History) -> None:
    history.path.write_bytes(b"".join(history.path.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(KickoffError, match="entry 1"):
        history.verify()


@pytest.mark.parametrize("torn", [b'{"seq":5,"at', '{"reason":"ü'.encode()[:-1]])
def test_a_torn_last_line_is_no_tampering_and_the_next_append_replaces_it(
    history: History, torn: bytes
) -> None:
    with history.path.open("ab") as stream:
        stream.write(torn)
    assert history.verify() == 4
    assert len(history.entries()) == 4
    assert history.path.read_bytes().endswith(torn), "a reader may be looking at a line being written"
    history.append("rollback", "live", "r3", "r4")
    assert history.verify() == 5
    assert history.entries()[-1].action == "rollback"


def test_a_reason_with_unusual_line_separators_stays_one_entry(history: History) -> None:
    reason = "a\u2028b\u2029c\x85d\r\ne"
    history.append("abort", "undone", "r5", "r4", reason=reason)
    history.append("release", "live", "r6", "r4")
    assert history.verify() == 6
    assert history.entries()[4].data == {"reason": reason}


def test_newest_first_is_the_reverse_and_names_the_line_that_is_damaged(history: History) -> None:
    assert list(history.newest_first()) == history.entries()[::-1]
    lines = history.path.read_bytes().splitlines()
    history.path.write_bytes(b"\n".join(not_json(lines)) + b"\n")
    found = history.newest_first()
    assert [next(found).release, next(found).release] == ["r4", "r3"]
    with pytest.raises(KickoffError, match="entry 2"):
        next(found)
    history.append("release", "live", "r5", "r4")
    assert next(history.newest_first()).release == "r5", "an old damage does not stop an emergency"
