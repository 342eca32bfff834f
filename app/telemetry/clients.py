"""How many different clients were here within the last minute."""

import time
from collections import OrderedDict
from collections.abc import Callable

_SECONDS = 60.0
_MOST = 10_000


class ActiveClients:
    """Remembers addresses for a minute; behind a proxy those that it passes on.

    Args:
        timer: Monotonic clock in seconds.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        # When each was last seen, the longest ago first.
        self._addresses: OrderedDict[str, float] = OrderedDict()

    def seen(self, address: str) -> None:
        """Note that a client sent a request."""
        self._addresses[address] = self._timer()
        self._addresses.move_to_end(address)
        if len(self._addresses) > _MOST:
            self._addresses.popitem(last=False)

    def count(self) -> int:
        """Return how many are remembered."""
        longest_ago = self._timer() - _SECONDS
        while self._addresses and next(iter(self._addresses.values())) <= longest_ago:
            self._addresses.popitem(last=False)
        return len(self._addresses)
