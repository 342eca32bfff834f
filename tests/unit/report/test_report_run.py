"""Reading what a run left behind: one bad file neither hides the rest nor goes unnoticed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kickoff.errors import KickoffError
from kickoff.report.messages import clean, duration, line, milliseconds, moment, number
from kickoff.report.run import Plan, collect, read_plan
from tests.unit.report import cases


def test_evidence_is_found_in_depth_oldest_first_and_nothing_else_is(tmp_path: Path) -> None:
    run = cases.released()
    for document in run.evidence:
        document.write(tmp_path / f"evidence-{document.stage}")
    (tmp_path / "plan.json").write_text('{"deployments": []}')
    (tmp_path / "proof.staging.json").write_text('{"version": 1, "environment": "staging"}')
    (tmp_path / "list.json").write_text("[1]")
    found, problems = collect(tmp_path)
    assert [d.stage for d in found] == [d.stage for d in run.evidence]
    assert problems == ()


def test_a_broken_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    cases.staged().write(tmp_path)
    (tmp_path / "promote.staging.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "smoke-live.staging.json").write_text('{"stage": "smoke-live", "version": 1, "rules": []}')
    found, problems = collect(tmp_path)
    assert [d.stage for d in found] == ["stage"]
    assert len(problems) == 3
    assert any("promote.staging.json is not JSON" in problem for problem in problems)


def test_what_cannot_be_read_is_named_and_keeps_nobody_from_going_on(tmp_path: Path) -> None:
    cases.staged().write(tmp_path)
    for name in ("folder.json", "plan.json"):
        (tmp_path / name).mkdir()
    found, problems = collect(tmp_path)
    assert [d.stage for d in found] == ["stage"]
    assert problems == (
        "folder.json cannot be read: Is a directory",
        "plan.json cannot be read: Is a directory",
    )
    assert read_plan(tmp_path / "plan.json") == (None, ("the plan cannot be read: Is a directory",))


def test_a_missing_folder_holds_no_evidence(tmp_path: Path) -> None:
    assert collect(tmp_path / "none") == ((), ())


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_of_a_job_that_ran_twice_the_later_evidence_counts(tmp_path: Path, order: tuple[str, str]) -> None:
    early = cases.smoked(summary="first")
    late = replace(early, summary="second", finished=cases.at(500))
    early.write(tmp_path / order[0])
    late.write(tmp_path / order[1])
    found, _ = collect(tmp_path)
    assert [d.summary for d in found] == ["second"]


def test_a_plan_is_read(tmp_path: Path) -> None:
    cases.write(cases.released(), tmp_path)
    plan, problems = read_plan(tmp_path / "plan.json")
    assert plan == cases.plan("staging")
    assert problems == ()


def test_no_plan_asked_for_is_no_problem() -> None:
    assert read_plan(None) == (None, ())


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        "{}",
        '{"deployments": "staging"}',
        '{"deployments": [1]}',
        '{"deployments": [], "jobs": {"a": {}}}',
        '{"deployments": [""]}',
    ],
)
def test_a_plan_that_cannot_be_used_is_a_problem(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    plan, problems = read_plan(path)
    assert plan is None
    assert len(problems) == 1


def test_a_plan_keeps_one_line_of_clean_text() -> None:
    plan = Plan.from_document({"deployments": ["a", "a"], "ref": "x\n\x1b[31my", "jobs": {"j\n": "success"}})
    assert (plan.deployments, plan.ref, dict(plan.jobs)) == (("a",), "x y", {"j": "success"})
    with pytest.raises(KickoffError):
        Plan.from_document({"deployments": None})


def test_clean_text_has_no_terminal_sequences_and_reads_as_written() -> None:
    assert clean("a\x1b[31mb\x1b]8;;http://x\x07c\x1b]0;t\x1b\\d\r\ne\tf\x00g\u202eh") == "abcd\ne\tfgh"
    assert line("  a \n b  ") == "a b"
    assert line("x" * 400, 10) == "x" * 9 + "…"
    assert line(True) == "yes"
    assert line(None) == ""
    json.dumps(line("\ud800x")).encode()


def test_numbers_and_times_as_people_read_them() -> None:
    assert [duration(s) for s in (-1, 0.04, 6, 9.96, 59.6, 192, 3720)] == [
        "0 s",
        "0.0 s",
        "6.0 s",
        "10 s",
        "1m 00s",
        "3m 12s",
        "1h 02m",
    ]
    assert [milliseconds(v) for v in (1.234, 12.34, 1234.5)] == ["1.23 ms", "12.3 ms", "1,234 ms"]
    assert [number(v) for v in (1, 2.5, True, "3", None, float("nan"), 10**400)] == [
        1.0,
        2.5,
        None,
        None,
        None,
        None,
        None,
    ]
    found = moment("2026-11-24T14:00:00")
    assert found == moment("2026-11-24T15:00:00+01:00")
    assert moment("2026-99-99T00:00:00") is None
