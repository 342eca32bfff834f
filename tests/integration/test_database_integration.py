"""The database: transactions, concurrency, outages, migrations. PostgreSQL, and SQLite where both agree."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from app.main import Service
from app.model.goals import League, Team
from app.model.scoring import Outcome
from app.storage import idempotency, matches, predictions, ratings, retention
from app.storage.engine import Database, DatabaseUnavailableError, migration_engine
from app.storage.idempotency import Key, KeyReusedError, Reply
from app.storage.matches import Match
from app.storage.predictions import Prediction
from app.storage.tables import league, metadata, teams
from app.storage.tables import predictions as prediction_rows
from tests.integration.support import MATCH, eventually
from tests.unit.app.support import ROOT, old_code_at_work, serving

CONFIG = Config(str(ROOT / "alembic.ini"))
REVISIONS = [
    script.revision for script in reversed(list(ScriptDirectory.from_config(CONFIG).walk_revisions()))
]
NOW = datetime(2026, 5, 24, 15, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a migrated database without data, on each of the two systems."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("database_url"))
    address = f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"
    monkeypatch.setenv("DATABASE_URL", address)
    command.upgrade(CONFIG, "head")
    return address


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    found = Database(url)
    yield found
    await found.close()


def prediction(**changes: object) -> Prediction:
    """Return a prediction with what a test says."""
    made = Prediction(
        id=uuid.uuid4(),
        tenant="public",
        match_id="m1",
        home_team="Arsenal",
        away_team="Chelsea",
        home=0.5,
        draw=0.3,
        away=0.2,
        home_goals=1.5,
        away_goals=1.1,
        likely_home=1,
        likely_away=1,
        model_version="test",
        results_seen=0,
        created_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def stored(database: Database, tenant: str = "public") -> list[Prediction]:
    """Return all predictions, newest first."""
    rows, _ = await predictions.page(database, tenant=tenant, match_id=None, before=None, limit=1000)
    return rows


async def test_a_prediction_comes_back_as_it_went_in(database: Database) -> None:
    made = prediction(created_at=NOW.astimezone(timezone(timedelta(hours=5))))
    async with database.write() as connection:
        await predictions.insert_predictions(connection, [made])
    (found,) = await stored(database)
    assert found == made
    assert found.created_at.tzinfo is UTC


async def test_a_moment_without_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="needs a time zone"):
        async with database.write() as connection:
            await predictions.insert_predictions(
                connection, [prediction(created_at=NOW.replace(tzinfo=None))]
            )
    assert await stored(database) == []


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    twice = uuid.uuid4()
    with pytest.raises(sa.exc.IntegrityError):
        async with database.write() as connection:
            await ratings.write_team(connection, "Arsenal", Team(0.5))
            await predictions.insert_predictions(connection, [prediction(), prediction(id=twice)])
            await predictions.insert_predictions(connection, [prediction(id=twice)])
    assert await stored(database) == []
    async with database.read() as connection:
        assert await ratings.read_teams(connection, ["arsenal"]) == {}


async def test_a_cancelled_transaction_leaves_nothing_and_frees_its_connection(database: Database) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with database.write() as connection:
            await predictions.insert_predictions(connection, [prediction()])
            inside.set()
            await asyncio.sleep(60)

    for _ in range(20):
        inside.clear()
        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await stored(database) == []


async def store(database: Database, rows: list[Prediction]) -> None:
    """Store predictions as a request does."""
    async with database.write() as connection:
        await predictions.insert_predictions(connection, rows)


async def test_concurrent_requests_are_stored_each_once(database: Database) -> None:
    made = [[prediction(), prediction()] for _ in range(100)]
    await asyncio.gather(*(store(database, rows) for rows in made))
    assert {one.id for one in await stored(database)} == {one.id for rows in made for one in rows}
    assert len(await stored(database)) == 200


async def test_what_is_stored_is_seen_elsewhere_at_once(database: Database, url: str) -> None:
    made = prediction()
    await store(database, [made])
    elsewhere = Database(url)
    assert await stored(elsewhere) == [made]
    await elsewhere.close()


async def test_a_failing_write_fails_its_own_request_alone(database: Database) -> None:
    made = prediction()
    await store(database, [made])
    found = await asyncio.gather(
        *(store(database, [one]) for one in (prediction(), made, prediction())), return_exceptions=True
    )
    assert [type(one) for one in found] == [type(None), sa.exc.IntegrityError, type(None)]
    assert len(await stored(database)) == 3


async def test_who_stops_waiting_before_the_write_stores_nothing(database: Database) -> None:
    async with database.write() as connection:
        # Hold SQLite's only place for a writer, or an ordinary connection of PostgreSQL.
        await connection.execute(sa.select(league.c.id))
        first = asyncio.create_task(store(database, [prediction(match_id="cancelled")]))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    await store(database, [prediction(match_id="kept")])
    assert [one.match_id for one in await stored(database)] == ["kept"]


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    async with database.write() as connection:
        await predictions.insert_predictions(connection, [prediction()])
        async with asyncio.timeout(5):
            assert await stored(database) == []
    assert len(await stored(database)) == 1


async def test_who_settles_waits_for_the_one_before(database: Database) -> None:
    order: list[str] = []

    async def settle(name: str, held: asyncio.Event, go: asyncio.Event) -> None:
        async with database.write() as connection:
            found = await ratings.read_league(connection, lock=True)
            order.append(name)
            held.set()
            await go.wait()
            await ratings.write_league(connection, replace(found, results=found.results + 1))

    first, second, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    one = asyncio.create_task(settle("first", first, go))
    await first.wait()
    two = asyncio.create_task(settle("second", second, go))
    await asyncio.sleep(0.1)
    assert order == ["first"]
    go.set()
    await asyncio.gather(one, two)
    async with database.read() as connection:
        assert (await ratings.read_league(connection)).results == 2


async def test_ratings_are_written_and_written_over(database: Database) -> None:
    async with database.write() as connection:
        await ratings.write_team(connection, "FC  Bayern", Team(0.1, 0.2, 1))
        await ratings.write_team(connection, "fc bayern", Team(0.3, 0.4, 2))
        await ratings.write_league(connection, League(0.1, 0.2, 9))
    async with database.read() as connection:
        bayern = ratings.key_of("FC BAYERN")
        assert await ratings.read_teams(connection, [bayern, "leeds"]) == {bayern: Team(0.3, 0.4, 2)}
        assert await ratings.read_league(connection) == League(0.1, 0.2, 9)
        assert (await connection.execute(sa.select(teams.c.name))).scalars().all() == ["FC  Bayern"]


async def test_only_open_predictions_of_these_teams_are_scored(database: Database) -> None:
    rows = [
        prediction(home_team="ARSENAL"),
        prediction(home_team="Leeds"),
        prediction(match_id="m2"),
        prediction(tenant="synthetic"),
        prediction(outcome="draw", log_loss=1.0, rps=0.1),
    ]
    async with database.write() as connection:
        await predictions.insert_predictions(connection, rows)
        scored = await predictions.score(
            connection,
            tenant="public",
            match_id="m1",
            home_team="Arsenal",
            away_team="Chelsea",
            outcome=Outcome.HOME,
        )
    assert [(one.favourite_won, round(one.log_loss, 4)) for one in scored] == [(True, 0.6931)]
    assert {one.id: one.outcome for one in await stored(database)} == {
        rows[0].id: "home",
        rows[1].id: None,
        rows[2].id: None,
        rows[4].id: "draw",
    }


async def test_a_match_is_found_by_tenant_and_id(database: Database) -> None:
    match = Match("public", "m1", "Arsenal", "Chelsea", 2, 1, NOW)
    async with database.write() as connection:
        await matches.insert_match(connection, match)
    async with database.read() as connection:
        assert await matches.find(connection, "public", "m1") == match
        assert await matches.find(connection, "synthetic", "m1") is None


async def test_a_second_request_with_a_key_waits_for_the_first(database: Database) -> None:
    key = Key("public /predictions", "k", "f")
    claimed, finish = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.write() as connection:
            assert await idempotency.claim(connection, key) is None
            claimed.set()
            await finish.wait()
            await idempotency.remember(connection, key, Reply(201, "{}"))

    async def second() -> Reply | None:
        async with database.write() as connection:
            return await idempotency.claim(connection, key)

    one = asyncio.create_task(first())
    await claimed.wait()
    two = asyncio.create_task(second())
    await asyncio.sleep(0.1)
    assert not two.done()
    finish.set()
    await one
    assert await two == Reply(201, "{}")


async def test_a_key_that_failed_is_free_again(database: Database) -> None:
    key = Key("public /predictions", "k", "f")
    with pytest.raises(RuntimeError):
        async with database.write() as connection:
            await idempotency.claim(connection, key)
            raise RuntimeError
    async with database.write() as connection:
        assert await idempotency.claim(connection, replace(key, fingerprint="other")) is None
    with pytest.raises(KeyReusedError):
        async with database.write() as connection:
            await idempotency.claim(connection, key)


async def test_the_sweep_takes_old_synthetic_rows_alone(database: Database) -> None:
    old, new = NOW - timedelta(days=2), NOW - timedelta(hours=2)
    rows = [
        prediction(tenant=tenant, created_at=at) for tenant in ("public", "synthetic") for at in (old, new)
    ]
    many = [prediction(tenant="synthetic", created_at=old) for _ in range(1200)]
    async with database.write() as connection:
        await predictions.insert_predictions(connection, rows + many)
        await matches.insert_match(connection, Match("synthetic", "m1", "A", "B", 1, 0, old))
        await matches.insert_match(connection, Match("public", "m1", "A", "B", 1, 0, old))
    assert await retention.sweep(database, but="public", now=NOW) == 1202
    assert len(await stored(database)) == 2
    assert [one.created_at for one in await stored(database, "synthetic")] == [new]


async def test_a_database_without_schema_says_so(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(LookupError, match="alembic upgrade head"):
        await database.check()
    await database.close()


async def test_a_server_that_is_not_there_is_unavailable_soon(free_port: int) -> None:
    database = Database(f"postgresql+psycopg://x@127.0.0.1:{free_port}/x")
    with pytest.raises(DatabaseUnavailableError):
        await database.check()
    await database.close()


async def test_a_statement_that_takes_too_long_is_ended(database_url: str) -> None:
    database = Database(database_url, statement_timeout=0.1)
    with pytest.raises(DatabaseUnavailableError, match="statement timeout"):
        async with database.read() as connection:
            await connection.execute(sa.select(sa.func.pg_sleep(30)))
    await database.check()
    await database.close()


async def test_lost_connections_are_replaced(make_app: Callable[..., Service], database_url: str) -> None:
    """The database throws everybody out, as on a failover: the pool notices before requests do."""
    async with serving(make_app()) as client:
        await asyncio.gather(*(client.post("/predictions", json=MATCH) for _ in range(20)))
        throw_everybody_out(database_url)
        answers = await asyncio.gather(*(client.get("/predictions") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert (await client.post("/predictions", json=MATCH)).status_code == 201


async def test_predictions_are_stored_while_the_table_grows_and_shrinks(
    empty_database_url: str,
) -> None:
    """The statement that stores them is prepared, and migrations change its table."""
    database = Database(empty_database_url)
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    made = [prediction() for _ in range(40)]
    changes = ("ADD COLUMN note text NOT NULL DEFAULT 'none'", "ADD COLUMN more integer", "DROP COLUMN note")
    for number, one in enumerate(made):
        if number and number % 10 == 0:
            async with database.write() as connection:
                await connection.execute(sa.text(f"ALTER TABLE predictions {changes[number // 10 - 1]}"))
        await store(database, [one])
    assert await stored(database) == made[::-1]
    await database.close()


async def test_a_transaction_that_lost_its_connection_stored_nothing(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DatabaseUnavailableError):
        async with database.write() as connection:
            await predictions.insert_predictions(connection, [prediction()])
            throw_everybody_out(database_url)
            await predictions.insert_predictions(connection, [prediction()])
    assert await stored(database) == []
    await database.close()


def throw_everybody_out(database_url: str) -> None:
    """End all connections to this database."""
    administrate(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )


@contextmanager
def closed_for_maintenance(database_url: str) -> Iterator[None]:
    """Let nobody connect, and throw out who is connected."""
    administrate(database_url, "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    throw_everybody_out(database_url)
    try:
        yield
    finally:
        administrate(database_url, "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")


def administrate(database_url: str, statement: str) -> None:
    """Run a statement about a database from outside of it."""
    url = make_url(database_url)
    engine = sa.create_engine(
        url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        connection.execute(sa.text(statement.format(name=url.database)))
    engine.dispose()


async def test_more_requests_than_connections_wait_for_their_turn(make_app: Callable[..., Service]) -> None:
    async with serving(make_app()) as client:
        answers = await asyncio.gather(
            *(
                client.post("/predictions", json=MATCH, headers={"Idempotency-Key": f"k{number}"})
                for number in range(100)
            )
        )
        assert {answer.status_code for answer in answers} == {201}


async def test_a_failed_result_changes_no_rating(
    make_app: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of settling fails: result, scores and ratings go back together."""

    async def broken(*_: object) -> None:
        raise RuntimeError("disk on fire")

    async with serving(make_app()) as client:
        await client.post("/predictions", json={**MATCH, "match_id": "m1"})
        with monkeypatch.context() as patch:
            patch.setattr(ratings, "write_team", broken)
            failed = await client.post("/matches/m1/result", json={**MATCH, "home_goals": 3, "away_goals": 0})
        assert failed.status_code == 500
        (only,) = (await client.get("/predictions")).json()["items"]
        assert only["score"] is None
        settled = await client.post("/matches/m1/result", json={**MATCH, "home_goals": 0, "away_goals": 0})
        assert (settled.status_code, settled.json()["predictions_scored"]) == (201, 1)
        assert (await client.post("/predictions", json=MATCH)).json()["results_seen"] == 1


