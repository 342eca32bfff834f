"""The release engine on the compose target: what ships, what must not, and what a killed engine leaves."""

import dataclasses
import functools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kickoff.release import target_state
from kickoff.release.rollback import Request
from tests.e2e.containers import BASE, ContainerProject, docker, engine_problem, registry
from tests.e2e.disturbances import DEAD_PROXY
from tests.e2e.faults import BY_NAME, Fault
from tests.e2e.kills import LEAST, SIDES, kill_everywhere
from tests.e2e.project import Load, Project
from tests.e2e.rehearsal import Bench

pytestmark = [pytest.mark.e2e, pytest.mark.statistical]
# Rows that are about this target; the engine's own ones were rehearsed on the other target.
EACH_TIME = (
    "crash at start",
    "migration hangs",
    "500 on 5 % of requests",
    "live was stopped",
    "start after a reboot",
)
NIGHTLY = (
    "nothing, by canary",
    "CPU burning within a limit",
    "live ended before the promotion",
    "ready but wrong release",
    "errors under public traffic alone, canary 5 %",
    "crash after 5 s",
    "p95 above its limit",
    "nothing",
    "nothing, and no traffic at all",
    "never ready",
    "release header missing",
    "migration fails",
    "flapping health",
    "500 on half of the requests, first release",
    "errors within the limit, but more than live",
    "errors under public traffic alone",
    "a few users' errors beside a busy probe",
    "p95 far above live",
    "hung requests",
    "memory growing",
    "CPU burning",
    "stray answers of another release",
    "wrong release for users alone",
    "too few requests to tell",
    "required check missing",
    "Traefik rejects the route",
    "metrics endpoint down",
    "clock jump",
    "two deploys at once",
    "lock holder dead",
    "paused run wakes up overtaken",
    "journal truncated mid-line",
    "journal damaged",
    "rollback twice",
    "rollback after the judge went back",
    "rollback to a refused release",
    "rollback to nowhere beside another deploy",
    "rollback after crashes in a row",
    "rollback while the environment file is broken",
    "rollback while the service description is broken",
    "the host was rebooted",
    "route lost",
    "route emptied",
    "status of what was killed",
    "status with the route lost",
    "start after a stop",
    "resume after a reboot",
    "resume with the route lost",
    "Ctrl-C in the bake",
    "SIGTERM in the bake",
    "bad after it went live",
    "good after it went live",
    "state is lost",
    "state is null",
    "state lost and derived again",
    # What users see and our checks do not, and live that is down.
    "404 to all unmarked requests",
    "401 to all unmarked requests, first release",
    "429 share above live, by canary",
    "liveness path wants a key",
    "liveness path is not there",
    "ready path wants a key",
    "p95 above its limit, and no traffic at all",
    "live fails everything",
    "live fails everything, by canary",
    "live hangs",
    "live ended before the promotion, by canary",
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if engine_problem():
        pytest.skip(engine_problem())
    docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
    with registry() as found:
        yield found


@pytest.fixture(scope="module")
def bench(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    kept = Bench(tmp_path_factory.mktemp("bench"), functools.partial(ContainerProject, registry=address))
    yield kept
    kept.close()


@pytest.fixture
def project(address: str, tmp_path: Path) -> Iterator[ContainerProject]:
    created = ContainerProject(tmp_path, address)
    with created.entered():
        yield created
        created.close()


# The engine kills what passes the limit of its container, so the leak must be slow enough to be seen before.
FAULTS = BY_NAME | {
    "memory growing": dataclasses.replace(
        BY_NAME["memory growing"],
        broken={"memory_mb_per_second": 20},
        environment={"MEMORY_LIMIT": "128MiB", "BAKE_TIME": "8s"},
    )
}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(FAULTS[name], id=name, marks=[pytest.mark.nightly] if name in NIGHTLY else [])
        for name in (*EACH_TIME, *NIGHTLY)
    ],
)
def test_fault(bench: Bench, fault: Fault) -> None:
    assert bench.rehearse(fault).problems == []


def test_three_releases_and_a_rollback_lose_no_request(project: ContainerProject) -> None:
    assert project.ship().verdict == "pass"
    project.set(BAKE_TIME="1s")
    with Load(project.address, 100, slow_seconds=0.5) as load:
        shipped = [project.ship(delay_ms=number).release for number in range(3)]
        rolled_back = project.engine().rollback(Request(), wait=0)
    assert rolled_back.release == shipped[1]
    project.assert_settled(shipped[1])
    print(f"{load.requests} requests, {len(load.failed)} failed")
    assert load.requests > 300
    assert load.failed == []
    assert set(shipped) <= set(load.releases)
    places = target_state.read(project.root, "development", b"key").places
    for key in ("KICKOFF_RELEASE", "DATABASE_URL"):
        assert places["the container"][key] == places["the record"][key]


def test_proxies_that_docker_gives_to_containers_do_not_come_between(
    project: ContainerProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"default": {"httpProxy": DEAD_PROXY, "httpsProxy": DEAD_PROXY}}
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"proxies": proxies}), encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    assert project.ship().verdict == "pass"
    assert DEAD_PROXY in docker("inspect", "--format", "{{.Config.Env}}", f"{project.name}-traefik-1")
    assert project.serving() == project.live


@pytest.mark.parametrize("service", ["live", "traefik"])
def test_what_dies_comes_back_by_itself(bench: Bench, service: str) -> None:
    """A process of a container dies; no command is run. (`docker kill` would count as a wish to stop it.)"""
    with bench._settled() as project:
        live = project.live
        name = str(project.session().colour_of("live")) if service == "live" else service
        container = f"{project.name}-{name}-1"  # type: ignore[attr-defined]

        def pid() -> int:
            return int(docker("inspect", "--format", "{{.State.Pid}}", container))

        died = pid()
        os.kill(died, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while pid() in (0, died) or _answering(project) != live:
            assert time.monotonic() < deadline, docker("ps", "--all", "--filter", f"name={container}")
            time.sleep(0.2)
        docker("stop", container)
        docker("start", container)
        while _answering(project) != live:
            assert time.monotonic() < deadline, docker("ps", "--all", "--filter", f"name={container}")
            time.sleep(0.2)
        project.assert_settled(live)


def _answering(project: Project) -> str:
    try:
        return project.serving()
    except (httpx.HTTPError, KeyError):  # down, or the proxy's own answer
        return ""


@pytest.mark.nightly
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", LEAST)
def test_killed_at_any_record(project: ContainerProject, command: str, side: str) -> None:
    killed = kill_everywhere(project, command, side)
    print(f"{killed.points} points, {killed.requests} requests, {len(killed.failed)} failed")
    assert killed.records >= LEAST[command]
    assert killed.failed == []
