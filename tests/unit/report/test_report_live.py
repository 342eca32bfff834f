"""What a report says of the live release: who answers now, and that it was down."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kickoff.evidence import Evidence
from kickoff.report import load_page, page, summary
from kickoff.report.outcome import decide
from kickoff.report.run import Run
from kickoff.report.serving import live_down
from kickoff.report.terminal import closing_block
from tests.unit.report import cases

DOWN = {"release": cases.OLD, "since": cases.at(120), "reason": "connection refused", "started_again": False}
SAID = "was down since 14:02 UTC (connection refused): absolute rules decide"


def changed(run: Run, stage: str, **facts: Any) -> Run:
    """Return ``run`` with other facts in one stage; ``None`` takes a fact out."""

    def other(document: Evidence) -> Evidence:
        if document.stage != stage:
            return document
        found = {key: value for key, value in (document.facts | facts).items() if value is not None}
        return replace(document, facts=found)

    return replace(run, evidence=tuple(map(other, run.evidence)))


def shown(run: Run) -> tuple[str, str, str]:
    outcome = decide(run, "report.html")
    return closing_block(outcome.to_document()), summary.render(run, outcome), page.render(run, outcome)


@pytest.mark.parametrize(
    ("answers", "row", "sentence"),
    [
        ("yes", f"  serving   {cases.NEW} (green) 100%   previous", "Serving now to everybody: **"),
        ("", f"  live      {cases.NEW} (green), recorded as live   previous", "Live: **"),
        ("no", f"  live      {cases.NEW} (green) does not answer   previous", "Live: **"),
        ("status 502", f"  live      {cases.NEW} (green) does not serve: status 502   previous", "Live: **"),
    ],
)
def test_only_what_answered_just_now_serves(answers: str, row: str, sentence: str) -> None:
    serving = {"release": cases.NEW, "colour": "green", "answers": answers}
    block, text, html = shown(changed(cases.released(), "promote", serving=serving))
    assert row in block
    assert sentence in text
    assert ("Serving now" in html) is ("serving" in row)


def test_what_the_stage_saw_at_its_begin_is_a_record() -> None:
    run = cases.run_of(*cases.before(), cases.staged())
    assert str(decide(run).serving) == f"{cases.OLD}, recorded as live"


@pytest.mark.parametrize("stage", ["stage", "promote", "perf-baseline"])
def test_every_form_says_that_live_was_down_and_since_when(stage: str) -> None:
    block, text, html = shown(changed(cases.released(), stage, live_down=DOWN))
    assert f"  live      {SAID}" in block.splitlines()
    assert f"Live {summary.text(SAID)}." in text
    assert f"Live {SAID}" in html


def test_nothing_is_said_of_a_live_release_that_was_up() -> None:
    assert not any("was down" in text.lower() for text in shown(cases.released()))


def perf(**more: Any) -> Evidence:
    return cases.measured(compared=False, facts={"endpoints": [], "generator": {}, **more})


def test_the_page_of_a_load_test_says_it_too() -> None:
    html = load_page.render(perf(live_down=DOWN))
    assert f"Nothing was compared: live {SAID}." in html
    assert "Live was down." in html
    assert "was down" not in load_page.render(perf())


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            [{"since": "2026-11-23T09:05:00+00:00"}],
            "was down since 2026-11-23 09:05 UTC: absolute rules decide",
        ),
        ([{"since": "", "reason": "status 502"}], "was down (status 502): absolute rules decide"),
        ([{"since": "yesterday", "reason": None}], "was down: absolute rules decide"),
        ([{"reason": "refused", "started_again": True}], "was down (refused): started again"),
        (
            [{"since": cases.at(0), "reason": "refused", "started_again": True}, {"reason": "hangs"}],
            "was down since 14:00 UTC (hangs): absolute rules decide",
        ),
        (["yes"], ""),
        ([None], ""),
    ],
)
def test_in_words(facts: list[object], said: str) -> None:
    assert live_down([cases.stage("stage", 0, 1, facts={"live_down": fact}) for fact in facts]) == said


@pytest.mark.parametrize("make", [cases.first_release, cases.unchanged, cases.rejected_at_smoke])
def test_no_value_is_not_shown_as_a_word(make: Callable[[], Run]) -> None:
    rows = [{"name": "GET /x", "arm": "candidate", "requests": None, "failures": None, "p50_ms": None}]
    run = changed(make(), "perf-baseline", endpoints=rows)
    assert not any("None" in text for text in shown(run))
