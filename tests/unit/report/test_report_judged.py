"""By which other rules a release was judged: in every form of the report, and nothing where they are the same."""

from typing import Any

import pytest

from kickoff.judging import Comparison
from kickoff.report import comment, judged, page, summary
from kickoff.report.language import using
from kickoff.report.outcome import decide
from kickoff.report.run import Run
from kickoff.report.terminal import closing_block
from tests.unit.report import cases

STRICT = {"BAKE_TIME": "60s", "PROBE_RATE": "20", "check perf-baseline": "demanded", "smoke a": "GET /: 200"}
LOOSE = {"BAKE_TIME": "1s", "PROBE_RATE": "30"}
TITLE = f"judged by other rules than {cases.OLD}, 3 weaker, 1 stricter"


def run_with(comparison: Comparison, **more: Any) -> Run:
    """Return a good release whose evidence holds this comparison."""
    stage = cases.staged()
    stage.facts["judged_by"] = {"version": 1, "rules": LOOSE, **comparison.to_document(), **more}
    parts = (stage, cases.smoked(), cases.measured(), cases.promoted(), cases.smoked_live())
    return cases.run_of(*cases.before(), *parts)


LOOSENED = run_with(Comparison.of(cases.OLD, STRICT, LOOSE))


def test_the_block_names_the_first_of_them() -> None:
    lines = closing_block(decide(LOOSENED).to_document()).splitlines()
    assert (
        f"  rules     {TITLE}: BAKE_TIME: 60s → 1s (weaker); check perf-baseline: demanded → none (weaker); "
        "smoke a: GET /: 200 → none (weaker); 1 more"
    ) in lines
    assert decide(LOOSENED).to_document()["judged"].startswith(TITLE)


@pytest.mark.parametrize("room", [summary.LIMIT, comment.LIMIT])
def test_summary_and_comment_have_all_of_them_before_the_long_tables(room: int) -> None:
    text = summary.render(LOOSENED, decide(LOOSENED), room)
    assert f"### {summary.text(TITLE[0].upper() + TITLE[1:])}" in text
    assert "| **weaker** | BAKE&#95;TIME | 60s | 1s |" in text
    assert "| stricter | PROBE&#95;RATE | 20 | 30 |" in text
    assert text.index("BAKE&#95;TIME") < text.index("### Gates")
    assert "PROBE&#95;RATE" in comment.render(LOOSENED, decide(LOOSENED))


def test_the_page_has_a_section_of_them() -> None:
    text = page.render(LOOSENED, decide(LOOSENED))
    assert "Judging rules" in text
    assert "check perf-baseline</td>" in text
    assert TITLE in text


def test_they_are_told_in_the_readers_language() -> None:
    with using("zh_CN"):
        text = closing_block(decide(LOOSENED).to_document())
    (row,) = (one for one in text.splitlines() if "BAKE_TIME" in one)
    for said in (f"评判规则与 {cases.OLD} 不同", "3 更宽松", "1 更严格", "60s → 1s", "要求通过 → 无"):
        assert said in row


@pytest.mark.parametrize(
    "run",
    [
        cases.released(),
        cases.unchanged(),
        run_with(Comparison.of(cases.OLD, LOOSE, LOOSE)),
        run_with(Comparison.of("", None, LOOSE)),
    ],
    ids=["older evidence", "unchanged", "the same rules", "a first release"],
)
def test_there_is_nothing_to_say(run: Run) -> None:
    assert judged.read(run.of("staging").get("stage")) is None
    assert "  rules " not in closing_block(decide(run).to_document())
    assert "Judging rules" not in page.render(run, decide(run))


def test_what_is_not_recorded_is_said() -> None:
    run = run_with(Comparison.of(cases.OLD, None, LOOSE))
    said = f"not compared with the rules of {cases.OLD}: not recorded"
    assert f"  rules     {said}" in closing_block(decide(run).to_document())
    assert said[1:] in summary.render(run, decide(run))
    assert said in page.render(run, decide(run))


def test_names_that_mean_something_elsewhere_mean_nothing_here() -> None:
    run = run_with(Comparison.of(cases.OLD, {f"smoke {cases.HOSTILE}": "a"}, {}))
    for text in (page.render(run, decide(run)), summary.render(run, decide(run))):
        assert "<script>alert" not in text
    assert "\x1b" not in closing_block(decide(run).to_document())
