"""How many different clients were here within the last minute."""

import asyncio
import time
from collections.abc import Callable

from cachetools import TTLCache

from app.telemetry import metrics

_SECONDS = 60.0
_MOST = 10_000
_STEP_SECONDS = 5.0


class ActiveClients:
    """Remembers addresses for a minute; behind a proxy those that it passes on.

    Args:
        timer: Monotonic clock in seconds.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._addresses: TTLCache[str, None] = TTLCache(_MOST, _SECONDS, timer)

    def seen(self, address: str) -> None:
        """Note that a client sent a request."""
        self._addresses[address] = None

    def count(self) -> int:
        """Return how many are remembered."""
        self._addresses.expire()
        return len(self._addresses)

    async def report(self) -> None:
        """Keep the metric up to date, in quiet times too, until cancelled."""
        while True:
            metrics.ACTIVE_CLIENTS.set(self.count())
            await asyncio.sleep(_STEP_SECONDS)
