"""Many edges in one process: what Traefik's API and metrics say, each on a loopback address of its own.

As a script, ``python stand_in.py PAGES EDGES SILENT`` serves the files ``metrics`` and ``rawdata`` of the
folder ``PAGES``; the last ``SILENT`` edges take a request and never answer. It prints a JSON list of
addresses once all listen, and ends when its standard input closes.
"""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

BACKLOG = 512
BUSINESS = tuple((code, method) for code in (200, 304, 400, 404, 500, 503) for method in ("GET", "POST"))
"""Status codes and methods that each service has answered with; Traefik counts each pair by itself."""
_METRIC = "traefik_{of}_request_duration_seconds"


def metrics(services: Sequence[str], pairs: Sequence[tuple[int, str]], buckets: Sequence[float]) -> str:
    """Return what a Traefik counts of services and of one entry point, in its own words and order."""
    lines = [f"# HELP go_line_{number} Of the program itself.\ngo_line_{number} 1" for number in range(50)]
    owners = [("entrypoint", "public"), *(("service", f"{name}@etcd") for name in services)]
    for of, name in owners:
        for code, method in pairs:
            label = f'code="{code}",{of}="{name}",method="{method}",protocol="http"'
            metric = _METRIC.format(of=of)
            bounds = [*(f"{bound:g}" for bound in buckets), "+Inf"]
            lines += [
                f'{metric}_bucket{{{label},le="{le}"}} {100 * place}' for place, le in enumerate(bounds)
            ]
            lines += [
                f"{metric}_sum{{{label}}} 123.456789",
                f"{metric}_count{{{label}}} {100 * len(buckets)}",
            ]
            lines += [f"traefik_{of}_requests_total{{{label}}} {100 * len(buckets)}"]
            lines += [
                f"traefik_{of}_{way}_bytes_total{{{label}}} 1.23456e+06" for way in ("requests", "responses")
            ]
    return "\n".join(lines) + "\n"


def rawdata(wanted: Mapping[str, Any]) -> str:
    """Return what is read of Traefik's API once it has taken a rendered route over."""
    kinds = {
        kind: {f"{name}@etcd": {**one, "status": "enabled", "usedBy": ["public"]} for name, one in of.items()}
        for kind, of in wanted["http"].items()
        if kind in ("routers", "services", "middlewares")
    }
    return json.dumps(kinds)


@contextmanager
def edges(folder: Path, count: int, silent: int = 0) -> Iterator[tuple[tuple[str, ...], psutil.Process]]:
    """Serve the pages of a folder by ``count`` edges; yield their addresses, and the process."""
    words = [sys.executable, __file__, str(folder), str(count), str(silent)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert process.stdout is not None
        yield tuple(json.loads(process.stdout.readline())), psutil.Process(process.pid)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()


class _Edge(asyncio.Protocol):
    """A connection to one edge."""

    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        self._answers, self._heard = answers, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if self._heard.endswith(b"\r\n\r\n") and self._answers:
            path = self._heard.split(b" ", 2)[1]
            self._heard = b""
            self._transport.write(self._answers[path])


def packed(body: bytes) -> bytes:
    """Return metrics as Traefik sends them."""
    return gzip.compress(body, mtime=0)


def _answer(path: Path) -> bytes:
    body, head = path.read_bytes(), "HTTP/1.1 200 OK\r\n"
    if path.name == "metrics":  # which Traefik compresses, and its API it does not
        body, head = packed(body), f"{head}Content-Encoding: gzip\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _serve(folder: Path, count: int, silent: int) -> None:
    loop = asyncio.get_running_loop()
    stop = loop.run_in_executor(None, sys.stdin.read)
    answers = {b"/metrics": _answer(folder / "metrics"), b"/api/rawdata": _answer(folder / "rawdata")}
    addresses = []
    for number in range(count):
        host = f"127.1.{number // 250}.{number % 250 + 1}"
        said = answers if number < count - silent else {}
        server = await loop.create_server(lambda said=said: _Edge(said), host, 0, backlog=BACKLOG)  # type: ignore[misc]
        addresses.append("http://{}:{}".format(*server.sockets[0].getsockname()))
    print(json.dumps(addresses), flush=True)
    await stop


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
