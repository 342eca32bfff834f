"""Each composite action, executed by act in host mode: success, failure, hostile input, from elsewhere."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.actions.conftest import Project, Run

HOSTILE = "x\"; touch pwned; $(touch pwned) `touch pwned` '; touch pwned #\n::error::pwned\n--force"
DIGEST = "sha256:" + "0" * 64


def outputs(run: Run) -> dict[str, Any]:
    """Return the outputs the workflow printed."""
    match = re.search(r"OUTPUTS (\{.*?\}|null)\n", run.log, re.DOTALL)
    assert match, run.log[-3000:]
    found: dict[str, Any] = json.loads(match[1]) or {}
    return found


def call(
    project: Project,
    action: str,
    inputs: dict[str, str],
    *,
    job_env: dict[str, str] | None = None,
    faults: dict[str, Any] | None = None,
) -> Run:
    """Run one action in the project."""
    project.use(f"./actions/{action}", inputs, job_env)
    return project.act("use.yml", faults=faults)


def test_quality_gate_passes_and_leaves_evidence(project: Project) -> None:
    run = call(project, "quality-gate", {})
    assert run.status == 0, run.log[-3000:]
    assert outputs(run) == {"verdict": "pass"}
    evidence = json.loads((project.evidence / "quality-gate.json").read_text())
    assert [rule["rule"] for rule in evidence["rules"]] == ["files"]


def test_quality_gate_fails_with_the_log(project: Project) -> None:
    text = (project.root / "kickoff.yml").read_text()
    project.write("kickoff.yml", text.replace("- test\n", "- cat\n").replace("- -f\n", "- missing\n"))
    run = call(project, "quality-gate", {})
    assert run.status == 1
    assert outputs(run) == {"verdict": "fail"}
    evidence = json.loads((project.evidence / "quality-gate.json").read_text())
    assert any("missing" in line for line in evidence["log_tail"])


def test_quality_gate_checks_the_commit_that_is_shipped(project: Project) -> None:
    first = project.git("rev-parse", "HEAD").strip()
    (project.root / "app/main.py").unlink()
    project.commit()
    assert call(project, "quality-gate", {}).status == 1
    assert call(project, "quality-gate", {"commit": first}).status == 0


@pytest.mark.parametrize("name", ["commit", "requirements"])
def test_quality_gate_takes_hostile_input_as_text(project: Project, name: str) -> None:
    assert_refused(project, call(project, "quality-gate", {name: HOSTILE}))


def test_build_push_builds_once(project: Project) -> None:
    first = outputs(call(project, "build-push", {}))
    second = outputs(call(project, "build-push", {}))
    assert first["created"] == "true"
    assert second["created"] == "false"
    assert first["digest"] == second["digest"]
    assert Path(first["path"]).is_file()
    assert first["commit"] == project.git("rev-parse", "HEAD").strip()


def test_build_push_names_the_path_a_commit_lacks(project: Project) -> None:
    text = (project.root / "kickoff.yml").read_text()
    project.write("kickoff.yml", text.replace("bundle:\n- app", "bundle:\n- nowhere"))
    run = call(project, "build-push", {})
    assert run.status == 1
    assert "does not hold nowhere" in run.log
    assert not list(project.artifacts.glob("*"))


def test_build_push_takes_hostile_input_as_text(project: Project) -> None:
    assert_refused(project, call(project, "build-push", {"commit": HOSTILE}))


def test_build_push_works_from_another_repository(make_project: Callable[[str], Project]) -> None:
    published, caller = make_project("published"), make_project("caller")
    published.add_pipeline()
    published.write("kickoff.yml", "name: not-the-callers\n")
    published.commit()
    caller.use("someone/kickoff/actions/build-push@v1", {})
    caller.commit()
    run = caller.act("use.yml", more=("--local-repository", f"someone/kickoff@v1={published.root}"))
    assert run.status == 0, run.log[-3000:]
    assert outputs(run)["commit"] == caller.git("rev-parse", "HEAD").strip()


def back(to: str = "", failed: str = "", reason: str = "", unproven: str = "") -> list[str]:
    given = (f"--to={to}", f"--failed={failed}", f"--reason={reason}", f"--unproven-reason={unproven}")
    return ["rollback", "--env=staging", *given]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (
            {"phase": "stage", "artifact-digest": DIGEST, "commit": "abc", "artifact-directory": "a b"},
            [
                "stage",
                "--env=staging",
                f"--artifact-digest={DIGEST}",
                "--commit=abc",
                "--wait=0",
                "--unproven-reason=",
                "--freeze-reason=",
                "--perf-allow-once=",
                "--artifact-directory=a b",
            ],
        ),
        ({"phase": "promote", "attempt": "a1"}, ["promote", "--env=staging", "--attempt=a1"]),
        (
            {"phase": "abort", "attempt": "a1", "reason": "two words"},
            ["abort", "--env=staging", "--attempt=a1", "--reason=two words"],
        ),
        ({"phase": "watch", "release": "r1"}, ["watch", "--env=staging", "--release=r1"]),
        ({"phase": "rollback"}, back()),
        ({"phase": "rollback", "release": "r1"}, back(to="r1")),
        ({"phase": "rollback", "failed-release": "r2", "reason": "x y"}, back(failed="r2", reason="x y")),
        (
            {"phase": "rollback", "release": "r1", "force": "true", "reason": "x", "unproven-reason": "y"},
            [*back(to="r1", reason="x", unproven="y"), "--force"],
        ),
    ],
    ids=lambda value: value.get("phase") if isinstance(value, dict) else "",
)
def test_deploy_runs_the_phase(project: Project, inputs: dict[str, str], expected: list[str]) -> None:
    run = call(
        project, "deploy", {"environment": "staging", **inputs}, job_env={"RUNNER_TRACKING_ID": "github_1"}
    )
    assert run.status == 0, run.log[-3000:]
    assert [[made["name"], *made["arguments"]] for made in run.calls] == [expected]
    assert run.calls[0]["tracked"] is False


def test_deploy_passes_the_outputs_on(project: Project) -> None:
    run = call(project, "deploy", {"environment": "staging", "phase": "stage"})
    assert outputs(run) == {
        "attempt": "attempt-1",
        "candidate-url": "http://127.0.0.1:1",
        "changed": "true",
        "live-release": "",
        "release": "abc1234-00000000",
        "url": "",
    }
    assert f"--artifact-directory={project.artifacts}" in run.calls[0]["arguments"]


def test_deploy_fails_with_its_script_and_keeps_the_attempt(project: Project) -> None:
    run = call(
        project,
        "deploy",
        {"environment": "staging", "phase": "stage"},
        faults={"stage": {"exit": 1}},
    )
    assert run.status == 1
    assert outputs(run)["attempt"] == "attempt-1"


@pytest.mark.parametrize("phase", ["", "unlock", "--help", HOSTILE])
def test_deploy_knows_its_phases_only(project: Project, phase: str) -> None:
    run = call(project, "deploy", {"environment": "staging", "phase": phase})
    assert run.status == 1
    assert run.calls == []
    assert not list(project.root.rglob("pwned"))


@pytest.mark.parametrize(
    "name",
    [
        *("artifact-digest", "commit", "environment", "freeze-reason", "perf-allow-once"),
        *("unproven-reason", "wait-seconds"),
    ],
)
def test_deploy_takes_hostile_input_as_one_argument(project: Project, name: str) -> None:
    run = call(project, "deploy", {"environment": "staging", "phase": "stage", name: HOSTILE})
    option = {"environment": "env", "wait-seconds": "wait"}.get(name, name)
    assert f"--{option}={HOSTILE}" in run.calls[0]["arguments"]
    assert len(run.calls[0]["arguments"]) == 8
    assert not list(project.root.rglob("pwned"))


def test_smoke_test_passes_inputs_and_verdict_on(project: Project) -> None:
    run = call(project, "smoke-test", {"environment": "staging", "phase": "candidate", "attempt": "a1"})
    assert run.calls[0]["arguments"] == ["--env=staging", "--phase=candidate", "--attempt=a1"]
    assert outputs(run) == {"verdict": "pass"}


def test_smoke_test_of_live_needs_no_attempt(project: Project) -> None:
    run = call(project, "smoke-test", {"environment": "staging", "phase": "live"})
    assert run.calls[0]["arguments"] == ["--env=staging", "--phase=live"]


def test_smoke_test_fails_with_its_script(project: Project) -> None:
    faults = {"smoke live": {"exit": 3, "outputs": {"verdict": "inconclusive"}}}
    run = call(project, "smoke-test", {"environment": "staging", "phase": "live"}, faults=faults)
    assert run.status == 1
    assert outputs(run) == {"verdict": "inconclusive"}


@pytest.mark.parametrize("name", ["attempt", "environment", "phase"])
def test_smoke_test_takes_hostile_input_as_one_argument(project: Project, name: str) -> None:
    inputs = {"environment": "staging", "phase": "live", "attempt": "a1", name: HOSTILE}
    run = call(project, "smoke-test", inputs)
    assert f"--{name.replace('environment', 'env')}={HOSTILE}" in run.calls[0]["arguments"]
    assert not list(project.root.rglob("pwned"))


def test_functional_test_passes_inputs_and_verdict_on(project: Project) -> None:
    inputs = {"environment": "staging", "attempt": "a1", "commit": "abc", "requirements": "lock.txt"}
    run = call(project, "functional-test", inputs)
    assert run.calls[0]["arguments"] == [
        "--env=staging",
        "--attempt=a1",
        "--commit=abc",
        "--requirements=lock.txt",
    ]
    assert outputs(run) == {"verdict": "pass"}


def test_functional_test_fails_with_its_script(project: Project) -> None:
    faults = {"functional": {"exit": 1, "outputs": {"verdict": "fail"}}}
    run = call(project, "functional-test", {"environment": "staging", "attempt": "a1"}, faults=faults)
    assert run.status == 1
    assert outputs(run) == {"verdict": "fail"}


@pytest.mark.parametrize("name", ["attempt", "commit", "environment", "requirements"])
def test_functional_test_takes_hostile_input_as_one_argument(project: Project, name: str) -> None:
    run = call(project, "functional-test", {"environment": "staging", "attempt": "a1", name: HOSTILE})
    assert f"--{name.replace('environment', 'env')}={HOSTILE}" in run.calls[0]["arguments"]
    assert not list(project.root.rglob("pwned"))


def test_perf_baseline_passes_inputs_and_verdict_on(project: Project) -> None:
    run = call(project, "perf-baseline", {"environment": "staging", "attempt": "a1"})
    assert run.calls[0]["arguments"] == ["--candidate", "--report", "--env=staging", "--attempt=a1"]
    assert outputs(run) == {"verdict": "pass"}


def test_perf_baseline_fails_with_its_script(project: Project) -> None:
    faults = {"perf": {"exit": 1}}
    run = call(project, "perf-baseline", {"environment": "staging", "attempt": "a1"}, faults=faults)
    assert run.status == 1


@pytest.mark.parametrize("name", ["attempt", "environment"])
def test_perf_baseline_takes_hostile_input_as_one_argument(project: Project, name: str) -> None:
    run = call(project, "perf-baseline", {"environment": "staging", "attempt": "a1", name: HOSTILE})
    assert f"--{name.replace('environment', 'env')}={HOSTILE}" in run.calls[0]["arguments"]
    assert not list(project.root.rglob("pwned"))


def plan(project: Project, *deployments: str) -> None:
    """Leave the plan of a run."""
    project.evidence.mkdir()
    document = {
        "deployments": deployments,
        "event": "push",
        "ref": "",
        "commit": "",
        "service": "demo",
        "jobs": {},
    }
    (project.evidence / "plan.json").write_text(json.dumps(document))


def test_report_gets_the_results_and_builds(project: Project) -> None:
    run = call(project, "report", {"jobs": '{"quality-gate": {"result": "success", "outputs": {}}}'})
    assert run.status == 0, run.log[-3000:]
    given = dict(text.removeprefix("--").split("=", 1) for text in run.calls[0]["arguments"])
    assert json.loads(given["jobs"])["quality-gate"]["result"] == "success"
    assert (given["evidence"], given["output"]) == ("", "")
    assert given["summary"]
    assert outputs(run) == {"path": "report.html", "verdict": "pass"}


@pytest.mark.parametrize("jobs", [HOSTILE, '["a"]', '{"a": "b"}'])
def test_the_real_report_refuses_jobs_that_are_none(project: Project, jobs: str) -> None:
    project.restore("report")
    plan(project)
    run = call(project, "report", {"jobs": jobs})
    assert run.status == 1
    assert "how the jobs ended is not" in run.log
    assert "Traceback" not in run.log
    assert not list(project.root.parent.rglob("pwned"))


def test_report_takes_hostile_folders_as_text(project: Project) -> None:
    plan(project)
    run = call(project, "report", {"output-directory": HOSTILE})
    assert f"--output={HOSTILE}" in run.calls[0]["arguments"]
    assert not list(project.root.rglob("pwned"))


def test_the_real_report_refuses_a_planned_deployment_without_evidence(project: Project) -> None:
    project.restore("report")
    plan(project, "staging")
    run = call(project, "report", {"jobs": '{"deploy-staging": {"result": "success"}}'})
    assert run.status == 1
    assert "staging" in run.log
    assert "Traceback" not in run.log


def assert_refused(project: Project, run: Run) -> None:
    """The run failed with an error for people, and nothing of the input was executed."""
    assert run.status == 1
    assert "error: " in run.log
    assert "Traceback" not in run.log
    assert not list(project.root.parent.rglob("pwned"))
