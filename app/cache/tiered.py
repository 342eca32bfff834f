"""Memory over Redis over the database: each missing value is computed once per process."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from app.cache.errors import RemoteUnavailableError
from app.cache.memory import Entry, MemoryLevel
from app.tasks import end
from app.telemetry import metrics

if TYPE_CHECKING:
    from app.cache.remote import RemoteLevel

_LOG = logging.getLogger(__name__)
_CAPACITY = 10_000
# Without word from other processes, what they change is seen at most this much later.
_SECONDS_WITHOUT_WORD = 1.0
# That a team is unknown is soon wrong, and costs little to find out again.
_SECONDS_OF_ABSENCE = 60.0

_HIT = metrics.CACHE_LOOKUPS.labels("memory", "hit")
_MISS = metrics.CACHE_LOOKUPS.labels("memory", "miss")

V = TypeVar("V")


class Codec(Protocol[V]):
    """How values travel to Redis."""

    def encode(self, value: V | None) -> bytes:
        """Return the value as bytes."""

    def decode(self, data: bytes) -> V | None:
        """Return the value.

        Raises:
            ValueError: Another version wrote these bytes.
        """


@dataclass(frozen=True, slots=True)
class CacheState:
    """What ``/health/ready`` tells of the cache.

    Attributes:
        status: ``up`` or ``degraded``.
        mode: ``memory`` or ``memory+redis``.
        detail: Why it is degraded; empty otherwise.
        milliseconds: How long Redis took to answer.
    """

    status: str
    mode: str
    detail: str
    milliseconds: float


class TieredCache(Generic[V]):
    """Values by key, from the nearest level that has them.

    Args:
        codec: How values travel to Redis.
        redis_url: Address of Redis; empty for memory alone.
        prefix: Begins every key in Redis.
        seconds: How long a value may be kept.
    """

    def __init__(self, codec: Codec[V], *, redis_url: str, prefix: str, seconds: float) -> None:
        self._codec = codec
        self._seconds = seconds
        self._memory: MemoryLevel[V] = MemoryLevel(_CAPACITY)
        # Who loads a key, until the value is old; and all who load, until they have ended.
        self._running: dict[str, asyncio.Task[dict[str, V | None]]] = {}
        self._tasks: set[asyncio.Task[dict[str, V | None]]] = set()
        self._remote: RemoteLevel | None = None
        if redis_url:
            # Half a second of imports that a service without Redis need not pay at every start.
            from app.cache import remote  # noqa: PLC0415

            self._remote = remote.RemoteLevel(redis_url, prefix=prefix, on_invalidated=self._forget)

    async def open(self) -> None:
        """Connect to Redis, if there is one."""
        if self._remote is not None:
            await self._remote.open()

    async def close(self) -> None:
        """End what is running and disconnect."""
        await end(self._tasks)
        if self._remote is not None:
            await self._remote.close()

    async def get_all(
        self, keys: Iterable[str], load: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]]
    ) -> dict[str, V | None]:
        """Return the values of several keys; ``None``, which is remembered too, for those that have none.

        Args:
            keys: Which values.
            load: Returns the values of the keys that no level has.
        """
        found: dict[str, V | None] = {}
        waiting: dict[str, asyncio.Task[dict[str, V | None]]] = {}
        missing: list[str] = []
        for key in keys:
            if (entry := self._memory.get(key)) is not None:
                found[key] = entry.value
            elif (task := self._running.get(key)) is not None:
                waiting[key] = task
            else:
                missing.append(key)
        if missing:
            task = asyncio.create_task(self._fill(missing, load), name="cache-fill")
            self._tasks.add(task)
            task.add_done_callback(self._finished)
            waiting.update(dict.fromkeys(missing, task))
            self._running.update(dict.fromkeys(missing, task))
        _HIT.inc(len(found))
        _MISS.inc(len(waiting))
        for key, task in waiting.items():
            # One caller that gives up must not take the value from the others.
            found[key] = (await asyncio.shield(task))[key]
        return found

    async def invalidate(self, keys: Iterable[str]) -> None:
        """Forget keys in this process, in Redis and in all other processes."""
        keys = list(keys)
        self._forget(keys)
        if self._remote is None:
            return
        try:
            await self._remote.invalidate(keys)
        except RemoteUnavailableError as error:
            _LOG.info("invalidation waits for redis", extra={"cause": str(error)})

    @property
    def remote_used(self) -> bool:
        """Whether lookups go to Redis at present."""
        return self._remote is not None and self._remote.available

    async def state(self) -> CacheState:
        """Ask Redis for a sign of life, if there is one."""
        if self._remote is None:
            return CacheState("up", "memory", "", 0.0)
        begun = time.perf_counter()
        try:
            await self._remote.ping()
        except RemoteUnavailableError as error:
            return CacheState("degraded", "memory", f"redis: {error}", _since(begun))
        return CacheState("up", "memory+redis", "", _since(begun))

    async def _fill(
        self, keys: Sequence[str], load: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]]
    ) -> dict[str, V | None]:
        values = await self._ask_remote(keys)
        if left := [key for key in keys if key not in values]:
            loaded = await load(left)
            fresh = {key: loaded.get(key) for key in left}
            for value in fresh.values():
                metrics.CACHE_LOOKUPS.labels("database", "miss" if value is None else "hit").inc()
            await self._tell_remote(fresh)
            values.update(fresh)
        for key, value in values.items():
            # An invalidation during the load has taken this task out of the running ones: its value is old.
            if self._running.get(key) is asyncio.current_task():
                self._memory.put(key, Entry(value, self._seconds_in_memory(value)))
        return values

    async def _ask_remote(self, keys: Sequence[str]) -> dict[str, V | None]:
        """Return what Redis has of some keys."""
        if self._remote is None or not self._remote.available:
            return {}
        try:
            stored = await self._remote.get_all(keys)
        except RemoteUnavailableError:
            metrics.CACHE_LOOKUPS.labels("redis", "error").inc(len(keys))
            return {}
        values: dict[str, V | None] = {}
        for key, data in zip(keys, stored, strict=True):
            result = "miss" if data is None else "hit"
            if data is not None:
                try:
                    values[key] = self._codec.decode(data)
                except ValueError:
                    result = "error"
            metrics.CACHE_LOOKUPS.labels("redis", result).inc()
        return values

    async def _tell_remote(self, values: Mapping[str, V | None]) -> None:
        if self._remote is None or not self._remote.available:
            return
        encoded = {key: (self._codec.encode(value), self._lifetime(value)) for key, value in values.items()}
        try:
            await self._remote.add_all(encoded)
        except RemoteUnavailableError:
            metrics.CACHE_LOOKUPS.labels("redis", "error").inc(len(values))

    def _lifetime(self, value: V | None) -> float:
        return min(self._seconds, _SECONDS_OF_ABSENCE) if value is None else self._seconds

    def _seconds_in_memory(self, value: V | None) -> float:
        informed = self._remote is not None and self._remote.subscribed
        return self._lifetime(value) if informed else min(self._lifetime(value), _SECONDS_WITHOUT_WORD)

    def _forget(self, keys: Iterable[str] | None) -> None:
        if keys is None:
            self._memory.clear()
            self._running.clear()
            return
        for key in keys:
            self._memory.forget(key)
            self._running.pop(key, None)

    def _finished(self, task: asyncio.Task[dict[str, V | None]]) -> None:
        self._tasks.discard(task)
        for key in [key for key, running in self._running.items() if running is task]:
            del self._running[key]
        if not task.cancelled():
            # Every caller may have given up: the error has been seen here.
            task.exception()


def _since(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1000, 2)
