"""Releases of a service with a worker: it never runs twice, and always runs with what has the traffic."""

import itertools
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import yaml

from kickoff.errors import ExitCode
from tests.e2e.containers import BASE, ContainerProject, docker, engine_problem, registry
from tests.e2e.project import Load, Project

pytestmark = pytest.mark.e2e


class Spell(NamedTuple):
    """The time in which one worker process was at work."""

    release: str
    began: float
    last: float
    jobs: int


def add_worker(project: Project) -> None:
    """Give a project's service a worker."""
    path = project.root / "kickoff.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["processes"]["ticker"] = {
        "command": ["python", "-m", "fixture.worker"],
        "health": ["python", "-m", "fixture.worker", "check"],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


@contextmanager
def opened(target: str, folder: Path) -> Iterator[Project]:
    """Yield a project with a worker on a target; everything of it is stopped at the end."""
    with ExitStack() as stack:
        if target == "local":
            project = Project(folder)
        else:
            docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
            project = ContainerProject(folder, stack.enter_context(registry()))
        try:
            add_worker(project)
            with project.entered():
                yield project
        finally:
            with project.entered():
                project.close()


@pytest.fixture(params=["local", "compose"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    if request.param == "compose" and (why := engine_problem()):
        pytest.skip(why)
    with opened(request.param, tmp_path) as project:
        yield project


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Project]:
    with opened("local", tmp_path) as project:
        yield project


def spells(project: Project) -> list[Spell]:
    """Return what each worker process did, in the order in which they began."""
    copy = project.root.parent / "work.db"
    if isinstance(project, ContainerProject):
        container = project.session().target._container("blue")  # type: ignore[attr-defined]
        docker("cp", f"{container.id}:/data/work.db", str(copy))
    else:
        shutil.copyfile(project.store.root / "data" / "work.db", copy)
    with sqlite3.connect(copy) as database:
        return [Spell(*row) for row in database.execute("SELECT * FROM spells ORDER BY began")]


def never_twice(found: list[Spell]) -> bool:
    """True when each worker began after the one before had done its last job."""
    return all(before.last <= after.began for before, after in itertools.pairwise(found))


def at_work(project: Project) -> str:
    """Return the release whose worker works now: the one that has done another job after a moment."""
    before = {(one.release, one.began): one.jobs for one in spells(project)}
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        now = [one for one in spells(project) if before.get((one.release, one.began)) != one.jobs]
        if now:
            assert len(now) == 1, f"several at once: {now}"
            return now[0].release
        time.sleep(0.1)
    return ""


def test_three_releases_and_a_rollback_under_load(served: Project) -> None:
    shipped = [served.ship().release]
    with Load(served.address, 40) as load:
        for number in (1, 2):
            done = served.ship(delay_ms=number)
            assert done.facts["outcome"] == "released"
            shipped.append(done.release)
            assert at_work(served) == done.release
        back = served.command("rollback")
        assert back.returncode == ExitCode.PASS, back.stderr
        assert at_work(served) == shipped[1]
    assert load.failed == []
    found = spells(served)
    assert [one.release for one in found] == [*shipped, shipped[1]], "each worked once, in its turn"
    assert never_twice(found)
    assert "ticker runs" in served.command("status").stdout


def test_a_release_whose_worker_crashes_is_taken_back_and_the_old_worker_goes_on(local: Project) -> None:
    good = local.ship()
    bad = local.ship(worker_crashes=True)
    assert (bad.verdict, bad.facts["outcome"]) == ("fail", "rolled-back")
    assert "worker ticker on green is not up: the process ended" in bad.summary
    assert local.live == good.release
    assert at_work(local) == good.release
    assert never_twice(spells(local))


def test_a_worker_that_crashes_in_the_bake_counts_as_a_restart(local: Project) -> None:
    local.set(BAKE_TIME="8s")
    good = local.ship()
    bad = local.ship(worker_crashes_after=2)
    assert bad.facts["outcome"] == "rolled-back"
    assert "restarts" in bad.summary
    assert at_work(local) == good.release


def test_the_worker_of_a_refused_candidate_never_runs(local: Project) -> None:
    good = local.ship()
    refused = local.ship(never_ready=True)
    assert refused.verdict == "fail"
    assert {one.release for one in spells(local)} == {good.release}
    assert at_work(local) == good.release


def killed_at(project: Project, when: str, number: int) -> bool:
    """Kill a promotion at a journal record and resume; return whether it came that far."""
    before = project.live
    staged = project.stage(project.commit(delay_ms=number))
    assert staged.returncode == ExitCode.PASS, staged.stderr
    stage = project.evidence("stage")
    if project.killed(when, number, "promote", f"--attempt={stage['attempt']}") >= 0:
        return False
    resumed = project.command("resume")
    assert resumed.returncode == ExitCode.PASS, resumed.stderr
    assert project.live in (before, stage["release"])
    assert at_work(project) == project.live, f"killed {when} record {number}"
    return True


def test_a_run_that_died_while_it_moved_the_worker_is_finished_by_the_next(local: Project) -> None:
    local.ship()
    # The fifth record is the intent to move the workers, the sixth says that it was done.
    assert killed_at(local, "after", 5)
    steps = [line for line in local.store.journal.path.read_text().splitlines() if '"workers"' in line]
    assert steps, "the records of the move were met"
    assert killed_at(local, "before", 6)
    assert never_twice(spells(local))


@pytest.mark.nightly
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_promotion_may_die_at_every_record(local: Project, when: str) -> None:
    local.ship()
    number = 1
    while killed_at(local, when, number):
        number += 1
    assert number > 8
    assert never_twice(spells(local))


def test_what_stops_and_starts_takes_the_worker_with_it(local: Project) -> None:
    good = local.ship()
    assert local.command("stop").returncode == ExitCode.PASS
    assert local.services_running() == []
    assert local.command("start").returncode == ExitCode.PASS
    assert at_work(local) == good.release
    local.kill_everything()
    for pid in local.services_running():
        psutil.Process(pid).kill()
    assert local.command("resume").returncode == ExitCode.PASS
    assert at_work(local) == good.release
    assert never_twice(spells(local))


def test_status_names_a_worker_that_is_down_and_how_to_bring_it_up(local: Project) -> None:
    good = local.ship()
    local.session().target.supervisor._call("supervisor.stopProcess", "blue-ticker")  # type: ignore[attr-defined]
    status = local.command("status")
    assert status.returncode == ExitCode.UNREACHABLE
    assert "ticker IS DOWN" in status.stdout
    assert "kickoff start --env development" in status.stdout
    assert local.command("start").returncode == ExitCode.PASS
    assert at_work(local) == good.release
    assert local.command("logs", "--process", "ticker").returncode == ExitCode.PASS
