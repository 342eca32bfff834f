"""The cache without Redis: bounds, expiry, one computation per key, invalidation during a load."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import pytest

from app.cache.memory import Entry, MemoryLevel
from app.cache.tiered import TieredCache
from app.main import create_app
from app.model.goals import League, Team
from app.service import RatingCodec
from app.settings import Settings
from tests.unit.app.support import serving, value_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_entries_expire_each_at_its_own_time() -> None:
    clock = Clock()
    memory: MemoryLevel[str] = MemoryLevel(10, clock)
    memory.put("short", Entry("a", 1))
    memory.put("long", Entry("b", 5))
    clock.now = 2
    assert memory.get("short") is None
    assert memory.get("long") == Entry("b", 5)


def test_it_is_bounded_and_drops_what_was_not_used() -> None:
    memory: MemoryLevel[int] = MemoryLevel(2)
    for number, key in enumerate("ab"):
        memory.put(key, Entry(number, 60))
    assert memory.get("a") is not None
    memory.put("c", Entry(2, 60))
    assert memory.get("b") is None
    assert memory.get("a") is not None


def test_absence_is_an_entry() -> None:
    memory: MemoryLevel[int] = MemoryLevel(2)
    memory.put("a", Entry(None, 60))
    assert memory.get("a") == Entry(None, 60)


@pytest.fixture
def cache() -> TieredCache[League | Team]:
    return TieredCache(RatingCodec(), redis_url="", prefix="test:", seconds=60)


class Origin:
    """What is behind the cache; counts how often it is asked."""

    def __init__(self, value: Team | None) -> None:
        self.value = value
        self.asked = 0
        self.asking = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()

    async def __call__(self) -> Team | None:
        self.asked += 1
        value = self.value
        self.asking.set()
        await self.answer.wait()
        return value


async def test_parallel_callers_share_one_computation(cache: TieredCache[League | Team]) -> None:
    origin = Origin(Team(0.1))
    origin.answer.clear()
    callers = [asyncio.create_task(value_of(cache, "a", origin)) for _ in range(50)]
    await origin.asking.wait()
    origin.answer.set()
    assert set(await asyncio.gather(*callers)) == {Team(0.1)}
    assert origin.asked == 1


async def test_what_is_missing_is_loaded_at_once_and_what_is_loading_is_awaited(
    cache: TieredCache[League | Team],
) -> None:
    asked: list[list[str]] = []
    go_on = asyncio.Event()

    async def load(keys: Sequence[str]) -> dict[str, League | Team]:
        asked.append(list(keys))
        await go_on.wait()
        return {key: Team(float(ord(key))) for key in keys if key != "x"}

    first = asyncio.create_task(cache.get_all(["a", "b"], load))
    await asyncio.sleep(0)
    second = asyncio.create_task(cache.get_all(["b", "c", "x"], load))
    await asyncio.sleep(0)
    go_on.set()
    assert await first == {"a": Team(97.0), "b": Team(98.0)}
    assert await second == {"b": Team(98.0), "c": Team(99.0), "x": None}
    assert asked == [["a", "b"], ["c", "x"]]


async def test_whatever_is_loaded_ends_with_the_cache(cache: TieredCache[League | Team]) -> None:
    """Also what was invalidated meanwhile, and nobody waits for."""
    origin = Origin(Team(0.1))
    origin.answer.clear()
    caller = asyncio.create_task(value_of(cache, "a", origin))
    await origin.asking.wait()
    caller.cancel()
    await cache.invalidate(["a"])
    await cache.close()
    assert "cache-fill" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_absence_is_remembered(cache: TieredCache[League | Team]) -> None:
    origin = Origin(None)
    assert await value_of(cache, "a", origin) is None
    assert await value_of(cache, "a", origin) is None
    assert origin.asked == 1


async def test_a_caller_that_gives_up_does_not_fail_the_others(cache: TieredCache[League | Team]) -> None:
    origin = Origin(Team(0.1))
    origin.answer.clear()
    impatient = asyncio.create_task(value_of(cache, "a", origin))
    await origin.asking.wait()
    patient = asyncio.create_task(value_of(cache, "a", origin))
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    origin.answer.set()
    assert await patient == Team(0.1)
    assert impatient.cancelled()


async def test_an_error_is_not_remembered(cache: TieredCache[League | Team]) -> None:
    async def broken() -> Team | None:
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError, match="no database"):
        await value_of(cache, "a", broken)
    assert await value_of(cache, "a", Origin(Team(0.2))) == Team(0.2)


async def test_a_value_invalidated_while_it_was_loaded_is_not_kept(cache: TieredCache[League | Team]) -> None:
    origin = Origin(Team(0.1))
    origin.answer.clear()
    early = asyncio.create_task(value_of(cache, "a", origin))
    await origin.asking.wait()
    origin.value = Team(0.9)
    await cache.invalidate(["a"])
    late = asyncio.create_task(value_of(cache, "a", origin))
    origin.answer.set()
    assert await early == Team(0.1)
    assert await late == Team(0.9)
    assert await value_of(cache, "a", origin) == Team(0.9)
    assert origin.asked == 2


@pytest.mark.parametrize("value", [None, Team(0.25, -0.5, 7), League(0.1, 0.2, 3)])
def test_ratings_travel_unchanged(value: League | Team | None) -> None:
    codec = RatingCodec()
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"kind": "Team", "elo": 1500}', b"7"])
def test_what_another_version_wrote_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a rating of this version"):
        RatingCodec().decode(data)


@pytest.fixture
def nobody() -> str:
    """The address of a Redis that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{probe.getsockname()[1]}/0"


async def test_without_its_redis_the_cache_works_and_says_so(nobody: str) -> None:
    cache: TieredCache[League | Team] = TieredCache(
        RatingCodec(), redis_url=nobody, prefix="test:", seconds=60
    )
    await cache.open()
    origin = Origin(Team(0.1))
    assert await value_of(cache, "a", origin) == Team(0.1)
    origin.value = Team(0.2)
    await cache.invalidate(["a"])
    assert await value_of(cache, "a", origin) == Team(0.2)
    state = await cache.state()
    assert (state.status, state.mode, state.detail) == ("degraded", "memory", "redis: not connected")
    await cache.close()


async def test_without_its_redis_the_service_is_degraded_and_ready(
    settings: Callable[..., Settings], nobody: str
) -> None:
    async with serving(create_app(settings(redis_url=nobody))) as client:
        response = await client.get("/health/ready")
        made = await client.post("/predictions", json={"home_team": "Arsenal", "away_team": "Chelsea"})
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert made.status_code == 201
