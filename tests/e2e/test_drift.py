"""Drift between the files and what really runs: each way to cause it is named by its key, never by a value."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kickoff.release.targets.local.supervision import Supervisor
from tests.e2e.project import REPOSITORY, Project

pytestmark = pytest.mark.e2e

LOADER = REPOSITORY / "scripts" / "deploy" / "environment-loader.py"
SECRET = "redis://:tallow-brine-91@127.0.0.1:1/0"
PLANTED = "redis://:quarry-lantern-47@127.0.0.1:1/0"


def drift(project: Project, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(LOADER), "drift", "--env", "development", *arguments],
        cwd=project.root,
        env=project.environ | {"REDIS_URL": SECRET} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    for value in ("tallow-brine", "quarry-lantern", "4711"):
        assert value not in done.stdout + done.stderr
    return done


def edit(path: Path, change: Callable[[dict[str, str]], None], within: str = "") -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document[within] if within else document)
    path.write_text(json.dumps(document), "utf-8")


@pytest.fixture
def release(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """The live release, made with a secret."""
    monkeypatch.setenv("REDIS_URL", SECRET)
    project.set(REDIS_URL="${REDIS_URL:-}")
    return project.ship().release


def test_nothing_to_compare_with_is_no_pass(project: Project) -> None:
    found = drift(project, "--evidence", "evidence")
    assert found.returncode == 3
    assert "development has no live release" in found.stderr
    kept = json.loads((project.root / "evidence" / "drift.development.json").read_text("utf-8"))
    assert kept["verdict"] == "inconclusive"


def test_what_was_changed_on_the_target_is_named(project: Project, release: str) -> None:
    folder = project.session().store.root
    clean = drift(project)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.startswith("✓ development runs what its file says: ")
    assert release in clean.stdout

    record = folder / "releases" / release / "environment.json"
    good = record.read_text("utf-8")
    edit(record, lambda values: values.update(CACHE_TTL="4711s", REDIS_URL=PLANTED))
    edited = drift(project)
    assert edited.returncode == 1
    for key in ("CACHE_TTL", "REDIS_URL"):
        assert (
            f"drift-by-hand: {key} was changed on the target, in the record of {release}\n" in edited.stdout
        )
    assert edited.stdout.count("drift-by-hand") == 2
    record.write_text(good, "utf-8")

    # A changed start file waits for the next start of the process.
    start = folder / "supervisor" / "blue.json"
    good = start.read_text("utf-8")
    edit(start, lambda values: values.update(REDIS_URL=PLANTED, TZ="UTC"), "environment")
    waiting = drift(project)
    for key in ("REDIS_URL", "TZ"):
        assert f"{key} was changed on the target, in the start file of {release}\n" in waiting.stdout
    supervisor = Supervisor(folder)
    supervisor._call("supervisor.stopProcess", "blue")
    down = drift(project)
    assert down.returncode == 4
    assert "recorded as live, and its process does not run" in down.stderr
    supervisor._call("supervisor.startProcess", "blue")
    started = drift(project, "--without-secrets")
    assert started.returncode == 1
    assert (
        f"REDIS_URL was changed on the target, in the start file and the process of {release}\n"
        in started.stdout
    )
    assert "Secrets were compared on the target alone" in started.stdout
    start.write_text(good, "utf-8")
    assert "in the process of" in drift(project).stdout


def test_what_was_changed_since_the_release_is_named(project: Project, release: str) -> None:
    project.set(LOG_LEVEL="error")
    changed = drift(project, "--format", "json", REDIS_URL=PLANTED)
    assert changed.returncode == 1
    found = json.loads(changed.stdout)["findings"]
    assert {(one["key"], one["rule"]) for one in found} == {
        ("LOG_LEVEL", "drift-undeployed"),
        ("REDIS_URL", "drift-undeployed"),
    }
    assert all(release in one["message"] for one in found)
    project.set(LOG_LEVEL="errors")
    broken = drift(project)
    assert broken.returncode == 2
    assert "allowed-values: LOG_LEVEL" in broken.stdout
    project.set(LOG_LEVEL="error")  # the project is opened once more to stop it
