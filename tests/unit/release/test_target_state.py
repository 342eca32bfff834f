"""Reading what runs: every state of the folder that cannot be read has a sentence and an exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from kickoff.environment import Environment
from kickoff.errors import ExitCode, KickoffError
from kickoff.release import recorded, target_state
from tests.unit.environment.support import ROOT

STATE = {"live": "blue", "warm": None, "slots": {"blue": {"release": "abc1234-00000000", "port": 1}}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder whose release is recorded as live, and whose process never ran."""
    monkeypatch.setenv("KICKOFF_STATE_ROOT", str(tmp_path))
    root = tmp_path / "football" / "staging"
    for name in ("releases/abc1234-00000000", "supervisor"):
        (root / name).mkdir(parents=True)
    keep(root / "state.json", STATE)
    record = root / "releases/abc1234-00000000"
    keep(record / "environment.json", {"API_KEY": "quarry"})
    values = {"PUBLIC_PORT": "8100", "DEPLOY_TARGET": "local"}
    environment = Environment("staging", values, frozenset({"API_KEY"}), frozenset({"API_KEY"}))
    recorded.write(record, environment, ROOT / "kickoff.yml")
    keep(root / "supervisor/blue.json", {"environment": {"API_KEY": "quarry"}})
    return root


def keep(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document), "utf-8")


def failure(name: str = "staging") -> KickoffError:
    with pytest.raises(KickoffError) as caught:
        target_state.read(ROOT, name, b"key")
    assert "quarry" not in caught.value.render()
    return caught.value


def test_a_process_that_does_not_run(folder: Path) -> None:
    assert failure().code == ExitCode.UNREACHABLE
    assert "abc1234-00000000 is recorded as live, and its process does not run" in str(failure())


def test_a_release_that_records_no_environment(folder: Path) -> None:
    (folder / "releases/abc1234-00000000/settings.json").unlink()
    assert failure().code == ExitCode.INCONCLUSIVE
    assert "abc1234-00000000 does not record its environment" in str(failure())


def test_nothing_released(folder: Path) -> None:
    keep(folder / "state.json", {**STATE, "live": None})
    for name in ("staging", "production"):
        assert failure(name).code == ExitCode.INCONCLUSIVE
    assert not (folder.parent / "production").exists()


@pytest.mark.parametrize(
    "name", ["state.json", "releases/abc1234-00000000/environment.json", "supervisor/blue.json"]
)
@pytest.mark.parametrize(
    "text",
    ["quarry", "[1]", '"quarry"', '{"environment": "quarry", "live": "quarry"}'],
    ids=["no JSON", "list", "text", "other object"],
)
def test_a_damaged_file(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, "utf-8")
    error = failure()
    assert error.code == ExitCode.UNREACHABLE
    if name != "releases/abc1234-00000000/environment.json" or not text.startswith("{"):
        assert str(error) == f"{Path(name).name} is damaged"
