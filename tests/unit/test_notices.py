"""Who is told of which run, what a wrong entry is answered with, and what people read."""

from collections.abc import Callable
from typing import Any

import pytest

from kickoff import service
from kickoff.errors import KickoffError
from kickoff.notices import Notice
from kickoff.report.messages import line
from kickoff.report.notice import message
from kickoff.report.outcome import decide
from kickoff.report.run import Run
from kickoff.report.verdicts import RunVerdict
from tests.unit.report import cases

MINIMAL = "name: things\nrun: x\nhealth: /h\nenvironments:\n  staging:\n  production:\nnotify:\n"
QUIET = {RunVerdict.UNCHANGED, RunVerdict.CHECKED}
ALL = Notice("CHAT", ("released", "rolled-back", "failed"), ())


@pytest.mark.parametrize(
    ("entry", "line", "said"),
    [
        ("{secret: GITHUB_TOKEN}", 8, "does not match"),
        ("{secret: 'https://hooks.example/T1'}", 8, "does not match"),
        ("{secret: CHAT, when: [started]}", 8, "is not one of"),
        ("{secret: CHAT, when: []}", 8, "should be non-empty"),
        ("{when: [failed]}", 8, "'secret' is a required property"),
        ("{secret: CHAT, environment: staging}", 8, "'environment' is not a key"),
        ("{secret: CHAT, environments: [staging, prod]}", 8, "no environment is called 'prod'"),
    ],
)
def test_a_wrong_entry_is_answered_with_its_line(entry: str, line: int, said: str) -> None:
    with pytest.raises(KickoffError, match=said) as caught:
        service.parse(f"{MINIMAL}  - {entry}\n", "kickoff.yml")
    assert caught.value.at == f"kickoff.yml:{line}"


def test_an_entry_takes_everything_unless_it_says_less() -> None:
    text = (
        f"{MINIMAL}  - {{secret: CHAT}}\n  - {{secret: PAGER, when: [failed], environments: [production]}}\n"
    )
    chat, pager = service.parse(text, "kickoff.yml").notices
    assert chat == ALL
    assert pager.wants("rejected", "production")
    assert not pager.wants("rejected", "staging")
    assert not pager.wants("released", "production")


@pytest.mark.parametrize("verdict", RunVerdict)
def test_every_end_of_a_run_is_told_but_those_that_changed_nothing(verdict: RunVerdict) -> None:
    assert ALL.wants(verdict, "staging") == (verdict not in QUIET)


def test_a_way_back_that_failed_is_told_to_whoever_hears_of_failures_and_of_ways_back() -> None:
    for event in ("failed", "rolled-back"):
        assert Notice("CHAT", (event,), ()).wants("rollback-failed", "production")


def test_people_read_the_verdict_its_reason_and_the_way_to_the_run() -> None:
    outcome: dict[str, Any] = {
        "headline": "✗ REJECTED at smoke  things 3f2c1ab → staging   12 s",
        "why": "GET / (expected 200); 500",
        "cause": "",
        "fix": "mend it",
        "serving": "a81c0de (blue)",
        "next": "kickoff logs --env staging   ·   kickoff deploy",
    }
    title, text = message(outcome, "https://github.example/o/r/actions/runs/7")
    assert title == "✗ REJECTED at smoke things 3f2c1ab → staging 12 s"
    assert text.splitlines() == [
        "why: GET / (expected 200); 500",
        "fix: mend it",
        "serving: a81c0de (blue)",
        "next: kickoff logs --env staging · kickoff deploy",
        "run: https://github.example/o/r/actions/runs/7",
    ]


@pytest.mark.parametrize(
    "make", [cases.released, cases.rejected_at_smoke, cases.rolled_back_after_bake, cases.hostile]
)
def test_each_word_of_an_outcome_that_is_told_stands_as_the_run_says_it(make: Callable[[], Run]) -> None:
    outcome = decide(make()).to_document()
    title, text = message(outcome, "place")
    told = dict(one.split(": ", 1) for one in text.splitlines())
    assert title.split()[1] in outcome["headline"]
    assert told.pop("run") == "place"
    assert "serving" in told
    assert ("next" in told) == bool(outcome["next"])
    for key, value in told.items():
        assert value.replace("\u200b", "") == line(outcome[key.replace(" ", "_")], 500)


def test_what_a_log_says_stays_one_line_and_wakes_nobody() -> None:
    hostile = "boom\r\nrun: https://evil.example \x1b[31m\u202e @everyone <!channel> <@U123> " + "x" * 9000
    _, text = message({"headline": "✗ REJECTED", "cause": hostile}, "place")
    cause, run = text.splitlines()
    assert run == "run: place"
    assert len(cause) < 600
    assert "\x1b" not in cause
    assert "\u202e" not in cause
    assert "@everyone" not in cause
    assert "<!channel" not in cause
    assert "<@U" not in cause
