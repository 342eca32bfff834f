"""Evidence of steps that were refused before they could leave any of their own, and the outcome that follows."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kickoff.cli.main import main

DESCRIPTION = "name: things\nrun: python3 server.py\nhealth: /health\nload: none\n"
VALUES = "PUBLIC_PORT=8123\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project that is the working folder, with evidence and state of its own."""
    root = tmp_path / "things"
    for name, text in (
        ("kickoff.yml", DESCRIPTION),
        ("configs/environments/development.env", VALUES),
        ("configs/environments/staging.env", VALUES),
        ("configs/environments/production.env", VALUES),
        (".github/workflows/cd.yml", "name: cd\non: workflow_dispatch\njobs: {}\n"),
        (".gitignore", ".kickoff/\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.chdir(root)
    monkeypatch.setenv("KICKOFF_EVIDENCE_DIR", str(tmp_path / "evidence"))
    monkeypatch.setenv("KICKOFF_STATE_ROOT", str(tmp_path / "state"))
    monkeypatch.delenv("KICKOFF_REPORT_DIR", raising=False)
    commit(root, "init", "--quiet", "--initial-branch=main")
    return root


def commit(root: Path, *first: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.invalid"]
    for words in ([*first], ["add", "--all"], ["commit", "--quiet", "--allow-empty", "--message=x"]):
        if words:
            subprocess.run(["git", *identity, *words], cwd=root, check=True)


def reported(tmp_path: Path, *jobs: str) -> dict[str, Any]:
    """Return the outcome of a report over the evidence, which ends with the number that it names."""
    given = json.dumps({job: {"result": "failure", "outputs": {}} for job in jobs})
    code = main(["report", f"--output={tmp_path / 'report'}", f"--jobs={given}"])
    outcome: dict[str, Any] = json.loads((tmp_path / "report" / "outcome.json").read_text())
    assert code == outcome["exit_code"]
    for name in ("report.html", "summary.md"):
        assert outcome["headline"].split()[1] in (tmp_path / "report" / name).read_text()
    return outcome


def test_a_description_that_cannot_be_planned_is_invalid(project: Path, tmp_path: Path) -> None:
    (project / "kickoff.yml").write_text("nam: things\n")
    assert main(["workflow", "plan", "--event=workflow_dispatch", "--input=environment=development"]) == 2
    outcome = reported(tmp_path, "pre-deployment-checks")
    assert (outcome["verdict"], outcome["exit_code"]) == ("invalid", 2)
    assert "'nam' is not a key" in outcome["why"]
    assert outcome["fix"] == "kickoff.yml:1: did you mean 'name'?"


def test_a_wrong_value_names_file_line_rule_and_fix(project: Path, tmp_path: Path) -> None:
    (project / "configs" / "environments" / "development.env").write_text(
        f"{VALUES}READY_TIMEOUT=half an hour\n"
    )
    assert main(["env", "validate", f"--evidence={tmp_path / 'evidence'}", "--env=development"]) == 2
    outcome = reported(tmp_path, "pre-deployment-checks")
    assert (outcome["verdict"], outcome["exit_code"]) == ("invalid", 2)
    place = "configs/environments/development.env:2:15"
    assert outcome["why"].startswith(f'{place}: type: READY_TIMEOUT is "half an hour"')
    assert outcome["fix"].startswith("write a number with its unit")


def test_a_step_with_evidence_of_its_own_is_left_alone(project: Path, tmp_path: Path) -> None:
    assert main(["env", "validate", f"--evidence={tmp_path / 'evidence'}", "--env=nosuch"]) == 2
    written = json.loads((tmp_path / "evidence" / "validate.nosuch.json").read_text())
    assert written["facts"]["exit_code"] == 2
    assert "nosuch" in written["summary"]


def test_outside_a_pipeline_the_message_is_enough(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KICKOFF_EVIDENCE_DIR")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (project / "kickoff.yml").write_text("nam: things\n")
    assert main(["workflow", "plan", "--event=push"]) == 2
    assert not (project / ".kickoff").exists()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("server.py", "x", ("not everything is committed", "--allow-dirty")),
        ("kickoff.yml", "nam: things\n", ("'nam' is not a key", "kickoff.yml:1: did you mean 'name'?")),
        ("configs/environments/development.env", "PUBLIC_PORT=8123\nREADY_TIMEOUT=soon\n",
         ('READY_TIMEOUT is "soon"', "configs/environments/development.env:2:15: write a number")),
        ("configs/environments/development.env", "", ("PUBLIC_PORT", "development.env")),
    ],
)  # fmt: skip
def test_a_deploy_that_is_refused_before_it_begins_has_an_outcome(
    project: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, said: tuple[str, str]
) -> None:
    (project / file).write_text(text)
    if file != "server.py":
        commit(project)
    assert main(["deploy", "--env=development"]) == 2
    folder = project / ".kickoff" / "runs" / "1" / "report"
    outcome = json.loads((folder / "outcome.json").read_text())
    assert (outcome["verdict"], outcome["exit_code"]) == ("invalid", 2)
    assert said[0] in outcome["why"]
    assert said[1] in outcome["fix"]
    assert (project / ".kickoff" / ".gitignore").read_text() == "*\n"
    shown = capsys.readouterr().out
    for form in (shown, (folder / "summary.md").read_text(), (folder / "report.html").read_text()):
        assert "INVALID" in form
    assert outcome["why"][:60] in shown


def test_an_unknown_place_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["deploy"]) == 2
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / ".kickoff").exists()


def test_a_release_that_is_refused_before_it_begins_has_an_outcome(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    step = tmp_path / "step.md"
    (project / "kickoff.yml").write_text("nam: things\n")
    assert main(["release", "--env=development", f"--summary={step}"]) == 2
    outcome = json.loads((project / ".kickoff/runs/1/report/outcome.json").read_text())
    assert (outcome["verdict"], outcome["exit_code"]) == ("invalid", 2)
    assert "INVALID" in step.read_text()
    assert "INVALID" in capsys.readouterr().out
    assert outcome["report"] in (tmp_path / "outputs").read_text()
