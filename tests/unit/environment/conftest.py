"""A copy of the project's environments that a test may break, and the loader's commands run in it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from kickoff import running
from kickoff.cli.main import main
from kickoff.cli.run import environment
from kickoff.environment.drift import Reader
from tests.unit.environment.support import FOLDER, ROOT, Loader, Outcome, Project

SECRETS = ("API_KEY", "DATABASE_URL", "REDIS_URL")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    return Project(tmp_path)


@pytest.fixture
def loader(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Loader:
    monkeypatch.chdir(project.root)
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    for name in ("KICKOFF_DATA_DIR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "ACT", "SOPS_AGE_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)

    def call(
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        read_running: Reader = running.read,
    ) -> Outcome:
        with monkeypatch.context() as patch:
            for name, value in (environ or {}).items():
                patch.setenv(name, value)
            capsys.readouterr()
            patch.setattr(environment, "read_running", read_running)
            code = main(["env", *arguments])
        captured = capsys.readouterr()
        return Outcome(int(code), captured.out, captured.err)

    return call
