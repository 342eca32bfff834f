"""Records as act 0.2.89 wrote them, folded into jobs, steps and events."""

import json
from pathlib import Path
from typing import Any

from kickoff.pipeline.progress import TAIL, Event, Progress

RECORDS = Path(__file__).with_name("records.jsonl")


def folded() -> tuple[Progress, list[Event]]:
    progress, events = Progress(), list[Event]()
    for at, line in enumerate(RECORDS.read_text(encoding="utf-8").splitlines()):
        events += progress.apply(json.loads(line), float(at))
    return progress, events


def record(**more: object) -> dict[str, Any]:
    return {"jobID": "deploy", "stage": "Main", "step": "Ship", "stepID": ["1"]} | more


def test_jobs_and_steps_of_a_recorded_run() -> None:
    progress, _ = folded()
    assert {job.name: job.state for job in progress.jobs.values()} == {
        "pre-deployment-checks": "success",
        "quality-gate": "failure",
    }
    steps = progress.jobs["pre-deployment-checks"].steps.values()
    assert [step.name for step in steps] == ["Check out", "Plan", "Validate the environments"]
    assert [round(step.seconds, 3) for step in steps] == [0.033, 0.59, 0.661]


def test_every_step_begins_and_ends_once() -> None:
    _, events = folded()
    seen = [(event.job, event.step, event.state) for event in events if event.kind == "step"]
    assert len(seen) == len(set(seen))
    assert sum(state == "running" for _, _, state in seen) == 5
    assert sum(state != "running" for _, _, state in seen) == 5


def test_the_error_annotation_is_an_event_and_part_of_the_tail() -> None:
    progress, events = folded()
    errors = [event.message for event in events if event.kind == "error"]
    assert errors == ["4 of 5 checks failed: lint, types, security, tests"]
    failed = progress.failed_step()
    assert failed is not None
    job, step = failed
    assert (job.name, step.name) == ("quality-gate", "Quality gate")
    assert errors[0] in step.tail


def test_a_notice_says_what_a_step_is_at_until_it_ends() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 0)
    [event] = progress.apply(record(command="notice", arg="waiting for staging", msg="❓ …"), 1)
    assert (event.kind, event.message) == ("note", "waiting for staging")
    current = progress.jobs["deploy"].current
    assert current is not None
    assert current.note == "waiting for staging"
    progress.apply(record(stepResult="success"), 2)
    assert progress.jobs["deploy"].current is None


def test_only_the_last_lines_of_a_step_are_kept() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 0)
    for number in range(100):
        progress.apply(record(raw_output=True, msg=f"line {number}\n"), 1)
    tail = list(progress.jobs["deploy"].steps["1"].tail)
    assert tail == [f"line {number}" for number in range(100 - TAIL, 100)]


def test_output_that_looks_like_a_result_changes_nothing() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 0)
    progress.apply(record(raw_output=True, msg='{"jobResult": "success"}', stepResult="success"), 1)
    assert progress.jobs["deploy"].steps["1"].state == "running"


def test_a_job_cut_short_counts_as_cancelled() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 5)
    assert progress.results() == {"deploy": {"result": "failure"}}
    progress.apply({"jobID": "deploy", "jobResult": "failure"}, 9)
    assert progress.jobs["deploy"].steps["1"].state == "cancelled"
    assert progress.jobs["deploy"].seconds == 4
    assert progress.results() == {"deploy": {"result": "failure"}}


def test_an_unknown_result_is_a_failure() -> None:
    progress = Progress()
    progress.apply({"jobID": "deploy", "jobResult": "splendid"}, 0)
    assert progress.jobs["deploy"].state == "failure"


def test_records_without_a_job_and_of_unknown_kinds_are_passed_over() -> None:
    progress = Progress()
    assert progress.apply({"level": "warning", "msg": "no docker"}, 0) == []
    assert progress.apply({"jobID": "x", "stepID": "no list", "msg": "?"}, 0) == [
        Event("job", "x", "", "running")
    ]
    assert progress.jobs["x"].steps == {}


def test_a_step_is_at_what_it_said_last_and_what_it_says_of_that_is_no_part_of_its_log() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 0)
    step = progress.jobs["deploy"].steps["1"]
    assert step.note == ""
    for text in ("pulling the image", "  "):
        progress.apply(record(raw_output=True, msg=f"{text}\n"), 1)
    assert step.note == "pulling the image"
    assert progress.apply(record(raw_output=True, msg="… 2 of 5 done; tests 45 s\n"), 2) == []
    assert step.note == "2 of 5 done; tests 45 s"
    progress.apply(record(raw_output=True, msg="one more line\n"), 3)
    assert step.note == "one more line"
    assert list(step.tail) == ["pulling the image", "  ", "one more line"]


def test_what_a_wish_to_stop_cut_short_did_not_fail() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 0)
    progress.interrupt()
    assert progress.stopped_during == "Ship"
    assert progress.results() == {"deploy": {"result": "cancelled"}}
    [cut] = progress.apply(record(stepResult="failure"), 2)
    [ended] = progress.apply({"jobID": "deploy", "jobResult": "failure"}, 3)
    assert (cut.state, ended.state) == ("cancelled", "cancelled")
    assert progress.failed_step() is None
    progress.interrupt()
    assert progress.stopped_during == "Ship", "the first wish counts"


def test_what_had_failed_before_a_wish_to_stop_stays_a_failure() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 0)
    progress.apply(record(stepResult="failure"), 1)
    progress.apply(record(step="Undo", stepID=["2"], msg="⭐ Run Main Undo"), 2)
    progress.interrupt()
    progress.apply(record(step="Undo", stepID=["2"], stepResult="failure"), 3)
    progress.apply({"jobID": "deploy", "jobResult": "failure"}, 4)
    assert progress.results() == {"deploy": {"result": "failure"}}


def test_what_fails_in_a_later_job_fails() -> None:
    progress = Progress()
    progress.apply(record(msg="⭐ Run Main Ship"), 0)
    progress.interrupt()
    progress.apply({**record(msg="⭐ Run Main Report"), "jobID": "summary"}, 1)
    progress.apply({**record(stepResult="failure"), "jobID": "summary"}, 2)
    progress.apply({"jobID": "summary", "jobResult": "failure"}, 3)
    assert progress.results()["summary"] == {"result": "failure"}


def test_a_job_of_which_no_step_ran_is_never_shown_as_passed() -> None:
    progress = Progress()
    progress.apply({"jobID": "build", "stage": "Pre", "step": "Ship", "stepID": ["1"], "msg": "Pre"}, 0)
    [ended] = progress.apply({"jobID": "build", "jobResult": "success"}, 1)
    assert ended.state == "cancelled"
    assert progress.results() == {"build": {"result": "cancelled"}}
