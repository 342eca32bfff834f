"""The assembly: settings in, application out."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from sqlalchemy.engine import make_url
from starlette.middleware.cors import CORSMiddleware

from app.api import checks, health, matches, predictions, problems
from app.api.envelope import Envelope
from app.cache.tiered import TieredCache
from app.drain import Drain
from app.model.goals import League, Team
from app.service import PUBLIC, Football, RatingCodec
from app.settings import Settings
from app.storage import retention
from app.storage.engine import Database, DatabaseUnavailableError, has_several_hosts
from app.tasks import end
from app.telemetry import logs, metrics, tracing
from app.telemetry.clients import ActiveClients

if TYPE_CHECKING:
    from app.storage.replica import ReplicaFirst

_LOG = logging.getLogger(__name__)
# Processes of two releases share Redis while one replaces the other: raise it when the values change shape.
_CACHE_FORMAT = 1
_SWEEP_SECONDS = 3600.0
_MEASURE_SECONDS = 5.0


class Service(FastAPI):
    """The application; its OpenAPI document describes errors as they are answered."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, with problem documents where the framework would describe its own errors."""
        if self.openapi_schema is None:
            schemas = super().openapi()["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas.update(problems.schemas())
        return super().openapi()


def create_app(settings: Settings, *, handle_signals: bool = False) -> Service:
    """Return the application.

    Args:
        settings: The checked environment.
        handle_signals: Whether SIGTERM starts to drain; only the process that serves wants that.
    """
    telemetry, flush = tracing.configure(settings)
    drain = Drain(settings.shutdown_grace)
    clients = ActiveClients()
    app = Service(
        title="Football predictions",
        summary="Probabilities and expected scores of football matches, learned from posted results.",
        version="1.0.0",
        lifespan=partial(
            _running, settings=settings, clients=clients, flush=flush, drain=drain if handle_signals else None
        ),
        telemetry=telemetry,
        redirect_slashes=False,
    )
    app.state.settings, app.state.drain = settings, drain
    keys = {"now": settings.api_key, "next": settings.api_key_next}
    given = {name: key.get_secret_value().encode() for name, key in keys.items()}
    # Without a key of now the check is off, whatever comes next.
    app.state.api_keys = {name: key for name, key in given.items() if key} if given["now"] else {}
    routers = [module.router for module in (predictions, matches, checks, health)]
    for router in routers:
        app.include_router(router)
    problems.install(app, [route for router in routers for route in router.routes])
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Idempotency-Key", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Release", "X-Request-ID", "Idempotent-Replayed"],
        )
    # Added last, so it is the first that a request meets.
    app.add_middleware(Envelope, drain=drain, clients=clients, timeout=settings.request_timeout)
    return app


def application() -> Service:
    """Return the application for the server process, configured by the environment."""
    settings = Settings()
    logs.configure(settings.log_level, settings.kickoff_release)
    return create_app(settings, handle_signals=True)


@asynccontextmanager
async def _running(
    app: FastAPI,
    *,
    settings: Settings,
    clients: ActiveClients,
    flush: Callable[[], None],
    drain: Drain | None,
) -> AsyncIterator[None]:
    """Open all that the service needs while it runs, and close it, the last first, however that ends."""
    metrics.forget_dead_workers()
    metrics.RELEASE.labels(settings.kickoff_release).set(1)
    url, longest = settings.database_url.get_secret_value(), settings.request_timeout
    async with AsyncExitStack() as opened:
        opened.push_async_callback(asyncio.to_thread, flush)
        database = Database(url, statement_timeout=longest)
        opened.push_async_callback(database.close)
        replica = _replica(database, url, longest)
        if replica is not None:
            opened.push_async_callback(replica.close)
        cache: TieredCache[League | Team] = TieredCache(
            RatingCodec(),
            redis_url=settings.redis_url.get_secret_value(),
            prefix=f"football:{settings.app_env}:{_CACHE_FORMAT}:",
            seconds=settings.cache_ttl,
        )
        opened.push_async_callback(cache.close)
        await cache.open()
        app.state.database, app.state.football = database, Football(database, cache)
        app.state.cache, app.state.replica, app.state.history = cache, replica, replica or database
        app.state.measure = partial(_measure, clients, cache, database, replica)
        tasks = [
            asyncio.create_task(_sweep(database), name="retention"),
            asyncio.create_task(_repeat(app.state.measure), name="measure"),
        ]
        opened.push_async_callback(end, tasks)
        if drain is not None:
            drain.install()
        yield


def _replica(database: Database, url: str, statement_timeout: float) -> "ReplicaFirst | None":
    """Return who reads history, where the address names a replica beside the primary."""
    if not has_several_hosts(make_url(url)):
        return None
    # The circuit breaker brings redis-py along, which a service on one database need not import.
    from app.storage.replica import ReplicaFirst  # noqa: PLC0415

    return ReplicaFirst(database, Database(url, statement_timeout=statement_timeout, server="standby"))


def _measure(
    clients: ActiveClients,
    cache: TieredCache[League | Team],
    database: Database,
    replica: "ReplicaFirst | None",
) -> None:
    """Set the gauges from what they describe: a count kept beside it stays wrong after one missed event."""
    metrics.ACTIVE_CLIENTS.set(clients.count())
    metrics.CACHE_REMOTE_UP.set(cache.remote_used)
    metrics.DATABASE_REPLICA_UP.set(replica is not None and replica.used)
    pools = (database, replica) if replica is not None else (database,)
    metrics.DATABASE_CONNECTIONS.set(sum(pool.connections_in_use for pool in pools))


async def _repeat(measure: Callable[[], None]) -> None:
    """Keep this process's gauges up to date for the others: whichever is asked tells of all."""
    while True:
        measure()
        await asyncio.sleep(_MEASURE_SECONDS)


async def _sweep(database: Database) -> None:
    """Once an hour delete what is not kept; workers start at different times so as not to meet."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311
        try:
            deleted = await retention.sweep(database, but=PUBLIC)
        except DatabaseUnavailableError as error:
            _LOG.warning("nothing swept: the database is unavailable", extra={"cause": str(error)})
        else:
            _LOG.info("swept", extra={"rows": deleted})
