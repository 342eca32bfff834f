"""What is not kept: traffic of the pipeline's checks, and answers nobody will ask for again."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.storage.engine import Database
from app.storage.tables import idempotency_keys, matches, predictions

KEPT = timedelta(days=1)
# Small steps: SQLite has one writer, and nobody should wait for a sweep.
_STEP = 500


async def sweep(database: Database, *, tenant: str, now: datetime | None = None) -> int:
    """Delete predictions and matches of ``tenant`` and idempotency keys older than a day; return how many."""
    before = (now or datetime.now(UTC)) - KEPT
    deleted = 0
    while True:
        old = (
            sa.select(predictions.c.seq)
            .where(predictions.c.tenant == tenant, predictions.c.created_at < before)
            .order_by(predictions.c.seq)
            .limit(_STEP)
        )
        async with database.write() as connection:
            step = await connection.execute(predictions.delete().where(predictions.c.seq.in_(old)))
        deleted += step.rowcount
        if step.rowcount < _STEP:
            break
    async with database.write() as connection:
        for statement in (
            matches.delete().where(matches.c.tenant == tenant, matches.c.settled_at < before),
            idempotency_keys.delete().where(idempotency_keys.c.created_at < before),
        ):
            deleted += (await connection.execute(statement)).rowcount
    return deleted
