"""Results of matches."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.storage.tables import matches


@dataclass(frozen=True, slots=True)
class Match:
    """A played match; the fields are the table's columns."""

    tenant: str
    id: str
    home_team: str
    away_team: str
    home_goals: int
    away_goals: int
    settled_at: datetime


async def find(connection: AsyncConnection, tenant: str, match_id: str) -> Match | None:
    """Return a match that was settled; ``None`` when it was not."""
    query = sa.select(matches).where(matches.c.tenant == tenant, matches.c.id == match_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else Match(**row)


async def insert_match(connection: AsyncConnection, match: Match) -> None:
    """Store a result."""
    await connection.execute(
        matches.insert().values({field: getattr(match, field) for field in Match.__slots__})
    )
