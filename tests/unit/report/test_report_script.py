"""The script: files, exit codes, step outputs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kickoff.report.run import Run
from tests.runner_log import commands
from tests.unit.report import cases

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "report" / "build_report.py"


def build(
    folder: Path, *arguments: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script as the action does, in a folder that is nobody's project."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "ACT"))}
    command = [
        sys.executable,
        str(SCRIPT),
        "--evidence",
        str(folder / "evidence"),
        "--output",
        str(folder / "out"),
    ]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=plain | (environ or {}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("make", "code", "verdict"),
    [
        (cases.released, 0, "released"),
        (cases.rejected_at_smoke, 1, "rejected"),
        (cases.inconclusive, 3, "inconclusive"),
        (cases.rolled_back_after_bake, 5, "rolled-back"),
        (cases.taken_back_by_the_watch, 5, "rolled-back"),
    ],
)
def test_the_three_files_and_the_exit_code(
    tmp_path: Path, make: Callable[[], Run], code: int, verdict: str
) -> None:
    cases.write(make(), tmp_path / "evidence")
    step = tmp_path / "step.md"
    step.write_text("before\n")
    done = build(tmp_path, "--planned", str(tmp_path / "evidence" / "plan.json"), "--summary", str(step))
    assert (done.returncode, done.stderr) == (code, "")
    outcome = json.loads((tmp_path / "out" / "outcome.json").read_text())
    assert (outcome["verdict"], outcome["exit_code"]) == (verdict, code)
    assert outcome["report"] == str(tmp_path / "out" / "report.html")
    assert step.read_text() == "before\n" + (tmp_path / "out" / "summary.md").read_text()
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    assert done.stdout.startswith(outcome["headline"])


def test_it_sets_the_outputs_of_its_step_and_annotates_once(tmp_path: Path) -> None:
    cases.write(cases.rejected_at_smoke(), tmp_path / "evidence")
    output = tmp_path / "output"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output)}
    done = build(tmp_path, environ=environ)
    assert done.returncode == 1
    assert str(tmp_path / "out" / "report.html") in output.read_text()
    assert "\nfail\n" in output.read_text()
    assert done.stdout.count("::error") == 1
    # The log in the closing block cannot give commands.
    assert [re.split(r"\W+", one)[1] for one in commands(done.stdout)] == ["error", "group", "endgroup"]


def test_without_evidence_it_fails_and_still_writes_all_files(tmp_path: Path) -> None:
    done = build(tmp_path, "--planned", str(tmp_path / "plan.json"), "--summary=")
    assert done.returncode == 3
    assert "pre-deployment-checks did not get that far" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "outcome.json",
        "report.html",
        "summary.md",
    ]


def test_a_plan_without_its_evidence_fails_and_names_it(tmp_path: Path) -> None:
    cases.write(cases.released(), tmp_path / "evidence")
    (tmp_path / "evidence" / "promote.staging.json").unlink()
    done = build(tmp_path, "--planned", str(tmp_path / "evidence" / "plan.json"))
    assert done.returncode == 3
    assert "no passing evidence of promote.staging" in done.stdout


def test_the_checks_come_from_the_callers_service_description(tmp_path: Path) -> None:
    cases.write(cases.released(), tmp_path / "evidence")
    (tmp_path / "configs").mkdir()
    (tmp_path / "kickoff.yml").write_text("name: [broken")
    done = build(tmp_path)
    assert done.returncode == 3
    assert "kickoff.yml" in done.stdout


@pytest.mark.parametrize(
    ("make", "code", "verdict"),
    [
        (cases.released, 0, "released"),
        (cases.unchanged, 0, "unchanged"),
        (cases.rejected_at_smoke, 1, "rejected"),
        (cases.rolled_back_after_bake, 5, "rolled-back"),
    ],
)
@pytest.mark.parametrize("jobs", ["", "{}", '{"gate": {"result": "success", "outputs": {}}}'])
def test_a_workflow_without_a_plan_is_judged_by_its_evidence(
    tmp_path: Path, make: Callable[[], Run], code: int, verdict: str, jobs: str
) -> None:
    cases.write(make(), tmp_path / "evidence")
    (tmp_path / "evidence" / "plan.json").unlink()
    done = build(tmp_path, f"--jobs={jobs}")
    assert (done.returncode, done.stderr) == (code, "")
    assert json.loads((tmp_path / "out" / "outcome.json").read_text())["verdict"] == verdict


def test_without_a_plan_half_a_release_and_a_failed_job_are_no_success(tmp_path: Path) -> None:
    cases.write(cases.released(), tmp_path / "evidence")
    (tmp_path / "evidence" / "plan.json").unlink()
    failed = build(tmp_path, '--jobs={"gate": {"result": "failure"}}')
    assert failed.returncode == 3
    assert "the job gate ended with failure" in failed.stdout
    (tmp_path / "evidence" / "plan.json").unlink()
    (tmp_path / "evidence" / "smoke-live.staging.json").unlink()
    half = build(tmp_path, "--jobs={}")
    assert half.returncode == 3
    assert "no passing evidence of smoke-live.staging" in half.stdout


@pytest.mark.parametrize(
    ("jobs", "why"),
    [
        ("no JSON", "is not JSON"),
        ("[]", "not a JSON object"),
        ('{"a": {"result": null}}', "no result for a"),
        ('{"a": {"result": "success", "outputs": {"deployments": "[]"}}}', "the plan that a made is missing"),
    ],
)
def test_jobs_that_cannot_be_entered_are_no_success(tmp_path: Path, jobs: str, why: str) -> None:
    cases.write(cases.released(), tmp_path / "evidence")
    (tmp_path / "evidence" / "plan.json").unlink()
    done = build(tmp_path, f"--jobs={jobs}")
    assert done.returncode == 3
    assert why in done.stdout


def test_no_command_is_advised_that_needs_a_file_that_is_not_there(tmp_path: Path) -> None:
    cases.write(cases.released(), tmp_path / "evidence")
    on_github = {
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": "7",
    }
    assert "undo      kickoff rollback --env staging" in build(tmp_path, environ=on_github).stdout
    cases.write(cases.inconclusive(), tmp_path / "evidence")
    assert "kickoff release --env staging" in build(tmp_path).stdout
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "cd.yml").touch()
    assert "kickoff deploy --env staging" in build(tmp_path).stdout
