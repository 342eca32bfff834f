"""An upgrade under load: what an older Kickoff released goes on serving while this one takes over."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kickoff.errors import ExitCode
from kickoff.release.stores.migrations import CURRENT, version_of
from kickoff.service import CONFIG, FORMER
from tests.e2e.containers import BASE, ContainerProject, docker, engine_problem, registry
from tests.e2e.project import REPOSITORY, Load, Project

pytestmark = pytest.mark.e2e
OLD = "e0dc57b0eaa2d13912fd633af073040a8ad813cf"
"""The last commit whose state had no version."""


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the old commit, from this repository's own history."""
    git = ["git", "-C", str(REPOSITORY)]
    if subprocess.run([*git, "cat-file", "-e", OLD], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{OLD[:7]} is not in this clone: it is shallow, or no clone")
    folder = tmp_path_factory.mktemp("old")
    archive = subprocess.run([*git, "archive", OLD], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


@dataclass(frozen=True, slots=True)
class Older:
    """A project whose files and commands are those of the old commit, until it is upgraded."""

    project: Project
    folder: Path

    def arguments(self, *arguments: str) -> list[str]:
        """The command line of the old release command."""
        name, *rest = arguments
        script = self.folder / "scripts" / "deploy" / "release.py"
        return [sys.executable, str(script), name, "--env", "development", *rest]

    def run(self, *arguments: str) -> None:
        """Run the old release command.

        Raises:
            AssertionError: It failed.
        """
        done = subprocess.run(
            self.arguments(*arguments), cwd=self.project.root, env=self.project.environ,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def stage(self, **faults: object) -> str:
        """Stage a commit; return the attempt."""
        self.run("stage", *self.project.stage_arguments(self.project.commit(**faults)))
        return str(self.project.evidence("stage")["attempt"])

    def ship(self, **faults: object) -> str:
        """Stage and promote a commit; return the release."""
        self.run("promote", "--attempt", self.stage(**faults))
        return str(self.project.evidence("promote")["release"])


def describe(project: Project, source: Path) -> None:
    """Give the project the schema and the place of its description that another version of Kickoff has."""
    schema = Path("configs") / "environments" / "schema.json"
    shutil.copyfile(source / schema, project.root / schema)
    here, there = (FORMER, CONFIG) if (source / CONFIG).is_file() else (CONFIG, FORMER)
    if (project.root / here).is_file():
        (project.root / here).rename(project.root / there)


@pytest.fixture(params=["local", pytest.param("compose", marks=pytest.mark.nightly)])
def older(request: pytest.FixtureRequest, old: Path, tmp_path: Path) -> Iterator[Older]:
    with contextlib.ExitStack() as stack:
        if request.param == "local":
            project = Project(tmp_path)
        else:
            if engine_problem():
                pytest.skip(engine_problem())
            docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
            project = ContainerProject(tmp_path, stack.enter_context(registry()))
        stack.enter_context(project.entered())
        describe(project, old)
        yield Older(project, old)
        describe(project, REPOSITORY)
        project.close()


def quick(project: Project) -> None:
    project.set(BAKE_TIME="1s", PROBE_RATE="100")


def test_an_upgrade_under_load_loses_no_request(older: Older) -> None:
    project = older.project
    quick(project)
    first = older.ship()
    with Load(project.address, 100, slow_seconds=0.5) as load:
        second = older.ship(delay_ms=1)
        folder = project.state / "fixture" / "development"
        assert version_of(folder) == 1
        # This code takes over, while yesterday's schema is still there.
        status = project.command("status")
        assert status.returncode == 0, status.stdout + status.stderr
        assert second in status.stdout
        assert version_of(folder) == CURRENT
        assert "chain intact" in project.command("history", "--verify").stdout
        describe(project, REPOSITORY)
        third = project.ship(delay_ms=2)
        assert third.facts["outcome"] == "released", third.summary
        back = project.command("rollback")
        assert back.returncode == 0, back.stderr
        project.assert_settled(second)
        cold = project.command("rollback", f"--to={first}")
        assert cold.returncode == 0, cold.stderr
        project.assert_settled(first)
        fourth = project.ship(delay_ms=3)
        assert fourth.facts["outcome"] == "released", fourth.summary
        project.assert_settled(fourth.release)
    print(f"{load.requests} requests, {len(load.failed)} failed")
    assert load.requests > 500
    assert load.failed == []
    assert {second, third.release, first, fourth.release} <= set(load.releases)


def test_an_attempt_that_the_old_version_staged_is_promoted(older: Older) -> None:
    project = older.project
    quick(project)
    older.ship()
    with Load(project.address, 100, slow_seconds=0.5) as load:
        attempt = older.stage(delay_ms=1)
        describe(project, REPOSITORY)
        promoted = project.command("promote", "--attempt", attempt)
        assert promoted.returncode == 0, promoted.stderr
    assert load.failed == []
    project.assert_settled(project.evidence("promote")["release"])


def test_an_old_run_that_died_in_the_bake_is_taken_back(older: Older) -> None:
    project = older.project
    quick(project)
    first = older.ship()
    project.set(BAKE_TIME="30s")
    with Load(project.address, 100, slow_seconds=0.5) as load:
        attempt = older.stage(delay_ms=1)
        candidate = str(project.evidence("stage")["release"])
        with subprocess.Popen(
            older.arguments("promote", "--attempt", attempt), cwd=project.root, env=project.environ
        ) as dying:
            deadline = time.monotonic() + 30
            while load.releases[candidate] < 20:
                assert time.monotonic() < deadline, "the candidate never met users"
                time.sleep(0.1)
            # A look at it meanwhile must not change what the old run is at.
            assert project.command("status").returncode == 0
            assert version_of(project.state / "fixture" / "development") == 1
            dying.send_signal(signal.SIGKILL)
        resumed = project.command("resume")
        assert resumed.returncode == ExitCode.PASS, resumed.stderr
        describe(project, REPOSITORY)
        project.assert_settled(first)
    assert load.failed == []
