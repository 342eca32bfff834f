"""A steady load in a process of its own: every request's begin, end, status and release, as JSON lines.

``python traffic.py ADDRESS RATE FILE`` runs until its standard input closes. It prints one line once the
first request was answered, so that the caller knows when it is under way.
"""

import asyncio
import json
import sys
import time
from typing import TextIO

import httpx

_MIX = 100
"""Of so many requests one is streamed for a second, two are slow for a second, 25 are POSTs."""


async def run(address: str, rate: float, file: TextIO) -> None:
    """Send ``rate`` requests a second on kept-alive connections, recording each in ``file``."""
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    started, sent = time.monotonic(), 0
    tasks: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=address, timeout=30, limits=limits) as client:
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
            answer = await client.post("/echo", json={"number": number})
        else:
            answer = await client.get("/")
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
