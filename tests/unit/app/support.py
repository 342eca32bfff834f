"""What the tests of the service share: the application in this process, and as a process of its own."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvicorn
from httpx import ASGITransport, AsyncClient

from app.cache.tiered import TieredCache
from app.main import Service
from app.model.goals import League, Team

ROOT = Path(__file__).resolve().parents[3]
RELEASE = "0123abc-45678def"
# Whatever proxy the machine uses for the outside, nobody here is there.
PROXIES = [f"{which}_proxy" for which in ("http", "https", "all", "no")]
_RUNNING = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")
_PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def serving(app: Service) -> AsyncIterator[AsyncClient]:
    """Run the application's life cycle around a client that talks to it in this process."""
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://football") as client,
    ):
        yield client


async def value_of(
    cache: TieredCache[League | Team], key: str, load: Callable[[], Awaitable[Team | None]]
) -> League | Team | None:
    """Return what a cache has for one key, or what ``load`` finds."""

    async def read(keys: Sequence[str]) -> dict[str, League | Team]:
        value = await load()
        return {} if value is None else dict.fromkeys(keys, value)

    return (await cache.get_all([key], read))[key]


@dataclass(frozen=True)
class Listener:
    """The service on a port of this process.

    Attributes:
        app: The service.
        url: Its address.
        port: Its port.
        stop: Does what the server does on SIGTERM once the drain lets it.
        ended: Done when it has ended.
    """

    app: Service
    url: str
    port: int
    stop: Callable[[], None]
    ended: asyncio.Task[None]


@asynccontextmanager
async def listening(app: Service) -> AsyncIterator[Listener]:
    """Serve on a port in this process: when the machine is busy, both sides of a connection wait alike."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=0,
            headers=[("X-Release", RELEASE)],
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
        )
    )
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)

    def stop() -> None:
        server.should_exit = True

    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Listener(app, f"http://127.0.0.1:{port}", port, stop, task)
    finally:
        stop()
        await task


class ServerProcess:
    """``python -m app`` on a port of its own choice, as it runs in an environment.

    Args:
        environment: The service's settings.
    """

    def __init__(self, **environment: str) -> None:
        self.logs: list[dict[str, Any]] = []
        self.port = 0
        self._workers = int(environment.get("API_WORKERS", "1"))
        self._started = 0
        self._listening = threading.Event()
        self._said = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "--port", "0"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "KICKOFF_RELEASE": RELEASE, **environment, "LOG_LEVEL": "info"},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """The address of the running server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def __enter__(self) -> "ServerProcess":
        if not self._listening.wait(_PATIENCE_SECONDS) or not self.port:
            self.stop()
            raise RuntimeError(f"the service did not start: {self.logs}")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for_log(self, message: str) -> None:
        """Wait until the process has said so."""
        with self._said:
            if not self._said.wait_for(
                lambda: any(entry["message"] == message for entry in self.logs), _PATIENCE_SECONDS
            ):
                raise AssertionError(f"never logged: {message}")

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        code = self._process.wait(_PATIENCE_SECONDS)
        self._reader.join(_PATIENCE_SECONDS)
        return code

    def stop(self) -> int:
        """End the process, the hard way if it must be; return the exit code."""
        if self._process.poll() is None:
            self.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self.wait()
        finally:
            if self._process.stderr is not None:
                self._process.stderr.close()

    def _read(self) -> None:
        stream = self._process.stderr
        for line in stream or ():
            entry = json.loads(line) if line.startswith("{") else {"message": line}
            with self._said:
                self.logs.append(entry)
                self._said.notify_all()
            if found := _RUNNING.search(entry["message"]):
                self.port = int(found[1])
            self._started += entry["message"] == "Application startup complete."
            if self.port and self._started == self._workers:
                self._listening.set()
        self._listening.set()


@contextmanager
def old_code_at_work(engine: sa.Engine, tables: sa.MetaData) -> Iterator[list[int]]:
    """Use the tables as the release before would, while the body runs and once more after it.

    Gives the list of rounds done. Any error of the old code fails the test.
    """
    rounds: list[int] = []
    errors: list[Exception] = []
    begun, stop = threading.Event(), threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                _use_every_table(engine, tables, f"row {len(rounds)}")
                rounds.append(len(rounds))
                begun.set()
        except Exception as error:
            errors.append(error)
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(_PATIENCE_SECONDS)
    try:
        yield rounds
    finally:
        stop.set()
        thread.join(_PATIENCE_SECONDS)
    if errors:
        raise errors[0]
    _use_every_table(engine, tables, "last row")
    rounds.append(len(rounds))


def _use_every_table(engine: sa.Engine, tables: sa.MetaData, mark: str) -> None:
    """Insert, read, update and delete with the columns that the old code knows."""
    for table in tables.sorted_tables:
        if table.name in ("alembic_version", "league"):
            continue
        row = {column.name: _sample(column, mark) for column in table.columns if column.name != "seq"}
        key = "id" if "id" in row else "key"
        with engine.begin() as connection:
            connection.execute(table.insert().values(row))
            found = connection.execute(sa.select(table).where(table.c[key] == row[key])).mappings().one()
            assert {name: found[name] for name in row} == row
            connection.execute(table.update().where(table.c[key] == row[key]).values(row))
            assert connection.execute(table.delete().where(table.c[key] == row[key])).rowcount == 1


def _sample(column: sa.Column[Any], mark: str) -> object:
    """Return a value that fits the column."""
    aware = getattr(column.type, "timezone", False)
    samples: dict[type, Callable[[], object]] = {
        str: lambda: mark[: getattr(column.type, "length", None)],
        int: lambda: 1,
        float: lambda: 0.5,
        uuid.UUID: lambda: uuid.uuid5(uuid.NAMESPACE_OID, mark),
        datetime: lambda: datetime(2026, 5, 24, 15, tzinfo=UTC if aware else None),
    }
    return samples[column.type.python_type]()
