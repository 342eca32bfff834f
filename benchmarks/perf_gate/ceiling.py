"""How many requests a second the load generator itself can send with one core.

It drives a server that answers at once with fixed bytes, so that only the generator can be the bottleneck,
and compares what got through with the estimate that every run makes of itself from its processor time.
"""

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

from benchmarks.perf_gate import record
from kickoff.performance import load
from kickoff.performance.load import Arm

_ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'
_USERS = 8
_FAR_TOO_MUCH = 1_000_000.0


class _Instant(asyncio.Protocol):
    """Answers every request on a connection with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once for each request in ``data``."""
        self._transport.write(_ANSWER * data.count(b"\r\n\r\n"))


def measure(seconds: float, workers: int) -> str:
    """Return the finding as text.

    Args:
        seconds: How long to send.
        workers: Number of load generators.
    """
    scenario = replace(
        record.catalogue().get(record.SCENARIO), users=_USERS, duration=seconds, mix={"HealthCheckUser": 1}
    )
    with _instant_server() as url:
        # Planned for one core and asked for far more, so the generators are always late.
        result = load.run(
            scenario,
            [Arm("candidate", url)],
            locustfile=record.LOCUSTFILE,
            rate=_FAR_TOO_MUCH,
            workers=[()] * workers,
        )
    wrong = sum(not sample.ok for sample in result.samples)
    rate = len(result.samples) / result.seconds
    return "\n".join(
        [
            f"generators                {workers}",
            f"requests/s                {rate:,.0f} ({wrong} wrong)",
            f"requests/s per core       {result.ceiling:,.0f} (from the generators' processor time)",
            f"busiest generator         {result.generator_cpu:.0%} of a core",
            f"warning                   {result.saturated or 'none'}",
        ]
    )


@contextlib.contextmanager
def _instant_server() -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        if not ours.poll(30):
            raise RuntimeError("the server did not start")
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Instant, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())