@pytest.fixture
def empty(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    return empty_database_url


def test_migrations_lead_to_what_the_code_expects_and_back(empty: str) -> None:
    command.upgrade(CONFIG, "head")
    engine = migration_engine(empty)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        found = connection.execute(sa.select(league)).one()
        assert (found.id, found.results) == (1, 0)
    command.downgrade(CONFIG, "base")
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    command.upgrade(CONFIG, "head")
    engine.dispose()


@pytest.mark.parametrize(("before", "after"), list(pairwise(REVISIONS)))
def test_the_release_before_serves_while_a_migration_runs(empty: str, before: str, after: str) -> None:
    command.upgrade(CONFIG, before)
    engine = migration_engine(empty)
    old = sa.MetaData()
    old.reflect(engine)
    with old_code_at_work(engine, old) as rounds:
        command.upgrade(CONFIG, after)
    engine.dispose()
    assert len(rounds) > 1


def test_two_deployments_that_migrate_at_once_take_turns(empty: str) -> None:
    arguments = [sys.executable, "-m", "alembic", "upgrade", "head"]
    both = [
        subprocess.Popen(arguments, cwd=ROOT, env={"DATABASE_URL": empty}, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    messages = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Running upgrade  -> 0001" in message for message in messages) == 1


def test_a_migration_does_not_make_the_service_queue_behind_a_long_query(empty: str) -> None:
    """It gives up after its lock timeout instead, and the schema stays."""
    command.upgrade(CONFIG, "0001")
    engine = migration_engine(empty)
    with engine.connect() as reader:
        reader.execute(sa.select(prediction_rows.c.id).limit(1))
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
            command.upgrade(CONFIG, "head")
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "0001"
    engine.dispose()


async def test_readiness_follows_the_database(make_app: Callable[..., Service], database_url: str) -> None:
    """A database in maintenance refuses connections: not ready; ready again when it is back."""
    async with serving(make_app()) as client:
        assert (await client.get("/health/ready")).status_code == 200
        with closed_for_maintenance(database_url):
            refused = await client.get("/health/ready")
            made = await client.post("/predictions", json=MATCH)
            listed = await asyncio.gather(*(client.get("/predictions") for _ in range(40)))
            assert "\ndatabase_connections_in_use 0.0\n" in (await client.get("/metrics")).text
        assert {answer.status_code for answer in listed} == {503}
        assert refused.status_code == 503
        assert refused.json()["checks"]["database"]["status"] == "down"
        assert made.status_code == 503

        async def ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await eventually(ready, "ready again")
        assert "\ndatabase_connections_in_use 0.0\n" in (await client.get("/metrics")).text
