"""The closing block on a terminal."""

import io
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from rich.cells import cell_len

from kickoff.errors import ExitCode
from kickoff.report.outcome import decide
from kickoff.report.run import Run
from kickoff.report.terminal import LOG_LINES, closing_block, coloured, fitted
from kickoff.report.verdicts import RunVerdict, meaning
from tests.unit.report import cases


def test_the_block_of_a_release() -> None:
    block = closing_block(decide(cases.released(), ".kickoff/report/report.html").to_document())
    assert block.splitlines() == [
        f"✓ RELEASED  shop {cases.NEW} → staging   2m 34s",
        f"  serving   {cases.NEW} (green) 100%   previous {cases.OLD} kept for rollback",
        "  address   http://127.0.0.1:8100",
        "  checks    p95 21.8 ms (live 21.2 ms, limit 1,000 ms)   errors 0 of 2,405 (limit 1%)",
        "  report    .kickoff/report/report.html",
        "  undo      kickoff rollback --env staging",
    ]


def test_the_block_of_a_rejection_ends_with_the_log_and_what_to_do() -> None:
    lines = closing_block(decide(cases.rejected_at_smoke(), "r.html").to_document()).splitlines()
    assert lines[0] == f"✗ REJECTED at smoke-candidate  shop {cases.NEW} → staging   57 s"
    assert lines[1].startswith("  why       POST /predictions: 500")
    assert lines[2] == "  cause     KeyError: 'ratings'"
    assert lines[3] == f"  serving   {cases.OLD} (blue) 100%"
    assert lines[4] == "  users     no user met the candidate"
    assert lines[5:8] == [
        "  logs      of smoke-candidate:",
        "            ERROR: Exception in ASGI application",
        "            KeyError: 'ratings'",
    ]
    assert lines[-5:] == [
        "            … 12 more lines: see next",
        "  report    r.html",
        "  next      kickoff logs --env staging --process candidate",
        "            kickoff deploy --env staging",
        "  docs      kickoff explain 1",
    ]


def test_the_block_of_a_rollback() -> None:
    lines = closing_block(decide(cases.rolled_back_after_bake()).to_document()).splitlines()
    assert lines[0].startswith(f"↶ ROLLED BACK  staging {cases.NEW} → {cases.OLD}")
    assert "  verified  probes answered by 9d0e77c after rolling back: 10 of 10" in lines


def test_the_log_is_limited_and_says_where_the_rest_is() -> None:
    log = [str(number) for number in range(99)]
    outcome = {"headline": "x", "verdict": "rejected", "log_tail": log, "log_of": "stage"}
    lines = closing_block(outcome).split("\n")
    assert lines[1:3] == ["  logs      of stage:", "            0"]
    assert lines[-1] == f"            … {99 - LOG_LINES} more lines in the report"
    lines = closing_block(outcome | {"log_last": True, "log_in": "a.log"}).split("\n")
    assert lines[2] == f"            … {99 - LOG_LINES} more lines in a.log"
    assert lines[-1] == "            98"


def test_an_excerpt_that_is_shortened_counts_what_it_had_left_out_itself() -> None:
    log = [*(str(number) for number in range(18)), "… 1,200 more lines; all: kickoff logs --env staging"]
    outcome = {"headline": "x", "verdict": "rejected", "log_tail": log}
    assert closing_block(outcome).split("\n")[-1].strip() == log[-1]
    lines = closing_block(outcome, columns=80, rows=12).split("\n")
    assert len(lines) == 10
    assert lines[-2:] == [
        "            6",
        "            … 1,211 more lines; all: kickoff logs --env staging",
    ]


def test_nothing_in_the_block_speaks_to_the_terminal() -> None:
    block = closing_block(decide(cases.hostile()).to_document())
    assert not any(ord(character) < 32 and character != "\n" for character in block)
    assert "\u202e" not in block
    raw = closing_block(
        {"headline": "a\nb\x1b[2J", "why": "c\x1b]0;t\x07d", "log_tail": ["e\nf\x08"], "verdict": "x"}
    )
    assert raw.splitlines() == ["a b", "  why       cd", "  logs      of the failure:", "            e f"]


@pytest.mark.parametrize("outcome", [{}, {"log_tail": "text"}, {"next": None, "headline": 5}])
def test_an_odd_outcome_still_gives_a_block(outcome: dict[str, object]) -> None:
    assert closing_block(outcome)


LONG = "the upstream 上游服务 answered 502 Bad Gateway to every one of them, and nobody knows why yet; " * 9
LOGS = {
    "none": [],
    "short": ["one line"],
    "many": [f"INFO: request {number} handled" for number in range(200)],
    "long": [LONG * 3, *(f"  File '/app/{'x' * 90}.py', line {number}, in handler" for number in range(40))],
    "wide": ["数据库连接池已耗尽 请稍后再试" * 12] * 40,
    "unbroken": ["x" * 5000],
}


def outcomes() -> Iterator[dict[str, Any]]:
    """Yield the outcome of every way a run can end, with every verdict, exit code and shape of text and log."""
    for name, case in vars(cases).items():
        if getattr(case, "__annotations__", {}).get("return") is Run and name != "run_of":
            yield decide(case(), ".kickoff/runs/20261126-065718-3f2a/report/report.html").to_document()
    command = "kickoff logs --env production --process 4f2c1ab-0a1b2c3d"
    for verdict, code, why, log in product(RunVerdict, ExitCode, ("", LONG), LOGS.values()):
        yield {
            "headline": f"✗ {verdict.word} at smoke-candidate  ein-langer-dienst {cases.NEW} → production   1h 02m",
            "verdict": verdict.value,
            "exit_code": int(code),
            **dict.fromkeys(
                ("why", "cause", "fix", "serving", "live_down", "users", "verified", "measures"), why
            ),
            "serving_release": cases.OLD,
            "serving_asked": True,
            "address": "http://127.0.0.1:8100",
            "log_tail": log,
            "log_of": "deploy-production · Performance baseline: candidate",
            "log": ".kickoff/runs/20261126-065718-3f2a/raw.log",
            "report": "services/ein-langer-dienst/.kickoff/runs/20261126-065718-3f2a/report/report.html",
            "next": f"{command}   ·   kickoff deploy --env production --wait 600",
        }


