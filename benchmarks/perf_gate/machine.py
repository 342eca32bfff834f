"""Two copies of the real service on one database, and a neighbour who takes the processor at random."""

import contextlib
import http.client
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kickoff.performance.load import Arm

ROOT = Path(__file__).resolve().parents[2]
ENDPOINT = "POST /predictions"
_START_SECONDS = 60.0
_BODY = b'{"home_team": "Arsenal", "away_team": "Chelsea"}'


@dataclass(frozen=True, slots=True)
class Change:
    """What the candidate does worse on :data:`ENDPOINT`; everything 0 for an equal release.

    Attributes:
        name: As the tables call it.
        slow: Additional time as the client sees it (0.25 = 25 %).
        errors: Share of answers that fail.
        tail: Share of answers that take ten times as long.
    """

    name: str
    slow: float = 0.0
    errors: float = 0.0
    tail: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether the two releases are the same."""
        return not (self.slow or self.errors or self.tail)


@contextlib.contextmanager
def services(folder: Path, change: Change) -> Iterator[tuple[Arm, Arm]]:
    """Run candidate and live until the block ends; yields them in this order.

    Args:
        folder: For the database and the logs.
        change: What the candidate does worse.

    Raises:
        RuntimeError: A copy did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'app.db'}",
        "LOG_LEVEL": "warning",
        "APP_ENV": "development",
    }
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env=base,
        check=True,
        capture_output=True,
    )
    with contextlib.ExitStack() as stack:
        gain = _gain(folder, base) if change.slow else 1.0
        injected = [f"--slow={change.slow * gain}", f"--errors={change.errors}", f"--tail={change.tail}"]
        candidate = stack.enter_context(_serve(folder, base, "candidate", injected))
        live = stack.enter_context(_serve(folder, base, "live", []))
        yield Arm("candidate", candidate, {}, "candidate"), Arm("live", live, {}, "live")


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """Run a processor hog until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", _HOG], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


# Bursts of 20 ms to 2 s, about half of the time, so that drift and bursts both occur.
_HOG = """
import random, time
while True:
    until = time.perf_counter() + 10 ** random.uniform(-1.7, 0.3)
    while time.perf_counter() < until:
        pass
    time.sleep(10 ** random.uniform(-1.7, 0.3))
"""


@contextlib.contextmanager
def _serve(folder: Path, base: dict[str, str], name: str, injected: Sequence[str]) -> Iterator[str]:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.perf_gate.injected", f"--port={port}", *injected],
            cwd=ROOT,
            env={**base, "KICKOFF_RELEASE": name},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process, folder / f"{name}.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), contextlib.closing(_connection(port)) as connection:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start; see {log}: {log.read_text('utf-8')[-500:]}")


def _gain(folder: Path, base: dict[str, str]) -> float:
    """Return how much longer a request takes for the client than inside the application (medians)."""
    with _serve(folder, base, "gain", []) as url:
        port = int(url.rpartition(":")[2])
        outside, inside = [], []
        with contextlib.closing(_connection(port)) as connection:
            for _ in range(300):
                begun = time.perf_counter()
                connection.request("POST", "/predictions", _BODY, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                outside.append((time.perf_counter() - begun) * 1000)
                inside.append(float(answer.headers["x-app-ms"]))
    return statistics.median(outside[50:]) / statistics.median(inside[50:])


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)
