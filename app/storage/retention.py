"""What is not kept: what the pipeline's checks stored, and answers nobody will ask for again."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.storage.engine import Database
from app.storage.tables import idempotency_keys, matches, predictions

KEPT = timedelta(days=1)
# Small steps: SQLite has one writer, and nobody should wait for a sweep.
_STEP = 500


async def sweep(database: Database, *, but: str, now: datetime | None = None) -> int:
    """Delete what is older than a day, but nothing of one tenant except its idempotency keys.

    Args:
        database: Where it is stored.
        but: The tenant whose predictions and matches stay.
        now: The end of the day; the present when left out.

    Returns:
        How many rows were deleted.
    """
    before = (now or datetime.now(UTC)) - KEPT
    async with database.read() as connection:
        tenants = [
            tenant
            for table in (predictions, matches)
            async for tenant in _tenants(connection, table)
            if tenant != but
        ]
    deleted = 0
    for tenant in sorted(set(tenants)):
        deleted += await _delete(database, tenant, before)
    async with database.write() as connection:
        old_keys = await connection.execute(
            idempotency_keys.delete().where(idempotency_keys.c.created_at < before)
        )
    return deleted + old_keys.rowcount


async def forget(database: Database, tenant: str) -> int:
    """Delete everything that a tenant stored; return how many predictions and matches that were."""
    deleted = await _delete(database, tenant, None)
    scopes = idempotency_keys.c.scope.startswith(f"{tenant} ", autoescape=True)
    async with database.write() as connection:
        await connection.execute(idempotency_keys.delete().where(scopes))
    return deleted


async def _delete(database: Database, tenant: str, before: datetime | None) -> int:
    deleted, step = 0, _STEP
    while step == _STEP:
        some = sa.select(predictions.c.seq).where(predictions.c.tenant == tenant)
        if before is not None:
            some = some.where(predictions.c.created_at < before)
        some = some.order_by(predictions.c.seq).limit(_STEP)
        rows = predictions.delete().where(predictions.c.seq.in_(some))
        async with database.write() as connection:
            step = (await connection.execute(rows)).rowcount
        deleted += step
    played = matches.delete().where(matches.c.tenant == tenant)
    if before is not None:
        played = played.where(matches.c.settled_at < before)
    async with database.write() as connection:
        return deleted + (await connection.execute(played)).rowcount


async def _tenants(connection: AsyncConnection, table: sa.Table) -> AsyncIterator[str]:
    """Give each tenant once, by one look into the index for each: most rows belong to one tenant."""
    tenant: str | None = ""
    while tenant is not None:
        tenant = await connection.scalar(
            sa.select(sa.func.min(table.c.tenant)).where(table.c.tenant > tenant)
        )
        if tenant is not None:
            yield tenant
