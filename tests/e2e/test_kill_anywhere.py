"""SIGKILL the engine after every journal record; the next command must leave users on one healthy release."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.project import REPOSITORY, Load, Project

pytestmark = pytest.mark.e2e


def run_killed(project: Project, after: int, *arguments: str) -> int:
    """Run a command that dies after its record number ``after``; return its exit code."""
    name, *rest = arguments
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.killed", str(after), name, "--env", "development", *rest],
        cwd=project.root,
        env=project.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode


def converge(project: Project) -> None:
    """Run the next command a person would."""
    done = project.command("resume")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["stage", "promote", "abort", "rollback"])
def test_killed_after_any_record(project: Project, command: str) -> None:
    old = project.ship()
    if command == "rollback":
        project.ship(delay_ms=1)
    killed = 0
    with Load(project.address, 50) as load:
        for after in range(1, 40):
            before = project.session().store.state()
            serving = before.release_of(before.live)
            arguments = [command]
            commit = project.commit(delay_ms=after + 1)
            if command == "stage":
                arguments += project.stage_arguments(commit)
            elif command in ("promote", "abort"):
                assert project.stage(commit).returncode == 0
                evidence = Path(project.environ["KICKOFF_EVIDENCE_DIR"]) / "stage.development.json"
                arguments += ["--attempt", json.loads(evidence.read_text(encoding="utf-8"))["attempt"]]
            code = run_killed(project, after, *arguments)
            if code != -signal.SIGKILL:
                assert code == 0, f"the command that was not killed failed with {code}"
                break
            killed += 1
            converge(project)
            now = project.session().store.state()
            live = now.release_of(now.live)
            if command in ("stage", "abort"):
                assert live == serving
            project.assert_settled(live)
        else:
            pytest.fail("the command never ended within 40 records")
        if command == "stage":
            assert project.command("abort").returncode == 0
    assert killed >= {"stage": 10, "promote": 8, "abort": 3, "rollback": 8}[command]
    assert load.failed == []
    assert load.requests > 100
    assert old.release
