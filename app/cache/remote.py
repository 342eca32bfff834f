"""The second level: Redis, shared by all processes, and optional at every moment.

Redis is used only while the subscription to invalidations lives: without it this process could not learn of
new results. A crashed Redis breaks that connection at once, so no request ever waits for one that is gone;
one that hangs trips the circuit breaker after a few short timeouts. The subscription reconnects by itself.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pybreaker
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from app.cache.errors import RemoteUnavailableError
from app.tasks import end
from app.telemetry import tracing

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 0.25
# A reader that loaded the old value just before an invalidation must not put it back just after.
_TOMBSTONE: Final = b"-"
_TOMBSTONE_MILLISECONDS: Final = 5000
_PAUSE_SECONDS: Final = (0.1, 2.0)
_CLOSE_SECONDS: Final = 2.0
_LISTEN_SECONDS: Final = 1.0
_LONGEST_SILENCE: Final = 3
_DOWN: Final = (RedisError, RedisClusterException, OSError, TimeoutError, pybreaker.CircuitBreakerError)


class RemoteLevel:
    """One Redis or a cluster, asked with short timeouts behind a circuit breaker.

    Args:
        url: Address, as redis-py reads it; with ``?cluster=true`` that of any node of a cluster.
        prefix: Begins every key and names the channel; processes with one prefix share values.
        on_invalidated: Called with the keys that another process invalidated, and with ``None`` when some may
            have been missed.
    """

    def __init__(
        self, url: str, *, prefix: str, on_invalidated: Callable[[Iterable[str] | None], None]
    ) -> None:
        self._redis = _client(url)
        # In a cluster everything of one prefix stands on one node: an invalidation is one transaction.
        self._prefix = f"{{{prefix}}}" if isinstance(self._redis, RedisCluster) else prefix
        self._channel = f"{self._prefix}invalidated"
        self._on_invalidated = on_invalidated
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=3, reset_timeout=1, exclude=[asyncio.CancelledError], name="redis"
        )
        self._subscribed = asyncio.Event()
        self._owed: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether requests use Redis at present."""
        return self._subscribed.is_set() and self._breaker.current_state != pybreaker.STATE_OPEN

    @property
    def subscribed(self) -> bool:
        """Whether this process hears of results that other processes store."""
        return self._subscribed.is_set()

    @property
    def circuit(self) -> str:
        """The circuit breaker's state: closed, open or half-open."""
        return str(self._breaker.current_state)

    async def open(self, wait_seconds: float = TIMEOUT_SECONDS * 2) -> None:
        """Start to listen, and give the first connection a moment; a Redis that is down stops nothing."""
        self._task = asyncio.create_task(self._listen(), name="cache-invalidations")
        try:
            async with asyncio.timeout(wait_seconds):
                await self._subscribed.wait()
        except TimeoutError:
            _LOG.warning("redis does not answer: starting with memory alone")

    async def close(self) -> None:
        """Stop listening and close all connections; a Redis that hangs delays this by seconds at most."""
        if self._task is not None:
            await end([self._task])
        self._subscribed.clear()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._redis.aclose()
        except _DOWN as error:
            _LOG.warning("redis does not hang up", extra={"cause": type(error).__name__})

    async def get_all(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is stored under each key; ``None`` where there is nothing.

        Raises:
            RemoteUnavailableError: Redis cannot be used now.
        """
        values = await self._guard("MGET", lambda: self._redis.mget([self._prefix + key for key in keys]))
        return [value if isinstance(value, bytes) and value != _TOMBSTONE else None for value in values]

    async def add_all(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Store values, each for its seconds, unless a key holds one or was invalidated a moment ago.

        Raises:
            RemoteUnavailableError: Redis cannot be used now.
        """

        async def add() -> None:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, (value, seconds) in values.items():
                    pipe.set(self._prefix + key, value, px=max(1, round(seconds * 1000)), nx=True)
                await pipe.execute()

        await self._guard("SET", add)

    async def invalidate(self, keys: Iterable[str]) -> None:
        """Remove keys here and in all processes.

        Raises:
            RemoteUnavailableError: Redis cannot be used now; the keys are removed when it is back.
        """
        self._owed.update(keys)
        await self._guard("SET", self._pay)

    async def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            RemoteUnavailableError: There is none.
        """
        await self._guard("PING", self._redis.ping)

    async def _guard(self, command: str, call: Callable[[], Awaitable[T]]) -> T:
        if not self._subscribed.is_set():
            raise RemoteUnavailableError("not connected")
        try:
            with self._breaker.calling(), tracing.asked("redis", command):
                return await call()
        except _DOWN as error:
            raise RemoteUnavailableError(type(error).__name__) from error

    async def _pay(self) -> None:
        """Send the invalidations that are owed; those of an outage are kept until they got through."""
        keys = sorted(self._owed)
        if not keys:
            return
        async with self._redis.pipeline(transaction=True) as pipe:
            for key in keys:
                pipe.set(self._prefix + key, _TOMBSTONE, px=_TOMBSTONE_MILLISECONDS)
            await pipe.execute()
        # Not in the transaction, where a cluster refuses it; what fails here is owed still, and done again.
        await self._redis.publish(self._channel, json.dumps(keys))
        self._owed.difference_update(keys)

    async def _listen(self) -> None:
        pause, longest = _PAUSE_SECONDS
        while True:
            try:
                if isinstance(self._redis, RedisCluster):
                    # Nodes may have come and gone: ask anew who holds what.
                    await self._redis.aclose()
                    await self._redis.initialize()
                async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                    await subscription.subscribe(self._channel)
                    await self._pay()
                    self._connected()
                    pause = _PAUSE_SECONDS[0]
                    await self._receive(subscription)
            except _DOWN as error:
                self._disconnected(error)
            except Exception as error:
                # Whatever it was: deaf to invalidations, this process must not trust what it remembers.
                _LOG.exception("the listener failed")
                self._disconnected(error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _receive(self, subscription: PubSub) -> None:
        """Pass on what is published, until the connection is lost or has gone silent."""
        silent = 0
        while True:
            message = await subscription.get_message(timeout=_LISTEN_SECONDS)
            if message is None:
                if silent == _LONGEST_SILENCE:
                    raise TimeoutError("no answer to a ping")
                silent += 1
                await subscription.ping()
                continue
            silent = 0
            if message["type"] == "message":
                self._on_invalidated(_keys_of(message["data"]))

    def _connected(self) -> None:
        # Whatever was published before this moment was missed.
        self._on_invalidated(None)
        self._subscribed.set()
        self._breaker.close()
        _LOG.info("redis is used")

    def _disconnected(self, error: Exception) -> None:
        if self._subscribed.is_set():
            _LOG.warning("redis is lost: going on with memory alone", extra={"cause": type(error).__name__})
        self._subscribed.clear()
        self._on_invalidated(None)


def _client(url: str) -> Redis | RedisCluster:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    clustered = query.pop("cluster", "") == "true"
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 64,
    }
    address = urlunsplit(parts._replace(query=urlencode(query)))
    return RedisCluster.from_url(address, **options) if clustered else Redis.from_url(address, **options)


def _keys_of(data: bytes) -> list[str] | None:
    """Return the keys of an invalidation; ``None``, which means all, for one that cannot be read."""
    try:
        keys = json.loads(data)
    except ValueError:
        return None
    return keys if isinstance(keys, list) and all(isinstance(key, str) for key in keys) else None
