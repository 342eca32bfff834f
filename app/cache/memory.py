"""The first level: a bounded dictionary whose entries expire."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A remembered value; ``None`` remembers that there is none.

    Attributes:
        value: What was found.
        seconds: How long it may be remembered.
    """

    value: V | None
    seconds: float


class MemoryLevel(Generic[V]):
    """The most recently used entries, each for its own time.

    Args:
        capacity: Most entries kept.
        timer: Monotonic clock in seconds.
    """

    def __init__(self, capacity: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._timer = timer
        # With the moment each expires, the least recently used first.
        self._entries: OrderedDict[str, tuple[Entry[V], float]] = OrderedDict()

    def get(self, key: str) -> Entry[V] | None:
        """Return the entry, or ``None`` when it is unknown or expired."""
        found = self._entries.get(key)
        if found is None:
            return None
        entry, expires = found
        if expires <= self._timer():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: str, entry: Entry[V]) -> None:
        """Remember an entry."""
        self._entries[key] = entry, self._timer() + entry.seconds
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget(self, key: str) -> None:
        """Forget one entry."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
