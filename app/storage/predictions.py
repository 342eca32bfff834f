"""Stored predictions."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.model.scoring import Outcome, favourite, log_loss, ranked_probability_score
from app.storage.engine import Reader
from app.storage.ratings import key_of
from app.storage.tables import predictions


@dataclass(frozen=True, slots=True)
class Prediction:
    """A forecast that somebody was given; the fields are the table's columns."""

    id: uuid.UUID
    tenant: str
    match_id: str | None
    home_team: str
    away_team: str
    home: float
    draw: float
    away: float
    home_goals: float
    away_goals: float
    likely_home: int
    likely_away: int
    model_version: str
    results_seen: int
    created_at: datetime
    outcome: str | None = None
    log_loss: float | None = None
    rps: float | None = None


_FIELDS = Prediction.__slots__


def _row(prediction: Prediction) -> dict[str, Any]:
    return {field: getattr(prediction, field) for field in _FIELDS}


async def insert_predictions(connection: AsyncConnection, rows: Sequence[Prediction]) -> None:
    """Store predictions within the caller's transaction."""
    await connection.execute(predictions.insert(), [_row(row) for row in rows])


async def page(
    reader: Reader, *, tenant: str, match_id: str | None, before: int | None, limit: int
) -> tuple[list[Prediction], int | None]:
    """Return the newest predictions first, and the place from which the next page continues.

    Args:
        reader: Where they are stored.
        tenant: Whose predictions.
        match_id: Only those of this match; ``None`` for all.
        before: The place that the last page returned; ``None`` for the first page.
        limit: Most predictions on the page.
    """
    query = (
        sa.select(predictions)
        .where(predictions.c.tenant == tenant)
        .order_by(predictions.c.seq.desc())
        .limit(limit + 1)
    )
    if match_id is not None:
        query = query.where(predictions.c.match_id == match_id)
    if before is not None:
        query = query.where(predictions.c.seq < before)
    rows = await reader.rows(query)
    found = [Prediction(**{field: row[field] for field in _FIELDS}) for row in rows[:limit]]
    return found, rows[limit - 1]["seq"] if len(rows) > limit else None


@dataclass(frozen=True, slots=True)
class Settled:
    """How one prediction fared."""

    favourite_won: bool
    log_loss: float


async def score(
    connection: AsyncConnection,
    *,
    tenant: str,
    match_id: str,
    home_team: str,
    away_team: str,
    outcome: Outcome,
) -> list[Settled]:
    """Score every open prediction of a match, within the caller's transaction."""
    table = predictions.c
    query = sa.select(table.seq, table.home_team, table.away_team, table.home, table.draw, table.away).where(
        table.tenant == tenant, table.match_id == match_id, table.outcome.is_(None)
    )
    teams = key_of(home_team), key_of(away_team)
    rows = [
        row
        for row in (await connection.execute(query)).all()
        if (key_of(row.home_team), key_of(row.away_team)) == teams
    ]
    if not rows:
        return []
    losses = [log_loss(row.home, row.draw, row.away, outcome) for row in rows]
    await connection.execute(
        predictions.update()
        .where(table.seq == sa.bindparam("place"))
        .values(outcome=outcome.value, log_loss=sa.bindparam("loss"), rps=sa.bindparam("ranked")),
        [
            {
                "place": row.seq,
                "loss": loss,
                "ranked": ranked_probability_score(row.home, row.draw, outcome),
            }
            for row, loss in zip(rows, losses, strict=True)
        ],
    )
    return [
        Settled(favourite(row.home, row.draw, row.away) is outcome, loss)
        for row, loss in zip(rows, losses, strict=True)
    ]