def test_every_block_is_on_one_screen_with_its_verdict_cause_and_next_command() -> None:
    seen = 0
    for outcome in outcomes():
        block = closing_block(outcome, columns=80, rows=24)
        # Lines that are wider than the screen, which paths and commands may be, take several rows of it.
        rows = sum(max(-(-cell_len(row) // 80), 1) for row in block.split("\n"))
        assert rows <= 22, block  # the command line above it and the prompt below it are on the screen, too
        first, *others = block.split("\n")
        assert outcome["headline"].startswith(first.rstrip("… ")[:70])
        for label in ("why", "next"):
            assert not outcome[label] or any(row.startswith(f"  {label} ") for row in others)
        for command in filter(None, outcome["next"].split("   ·   ")):
            assert sum(row.endswith(f" {command}") for row in others) == 1
        seen += 1
    assert seen > 500


def test_a_log_is_shortened_to_the_rows_that_remain_and_says_by_how_much() -> None:
    outcome = decide(cases.rejected_at_smoke(), "r.html").to_document() | {"log_tail": LOGS["many"]}
    rows = closing_block(outcome, columns=80, rows=24).split("\n")
    assert len(rows) == 22
    shown = [row.strip() for row in rows if "handled" in row]
    assert shown == LOGS["many"][: len(shown)]
    assert f"            … {200 - len(shown)} more lines in the report" in rows


def test_words_are_kept_whole_and_wide_characters_count_twice() -> None:
    outcome = {"headline": "x", "why": "数据库 " * 30, "verdict": "rejected"}
    rows = closing_block(outcome, columns=40, rows=24).split("\n")[1:]
    assert len(rows) > 2
    assert all(cell_len(row) <= 40 for row in rows)
    assert all(row.strip().removeprefix("why").strip().strip("… ").split(" ")[0] == "数据库" for row in rows)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("code", "verdict", "what", "colour"),
    [
        (0, "released", "good", "32"),
        (0, "rolled-back", "good", "32"),
        (1, "rejected", "bad", "31"),
        (2, "invalid", "bad", "31"),
        (3, "inconclusive", "doubtful", "33"),
        (1, "inconclusive", "doubtful", "33"),
        (4, "unreachable", "bad", "31"),
        (5, "rolled-back", "bad", "31"),
        (75, "taken-back", "doubtful", "33"),
        (130, "interrupted", "doubtful", "33"),
        (None, "something new", "bad", "31"),
    ],
)
def test_the_verdict_has_the_colour_of_what_it_means(
    code: int | None, verdict: str, what: str, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    outcome = {"headline": "x", "verdict": verdict, "exit_code": code, "why": "because"}
    assert meaning(verdict, code) == what
    shown = fitted(outcome, _Terminal())
    assert shown.startswith(f"\x1b[1;{colour}mx\x1b[0m\n")
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == closing_block(outcome)


def test_no_colour_where_nobody_sees_it_or_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = {"headline": "x", "verdict": "released", "exit_code": 0}
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" not in fitted(outcome, io.StringIO())
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            assert "\x1b" not in fitted(outcome, _Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in fitted(outcome, _Terminal()) and coloured("a", "bad") == "\x1b[1;31ma\x1b[0m"


def test_a_fix_whose_commands_stand_under_next_is_not_said_twice() -> None:
    outcome = {
        "headline": "x",
        "fix": "`kickoff resume --env a` tries again",
        "next": "kickoff resume --env a",
        "log_tail": ["the route is taken"],
    }
    said = "  fix       `kickoff resume --env a` tries again"
    assert said not in closing_block(outcome).split("\n")
    assert said in closing_block(outcome | {"log_tail": []}).split("\n"), "there is room to say what it does"
    waiting = outcome | {"next": "kickoff status --env a"}
    assert said in closing_block(waiting).split("\n")


def test_of_a_long_exception_the_end_is_shown() -> None:
    frames = [f"  File 'x.py', line {number}" for number in range(14)]
    log = ["Traceback (most recent call last):", *frames, "KeyError: 'ratings'", "INFO later", "INFO last"]
    outcome = {"headline": "x", "verdict": "rejected", "log_tail": log, "cause": "KeyError: 'ratings'"}
    lines = closing_block(outcome, columns=80, rows=12).split("\n")
    assert len(lines) == 10
    assert [row.strip() for row in lines[-3:]] == [
        "File 'x.py', line 13",
        "KeyError: 'ratings'",
        "… 12 more lines in the report",
    ]


@pytest.mark.parametrize(("rows", "told"), [(0, True), (24, True), (9, False)])
def test_what_the_exit_code_means_is_told_where_a_row_is_left(rows: int, told: bool) -> None:
    outcome = {"headline": "✗ REJECTED", "exit_code": 1, "why": "w " * 300, "next": "a · b", "report": "r"}
    block = closing_block(outcome, columns=80, rows=rows) + "\n"
    assert ("\n  docs      kickoff explain 1\n" in block) is told
    assert "explain" not in closing_block(outcome | {"exit_code": 0}, columns=80, rows=rows)
