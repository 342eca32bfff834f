"""The engine: connections, transactions, and what differs between SQLite and PostgreSQL."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.storage.tables import league
from app.telemetry import tracing

Server = Literal["read-write", "standby"]
_POOL_WAIT_SECONDS = 5.0
_BUSY_MILLISECONDS = 5000


class DatabaseUnavailableError(Exception):
    """The database does not answer, or has no free connection in time."""


class Reader(Protocol):
    """Whatever answers queries."""

    async def rows(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        """Return what a query finds.

        Raises:
            DatabaseUnavailableError: It does not answer.
        """


class Database:
    """Connections to one database.

    Args:
        url: SQLAlchemy address with an asynchronous driver. For PostgreSQL it may name several hosts.
        statement_timeout: Longest a statement may run on PostgreSQL, in seconds.
        server: Which of several hosts: the one that takes writes, or one that follows it.
    """

    def __init__(self, url: str, *, statement_timeout: float = 10.0, server: Server = "read-write") -> None:
        parsed = make_url(url)
        self.dialect = parsed.get_backend_name()
        self._engine = create_async_engine(parsed, **_options(parsed, statement_timeout, server))
        _tune(self._engine.sync_engine)
        _trace(self._engine.sync_engine)
        # For a single statement: without BEGIN and COMMIT around it, one journey instead of three.
        self._single = (
            self._engine.execution_options(isolation_level="AUTOCOMMIT")
            if self.dialect == "postgresql"
            else self._engine
        )
        # SQLite has one writer, and polls for its turn; within this process a queue is fairer and faster.
        self._turn: AbstractAsyncContextManager[None] = (
            asyncio.Lock() if self.dialect == "sqlite" else nullcontext()
        )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading; each statement sees what is committed by then.

        Raises:
            DatabaseUnavailableError: It does not answer.
        """
        with _translated():
            async with self._single.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction: committed at the end, rolled back on any error.

        Raises:
            DatabaseUnavailableError: It does not answer; nothing was stored.
        """
        with _translated():
            async with self._turn, self._engine.connect() as plain:
                connection = await plain.execution_options(writes=True)
                async with connection.begin():
                    yield connection

    async def rows(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        """Return what a query finds.

        Raises:
            DatabaseUnavailableError: It does not answer.
        """
        async with self.read() as connection:
            found: Sequence[sa.RowMapping] = (await connection.execute(query)).mappings().all()
        return found

    async def check(self) -> None:
        """Read one row of the schema.

        Raises:
            DatabaseUnavailableError: It does not answer.
            LookupError: It answers, and the migrations have not run.
        """
        try:
            async with self.read() as connection:
                await connection.execute(sa.select(league.c.id).limit(1))
        except (DatabaseUnavailableError, ProgrammingError) as error:
            async with self.read() as connection:
                if await connection.run_sync(lambda sync: sa.inspect(sync).has_table(league.name)):
                    raise
            raise LookupError("the schema is missing: run `alembic upgrade head`") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @property
    def connections_in_use(self) -> int:
        """The number of connections taken from the pool, by the pool's own account."""
        return cast(sa.QueuePool, self._engine.pool).checkedout()


def insert(connection: AsyncConnection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def migration_engine(url: str) -> sa.Engine:
    """Return a plain engine for Alembic, on the database that the service reaches with ``url``."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        parsed = parsed.set(drivername="sqlite")
    arguments = {"target_session_attrs": "read-write"} if has_several_hosts(parsed) else {}
    engine = sa.create_engine(parsed, poolclass=sa.NullPool, connect_args=arguments)
    _tune(engine, always_writes=True)
    return engine


def has_several_hosts(url: URL) -> bool:
    """Return whether an address names a primary and its replicas: ``…/name?host=one:5432&host=two:5432``."""
    return isinstance(url.query.get("host"), tuple)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors of availability into ours, and leave mistakes of our own as they are."""
    try:
        yield
    except (OperationalError, PoolTimeoutError, OSError) as error:
        raise DatabaseUnavailableError(_cause(error)) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise DatabaseUnavailableError(_cause(error)) from error


def _cause(error: Exception) -> str:
    """Return what the driver said, without the statement and its values."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(original).__name__}: {original}".splitlines()[0]


def _options(url: URL, statement_timeout: float, server: Server) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        # Every connection is a thread; writers take turns, so a few are enough.
        return {"pool_size": 4, "max_overflow": 0, "pool_timeout": _POOL_WAIT_SECONDS}
    return {
        # No overflow: such connections are opened and closed again for every burst of requests.
        "pool_size": 12,
        "max_overflow": 0,
        "pool_timeout": _POOL_WAIT_SECONDS,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
        "connect_args": {
            "connect_timeout": 3,
            "options": f"-c statement_timeout={int(statement_timeout * 1000)} -c timezone=utc",
            # The driver asks each host in turn what it is, so it finds the new primary after a failover too.
            **({"target_session_attrs": server} if has_several_hosts(url) else {}),
        },
    }


def _trace(engine: sa.Engine) -> None:
    """Let the statements of a traced request be part of its trace."""

    def traced(
        execute: Callable[..., None], cursor: object, statement: str, values: object, context: object
    ) -> bool:
        with tracing.asked(engine.dialect.name, statement.split(maxsplit=1)[0].upper(), statement):
            execute(cursor, statement, values, context)
        return True  # done: SQLAlchemy need not

    for event in ("do_execute", "do_executemany"):
        sa.event.listen(engine, event, partial(traced, getattr(engine.dialect, event)))


def _tune(engine: sa.Engine, *, always_writes: bool = False) -> None:
    """Let SQLite serve several processes: readers beside one writer, who waits before it reads."""
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would begin transactions late and as readers, who cannot become writers beside another.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        writes = always_writes or connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
