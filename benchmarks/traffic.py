"""A steady load on the fixture service in a process of its own, every request recorded.

As a script, ``python traffic.py ADDRESS RATE FILE`` writes JSON lines until its standard input closes. It
prints one line once the first request was answered, so that the caller knows when it is under way.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import httpx

_MIX = 100
"""Of so many requests one is streamed for a second, two are slow for a second, 25 are POSTs."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as its client saw it; times are seconds since the epoch."""

    began: float
    ended: float
    status: int
    release: str
    error: str
    write: bool = False

    @property
    def failed(self) -> bool:
        """Whether the client got no answer, or one that says so."""
        return bool(self.error) or self.status >= 400 or self.status == 0


@contextmanager
def traffic(address: str, rate: float, log: Path) -> Iterator[None]:
    """Keep ``rate`` requests a second on ``address`` going, recorded in ``log``."""
    process = subprocess.Popen(
        [sys.executable, __file__, address, str(rate), str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "running\n":
            raise SystemExit("the load did not start")
        yield
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise SystemExit(f"the load ended with exit code {process.returncode}")


def recorded(log: Path) -> list[Request]:
    """Return the requests in ``log``, in the order in which they ended."""
    return [Request(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]


async def run(address: str, rate: float, file: TextIO) -> None:
    """Send ``rate`` requests a second on kept-alive connections, recording each in ``file``."""
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    started, sent = time.monotonic(), 0
    tasks: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=address, timeout=30, limits=limits, trust_env=False) as client:
        await _one(client, 1, file)
        sys.stdout.write("running\n")
        sys.stdout.flush()
        while not stop.done():
            task = asyncio.create_task(_one(client, sent, file))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
            await asyncio.sleep(max(0.0, started + sent / rate - time.monotonic()))
        await asyncio.gather(*tasks)


async def _one(client: httpx.AsyncClient, number: int, file: TextIO) -> None:
    place = number % _MIX
    began, status, release, error = time.time(), 0, "", ""
    try:
        if place == 0:
            answer = await client.get("/stream", params={"seconds": 1})
        elif place in (33, 66):
            answer = await client.get("/slow", params={"seconds": 1})
        elif place % 4 == 1:
            answer = await client.post("/echo?user", json={"number": number})
        else:
            answer = await client.get("/?user")
        status, release = answer.status_code, answer.headers.get("X-Release", "")
    except httpx.HTTPError as failure:
        error = repr(failure)
    record = {"began": began, "ended": time.time(), "status": status, "release": release, "error": error}
    record["write"] = place % 4 == 1 and place not in (33, 66)
    file.write(json.dumps(record) + "\n")


def main() -> None:
    """Run until standard input closes."""
    address, rate, path = sys.argv[1:]
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        asyncio.run(run(address, float(rate), file))


if __name__ == "__main__":
    main()
