"""The verbs that look: what people read of a status, a log and the history, and what older entries lack."""

import io
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff.cli import output
from kickoff.cli.run import look, past
from kickoff.errors import KickoffError
from kickoff.release.model import Colour, Slot, State
from kickoff.release.session import Session
from kickoff.release.stores import open_store
from tests.repository import Repository
from tests.unit.cli.test_output import check

OLD, NEW = "1111111-aaaaaaaa", "2222222-bbbbbbbb"
Record = Callable[..., None]


class Terminal(io.StringIO):
    """A standard output that is a terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def session(tmp_path: Path) -> Session:
    store = open_store(tmp_path / "state")
    named = SimpleNamespace(name="staging")
    return cast(
        "Session", SimpleNamespace(store=store, service=SimpleNamespace(name="shop"), environment=named)
    )


@pytest.fixture
def record(session: Session) -> Record:
    def record(action: str, outcome: str, release: str, previous: str = "", **data: Any) -> None:
        with session.store.exclusive() as transaction:
            transaction.record(action, outcome, release, previous, **data)

    return record


def asked(**more: object) -> Namespace:
    return Namespace(**{"verify": False, "limit": 0} | more)


@pytest.fixture
def three(record: Record) -> None:
    """A release of an older version of Kickoff, a refused one and a rollback."""
    record("release", "live", OLD, attempt="1-a", by="ada@host")
    record(
        "abort", "undone", NEW, OLD, attempt="2-b", reason="smoke-candidate: GET /prices: 500 (200)",
        by="https://github.example/o/r/actions/runs/7", actor="grace", subject="Break the prices",
        run="https://github.example/o/r/actions/runs/7", checks={"smoke-candidate": "fail"}, commit="2" * 40,
    )  # fmt: skip
    record("rollback", "live", OLD, NEW, by="ada@host", actor="ada", reason="wrong price " * 20)


def test_each_entry_says_what_by_whom_and_why_the_newest_last(
    session: Session, three: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert past.history(session, asked()) == 0
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head == "shop in staging, times in UTC, the newest last"
    assert first.endswith(f"  released      {OLD}   by ada@host")
    assert rest[0].endswith(f"  refused       {NEW}   by grace")
    assert [line.strip() for line in rest[1:4]] == [
        "Break the prices",
        "smoke-candidate: GET /prices: 500 (200)",
        "run https://github.example/o/r/actions/runs/7",
    ]
    assert rest[4].endswith(f"  went back to  {OLD}   by ada")
    assert session.store.history.verify() == 3


def test_it_fits_the_terminal(session: Session, three: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", Terminal())
        past.history(session, asked())
        said = cast("Terminal", sys.stdout).getvalue()
    assert all(len(line) <= 80 for line in said.splitlines())
    assert said.count("wrong price") == 20


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"stage": "abort", "checks": {"smoke-candidate": "fail"}}, "refused"),
        ({"stage": "abort", "checks": {"smoke-candidate": "pass"}}, "aborted"),
        ({"stage": "stage"}, "refused"),
        ({"stage": "promote", "checks": {"smoke-candidate": "pass"}}, "refused"),
        ({"stage": "rollback"}, "not gone back"),
        ({}, "aborted"),
    ],
)
def test_only_what_a_gate_stopped_was_refused(
    session: Session, record: Record, data: dict[str, Any], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record("abort", "undone", NEW, OLD, **data)
    past.history(session, asked())
    assert f"  {word:<13} {NEW}" in capsys.readouterr().out


def test_a_limit_takes_the_newest_and_says_how_many_are_before(
    session: Session, three: None, capsys: pytest.CaptureFixture[str]
) -> None:
    past.history(session, asked(limit=1))
    head, entry, *_ = capsys.readouterr().out.splitlines()
    assert head.endswith("; 2 before these: --limit 3")
    assert "went back to" in entry


def test_the_document_has_every_field_of_every_entry(
    session: Session, three: None, capsys: pytest.CaptureFixture[str]
) -> None:
    output.configure(Namespace(json=True))
    try:
        past.history(session, asked())
    finally:
        output.configure(Namespace())
    entries = check("history", capsys.readouterr().out)["entries"]
    assert [entry["actor"] for entry in entries] == ["ada@host", "grace", "ada"]
    assert [entry["checks"] for entry in entries] == [{}, {"smoke-candidate": "fail"}, {}]
    assert entries[1]["subject"] == "Break the prices"


def test_a_run_on_github_that_an_older_version_took_for_a_person_is_a_run(
    session: Session, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    record("release", "live", OLD, by="https://github.example/o/r/actions/runs/3")
    past.history(session, asked())
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{session.store.history.entries()[0].at[:16].replace('T', ' ')}  released      {OLD}",
        " " * 18 + "run https://github.example/o/r/actions/runs/3",
    ]


def test_a_release_is_shown_with_what_it_changed(
    session: Session, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path / "repository")
    repository.write("a.txt", "1")
    old = repository.commit("First")
    repository.write("a.txt", "2")
    repository.write("b.txt", "2")
    new = repository.commit("Change two files")
    record("release", "live", OLD, commit=old)
    record(
        "release", "live", NEW, OLD, commit=new, subject="Change two files", checks={"perf-baseline": "pass"}
    )
    for release, values in ((OLD, {"A": "1", "B": "secret"}), (NEW, {"A": "1", "B": "other"})):
        folder = session.store.release_folder(release)
        folder.mkdir(parents=True)
        facts = {"artifact": f"sha256:{'a' * 64}"}
        (folder / "release.json").write_text(json.dumps({"release": release, "facts": facts}))
        (folder / "environment.json").write_text(json.dumps(values))
    with session.store.exclusive() as transaction:
        transaction.save(State(live=Colour.BLUE, warm=None, slots={Colour.BLUE: Slot(OLD, 1)}))
    monkeypatch.chdir(repository.root)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert past.show(session, Namespace(release="2222")) == 0
    said = cast("Terminal", sys.stdout).getvalue()
    assert f"{NEW}  not live" in said
    assert "Change two files" in said
    assert "pass           perf-baseline" in said
    assert "artifact    aaaaaaaaaaaa\n" in said
    assert "1 commit, 2 changed files" in said
    assert "changed B" in said
    assert "secret" not in said
    with pytest.raises(KickoffError, match="no release begins with 'abc'"):
        past.show(session, Namespace(release="abc"))


SLOT = {"release": NEW, "colour": "green", "process": "RUNNING: pid 12, uptime 0:01:00"}
FACTS = {"artifact": f"sha256:{'1' * 64}", "environment": "2" * 64, "stack": "3" * 64, "schema": "0003"}


def status(**more: object) -> dict[str, Any]:
    known: dict[str, Any] = {
        "service": "shop", "environment": "production", "address": "http://127.0.0.1:8000", "problem": "",
        "stopped": "", "live": SLOT | {"facts": FACTS}, "warm": SLOT | {"release": OLD, "facts": FACTS},
        "weights": {"green": 100}, "edges": {}, "lock": "", "attempt": "", "workers": {},
    }  # fmt: skip
    return known | more


def shown(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, wide: bool = False) -> str:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    return look._sheet(document, False, wide=wide)


def test_a_status_fits_80_columns_and_begins_with_whether_users_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = shown(status(), monkeypatch).splitlines()
    assert rows[0] == "✓ SERVING  shop in production   http://127.0.0.1:8000"
    assert all(len(row) <= 80 for row in rows)
    assert rows[2:4] == [
        f"            artifact    {'1' * 12}   environment {'2' * 12}",
        f"            stack       {'3' * 12}   schema      0003",
    ]
    assert f"            artifact    sha256:{'1' * 64}" in shown(status(), monkeypatch, wide=True)


def test_what_was_stopped_is_said_not_to_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    down = status(problem="no answer (connection refused)", stopped="stopped by ada, 2026-11-26 07:00 UTC")
    rows = shown(down, monkeypatch).splitlines()
    assert rows[0].startswith("✗ NOT SERVING  shop in production")
    why = "stopped by ada, 2026-11-26 07:00 UTC; no answer (connection refused)"
    assert rows[1] == f"  why       {why}"
    assert rows[2].startswith(f"  recorded  {NEW}")
    assert rows[-1] == "  next      kickoff start --env production"
    assert not any(row.startswith("  live") for row in rows)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([], ["a"], ["a"]),
        (["a"], ["a"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
        (["a", "b"], ["c", "d"], ["c", "d"]),
    ],
)
def test_a_log_that_is_followed_repeats_nothing(
    before: list[str], now: list[str], expected: list[str]
) -> None:
    assert look.added(before, now) == expected
