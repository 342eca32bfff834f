"""The exit code, the secrets that are looked up, and the doctor."""

from dataclasses import replace
from pathlib import Path

import pytest

from kickoff import environments, plan, service
from kickoff.artifact.ledger import FolderLedger
from kickoff.cli.main import main
from kickoff.cli.run import deploy
from kickoff.cli.run.deploy import exit_code, find_secrets
from kickoff.errors import ExitCode, KickoffError
from kickoff.pipeline import doctor
from kickoff.pipeline.inputs import Folders
from kickoff.pipeline.progress import Progress

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("outcome", "interrupted", "expected"),
    [
        (0, False, 0),
        (None, False, 3),  # no report: nothing is known to be good
        (None, True, 130),
        *((int(code), interrupted, int(code)) for code in ExitCode for interrupted in (False, True)),
    ],
)
def test_the_exit_code_is_that_of_the_outcome(outcome: int | None, interrupted: bool, expected: int) -> None:
    document = None if outcome is None else {"exit_code": outcome}
    assert exit_code(document, interrupted=interrupted) == expected


def test_secrets_come_from_variables_and_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    given = {"API_KEY_FILE": str(file), "REDIS_URL": "redis://h", "DATABASE_URL": "", "LOG_LEVEL": "info"}
    assert find_secrets(ROOT, given) == {"API_KEY": "from-a-file", "REDIS_URL": "redis://h"}


def test_a_secret_given_twice_is_refused() -> None:
    with pytest.raises(KickoffError, match="API_KEY"):
        find_secrets(ROOT, {"API_KEY": "a", "API_KEY_FILE": "/b"})


def test_a_run_that_may_prove_a_commit_is_seen_by_those_who_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KICKOFF_STATE_ROOT", str(tmp_path / "state"))
    described = replace(service.load(ROOT), name="demo", environments=environments.DEFAULT)
    commit, folders = "a" * 40, Folders(tmp_path / "7", tmp_path, tmp_path)
    ledger = FolderLedger(tmp_path / "state" / "demo" / "proofs" / "staging", "staging")
    for environment, seen in (("staging", 1), ("production", 0), ("development", 0)):
        decision = plan.Plan((environment,), "push", "refs/heads/main", commit, "because")
        with deploy._claim(described, decision, folders):
            assert len(ledger.running(commit)) == seen
        assert ledger.running(commit) == []


def test_the_doctor_tells_what_is_missing_and_what_for(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.examine(tmp_path, str(tmp_path))}
    assert found["python"].found
    assert not found["act"].found
    assert found["act"].needed
    assert "`make .venv`" in found["act"].detail
    assert not found["docker"].needed


def test_the_doctor_ends_well_even_when_things_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    assert "lacks: git, act, traefik" in capsys.readouterr().out


def test_what_to_do_next_can_be_typed_where_the_project_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "services" / "api"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    folders = Folders.create(folder)
    outcome = {
        "headline": "✗ REJECTED",
        "report": str(folders.report / "report.html"),
        "next": "kickoff logs --env qa · kickoff deploy --env qa",
        "undo": "kickoff rollback --env qa",
    }
    deploy._finish(folders, outcome, Progress(), "services/api")
    said = capsys.readouterr().out
    assert "next      kickoff --project services/api logs --env qa\n" in said
    assert " kickoff --project services/api deploy --env qa\n" in said
    assert "undo      kickoff --project services/api rollback --env qa" in said
    assert "report    services/api/.kickoff/runs/1/report/report.html" in said
    deploy._finish(folders, outcome, Progress(), "")
    said = capsys.readouterr().out
    assert "next      kickoff logs" in said and "report    .kickoff/runs/1" in said
