"""The first level: a bounded dictionary whose entries expire."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TLRUCache

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
        self._entries: TLRUCache[str, Entry[V]] = TLRUCache(
            maxsize=capacity, ttu=lambda _key, entry, now: now + entry.seconds, timer=timer
        )

    def get(self, key: str) -> Entry[V] | None:
        """Return the entry, or ``None`` when it is unknown or expired."""
        return self._entries.get(key)

    def put(self, key: str, entry: Entry[V]) -> None:
        """Remember an entry."""
        self._entries[key] = entry

    def forget(self, key: str) -> None:
        """Forget one entry."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
