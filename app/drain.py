"""A graceful end: after SIGTERM the process answers what arrives, hangs up politely, and only then stops.

Closing idle keep-alive connections at once would race with requests already on their way to them, and a proxy
may not repeat a ``POST``. So for a short while every answer says ``Connection: close``; when no new request
has come for a moment, the server's own shutdown finishes what is in flight.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from app.telemetry import metrics

_LOG = logging.getLogger(__name__)
_LONGEST_SECONDS = 2.0
_STEP_SECONDS = 0.05
_QUIET_STEPS = 5
_LAST_WORK_SECONDS = 0.5


def farewell_seconds(grace: float) -> float:
    """Return how long new requests are still taken, within ``grace`` seconds for everything."""
    return min(_LONGEST_SECONDS, grace / 4)


def finish_seconds(grace: float) -> int:
    """Return how long the server may then wait for requests in flight, in whole seconds."""
    return max(1, int(grace - farewell_seconds(grace) - _LAST_WORK_SECONDS))


class Drain:
    """Stands between SIGTERM and the server's handler of it.

    Args:
        grace: Seconds from the signal to the end.
    """

    def __init__(self, grace: float) -> None:
        self._longest = farewell_seconds(grace)
        self._requests = 0
        self._server_handler: Any = None
        self._task: asyncio.Task[None] | None = None
        self.draining = False

    def request_arrived(self) -> None:
        """Note that the way here is still used."""
        self._requests += 1

    def install(self) -> None:
        """Take SIGTERM before the server does; the server has set its own handler by now."""
        self._server_handler = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def terminated(_signal: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin, self._stop_server)

        signal.signal(signal.SIGTERM, terminated)

    def begin(self, stop: Callable[[], None]) -> None:
        """Start to drain and call ``stop`` when it is quiet; asking twice changes nothing."""
        if self.draining:
            return
        self.draining = True
        metrics.DRAINING.set(1)
        _LOG.info("draining")
        self._task = asyncio.get_running_loop().create_task(self._wait(stop), name="drain")

    async def _wait(self, stop: Callable[[], None]) -> None:
        end = time.monotonic() + self._longest
        # In steps, between which the server reads what has come. By the clock, a process that was not given
        # the processor for a moment would take that for quiet, with requests waiting.
        quiet = 0
        while quiet < _QUIET_STEPS and time.monotonic() < end:
            before = self._requests
            await asyncio.sleep(_STEP_SECONDS)
            quiet = quiet + 1 if self._requests == before else 0
        stop()

    def _stop_server(self) -> None:
        if callable(self._server_handler):
            self._server_handler(signal.SIGTERM, None)
