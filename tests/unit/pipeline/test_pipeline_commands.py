"""The exit code, the secrets that are looked up, and the doctor."""

from dataclasses import replace
from pathlib import Path

import pytest

from kickoff import environments, plan, service
from kickoff.artifact.ledger import FolderLedger
from kickoff.cli.main import main
from kickoff.cli.run import deploy
from kickoff.cli.run.deploy import exit_code, find_secrets
from kickoff.errors import KickoffError
from kickoff.pipeline import doctor
from kickoff.pipeline.inputs import Folders

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("status", "outcome", "resumed", "interrupted", "expected"),
    [
        (0, 0, 0, False, 0),
        (0, None, 0, False, 3),  # no report: nothing is known to be good
        (1, 0, 0, False, 1),  # the report knows of no problem, act does
        (1, None, 0, False, 1),
        (1, 3, 0, False, 3),
        (1, 75, 0, False, 75),
        (1, 1, 0, True, 130),
        (0, 5, 0, False, 5),
        (1, 5, 0, True, 5),  # users met the release
        (1, 1, 6, True, 6),
        (1, 5, 6, False, 6),
        (-9, 0, 0, False, 3),
        (-9, 1, 0, False, 1),
        (0, 0, 4, False, 4),
    ],
)
def test_nothing_that_went_wrong_is_a_pass(
    status: int, outcome: int | None, resumed: int, interrupted: bool, expected: int
) -> None:
    document = None if outcome is None else {"exit_code": outcome}
    assert exit_code(status, document, resumed=resumed, interrupted=interrupted) == expected


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
