"""The closing block on a terminal."""

import pytest

from kickoff.report.outcome import decide
from kickoff.report.terminal import LOG_LINES, closing_block
from tests.unit.report import cases


def test_the_block_of_a_release() -> None:
    block = closing_block(decide(cases.released(), ".kickoff/report/report.html").to_document())
    assert block.splitlines() == [
        f"✓ RELEASED  shop {cases.NEW} → staging   2m 34s",
        f"  serving   {cases.NEW} (green) 100%   previous {cases.OLD} kept for rollback",
        "  address   http://127.0.0.1:8100",
        "  checks    p95 25.8 ms (limit 1000 ms)   errors 0.00% (0 of 2405) (limit 1%)",
        "  report    .kickoff/report/report.html",
        "  undo      kickoff rollback --env staging",
    ]


def test_the_block_of_a_rejection_ends_with_the_log_and_what_to_do() -> None:
    lines = closing_block(decide(cases.rejected_at_smoke(), "r.html").to_document()).splitlines()
    assert lines[0] == f"✗ REJECTED at smoke-candidate  shop {cases.NEW} → staging   57 s"
    assert lines[1].startswith("  why       POST /predictions: 500")
    assert lines[2] == f"  serving   {cases.OLD} (blue) 100%"
    assert lines[3] == "  users     no request reached the candidate"
    assert lines[4] == "  logs      last 19 lines of smoke-candidate:"
    assert lines[-3] == "            KeyError: 'ratings'"
    assert (
        lines[-1]
        == "  next      kickoff logs --env staging --process candidate   ·   kickoff deploy --env staging"
    )


def test_the_block_of_a_rollback() -> None:
    lines = closing_block(decide(cases.rolled_back_after_bake()).to_document()).splitlines()
    assert lines[0].startswith(f"↶ ROLLED BACK  staging {cases.NEW} → {cases.OLD}")
    assert "  verified  probes answered by 9d0e77c after rolling back: 10 of 10" in lines


def test_the_log_is_limited_to_its_last_lines() -> None:
    block = closing_block({"headline": "x", "verdict": "rejected", "log_tail": [str(i) for i in range(99)]})
    assert block.splitlines()[1] == f"  logs      last {LOG_LINES} lines:"
    assert block.splitlines()[-1].strip() == "98"
    assert len(block.splitlines()) == LOG_LINES + 2


def test_nothing_in_the_block_speaks_to_the_terminal() -> None:
    block = closing_block(decide(cases.hostile()).to_document())
    assert not any(ord(character) < 32 and character != "\n" for character in block)
    assert "\u202e" not in block
    raw = closing_block(
        {"headline": "a\nb\x1b[2J", "why": "c\x1b]0;t\x07d", "log_tail": ["e\nf\x08"], "verdict": "x"}
    )
    assert raw.splitlines() == ["a b", "  why       cd", "  logs      last line:", "            e f"]


@pytest.mark.parametrize("outcome", [{}, {"log_tail": "text"}, {"next": None, "headline": 5}])
def test_an_odd_outcome_still_gives_a_block(outcome: dict[str, object]) -> None:
    assert closing_block(outcome)
