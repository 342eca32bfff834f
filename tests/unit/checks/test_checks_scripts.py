"""The two scripts against the fixture service of the end-to-end tests, as processes."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kickoff.probing.readiness import wait_ready

ROOT = Path(__file__).resolve().parents[3]
FIXTURE = ROOT / "tests" / "e2e" / "service"
Start = Callable[..., tuple[str, subprocess.Popen[bytes]]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture project, so that tests may break it."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """Start the fixture service with faults and wait until it answers, unless told not to."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*, wait: bool = True, **faults: object) -> tuple[str, subprocess.Popen[bytes]]:
        (project / "fixture" / "faults.json").write_text(json.dumps(faults))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "fixture", "--port", str(port)],
            cwd=project,
            env=os.environ | {"KICKOFF_RELEASE": "new-1"},
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        if wait:
            ready = wait_ready(
                url, {}, "/health/live", "", "", 60, lambda: "exited" if process.poll() is not None else ""
            )
            assert ready.ok, ready.reason
        return url, process

    yield begin
    for process in started:
        process.terminate()
        process.wait(30)


def call(project: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "KICKOFF_"))}
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), *arguments],
        cwd=project,
        env=environ | {"GITHUB_OUTPUT": str(project / "output")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def smoke(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call(
        project,
        "smoke/run_smoke_tests.py",
        "--env=development",
        "--phase=live",
        *arguments,
    )


def test_smoke_passes_and_leaves_evidence(project: Path, start: Start) -> None:
    url, _ = start()
    done = smoke(project, f"--base-url={url}", "--expect-release=new-1")
    assert done.returncode == 0, done.stderr
    assert [line[:6] for line in done.stdout.splitlines()[:2]] == ["✓ root", "✓ echo"]
    document = json.loads((project / ".kickoff/evidence/smoke-live.development.json").read_text())
    assert (document["stage"], document["verdict"], document["release"]) == ("smoke-live", "pass", "new-1")
    assert len(document["rules"]) == 3
    assert "pass" in (project / "output").read_text()


def test_smoke_of_another_release_is_rejected(project: Path, start: Start) -> None:
    url, _ = start(wrong_release=True)
    done = smoke(project, f"--base-url={url}", "--expect-release=new-1")
    assert done.returncode == 1, done.stderr
    assert "✗ answers come from the expected release: wrong-release" in done.stdout


def test_smoke_of_nothing_is_rejected_with_evidence(project: Path, closed_url: str) -> None:
    done = smoke(project, f"--base-url={closed_url}")
    assert done.returncode == 1, done.stderr
    document = json.loads((project / ".kickoff/evidence/smoke-live.development.json").read_text())
    assert document["summary"].startswith("2 of 2 checks")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--base-url=http://127.0.0.1:1", "--attempt=a"),
        ("--base-url=127.0.0.1:1",),
        ("--expect-release=a",),
    ],
)
def test_smoke_refuses_arguments_that_contradict(project: Path, arguments: tuple[str, ...]) -> None:
    done = smoke(project, *arguments)
    assert done.returncode == 2
    assert not (project / ".kickoff").exists()


def test_probe_waits_and_counts(project: Path, start: Start) -> None:
    url, _ = start()
    done = call(project, "health/probe.py", f"--url={url}", "--expect-release=new-1", "--watch=0.3")
    assert done.returncode == 0, done.stderr
    assert "✓ ready after" in done.stderr and " 0 failed" in done.stderr


def test_probe_rejects_errors(project: Path, start: Start) -> None:
    url, _ = start(error_share=1)
    done = call(project, "health/probe.py", f"--url={url}", "--watch=1")
    assert done.returncode == 1, done.stderr
    assert "broken on purpose" in done.stderr


def test_probe_of_an_unready_service_is_unreachable(project: Path, start: Start) -> None:
    url, _ = start(never_ready=True)
    done = call(project, "health/probe.py", f"--url={url}", "--wait=0.2")
    assert done.returncode == 4
    assert "last: 503" in done.stderr


def test_the_fixture_spares_marked_requests_when_only_the_public_suffers(start: Start) -> None:
    url, _ = start(error_share=0.5, only_public=True)
    marked = [httpx.get(url, headers={"X-Kickoff-Check": "m"}).status_code for _ in range(4)]
    public = [httpx.get(url).status_code for _ in range(4)]
    assert marked == [200] * 4
    assert public == [200, 500, 200, 500]


def test_the_fixture_counts_requests_in_flight(start: Start) -> None:
    url, _ = start()
    assert "http_requests_in_flight 0" in httpx.get(f"{url}/metrics").text
    with httpx.stream("GET", f"{url}/stream?seconds=300") as stream:
        assert stream.headers["X-Release"] == "new-1"
        assert "http_requests_in_flight 1" in httpx.get(f"{url}/metrics").text
    deadline = time.monotonic() + 30
    while "http_requests_in_flight 0" not in httpx.get(f"{url}/metrics").text:
        assert time.monotonic() < deadline, "the request that was given up is still counted"


def test_the_fixture_streams_in_pieces(start: Start) -> None:
    url, _ = start()
    with httpx.stream("GET", f"{url}/stream?seconds=0.2") as stream:
        assert stream.headers["Transfer-Encoding"] == "chunked"
        assert stream.read().split() == [str(number).encode() for number in range(10)]


def test_the_fixture_echoes_over_a_websocket(start: Start) -> None:
    from websockets.sync.client import connect

    url, _ = start()
    with connect(url.replace("http", "ws") + "/ws") as socket_:
        socket_.send("hello")
        assert socket_.recv(timeout=30) == "hello"
        assert socket_.response is not None
        assert socket_.response.headers["X-Release"] == "new-1"


@pytest.mark.parametrize("fault", [{"crash_at_start": True}, {"crash_after_seconds": 0.05}])
def test_the_fixture_crashes_on_demand(start: Start, fault: dict[str, Any]) -> None:
    _, process = start(wait=False, **fault)
    assert process.wait(60) == 3


def test_the_fixture_stops_cleanly(start: Start) -> None:
    _, process = start(cpu_burn=1, memory_mb_per_second=1)
    process.terminate()
    assert process.wait(60) == 0


def test_the_fixture_project_is_valid(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kickoff import environment, service

    shutil.copy(ROOT / "configs/environments/schema.json", project / "configs/environments/schema.json")
    monkeypatch.setenv("KICKOFF_DATA_DIR", "/nowhere")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert service.load(project).name == "fixture"
    assert environment.load("development", root=project).seconds("BAKE_TIME") == 1.0
