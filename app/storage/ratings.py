"""Ratings of the league and of its teams."""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.model.goals import League, Team
from app.storage.engine import insert
from app.storage.tables import league, teams

_LEAGUE = sa.select(league.c.base, league.c.home_advantage, league.c.results)
_TEAMS = sa.select(teams.c.key, teams.c.attack, teams.c.defence, teams.c.played)


def key_of(name: str) -> str:
    """Return what two spellings of a team's name share: case and spaces do not tell teams apart."""
    return " ".join(name.split()).casefold()


async def read_league(connection: AsyncConnection, *, lock: bool = False) -> League:
    """Return the league's numbers; with ``lock``, nobody else settles a result until the transaction ends."""
    row = (await connection.execute(_LEAGUE.with_for_update() if lock else _LEAGUE)).one()
    return League(base=row.base, home_advantage=row.home_advantage, results=row.results)


async def read_teams(connection: AsyncConnection, keys: Sequence[str]) -> dict[str, Team]:
    """Return the ratings of those teams that ever played."""
    found = (await connection.execute(_TEAMS.where(teams.c.key.in_(keys)))).all()
    return {key: Team(attack, defence, played) for key, attack, defence, played in found}


async def write_league(connection: AsyncConnection, new: League) -> None:
    """Store the league's numbers."""
    await connection.execute(
        league.update().values(base=new.base, home_advantage=new.home_advantage, results=new.results)
    )


async def write_team(connection: AsyncConnection, name: str, new: Team) -> None:
    """Store a team's rating; the name is kept as it was first written."""
    values = {
        "attack": new.attack,
        "defence": new.defence,
        "played": new.played,
        "updated_at": datetime.now(UTC),
    }
    await connection.execute(
        insert(connection, teams)
        .values(key=key_of(name), name=name, **values)
        .on_conflict_do_update(index_elements=[teams.c.key], set_=values)
    )
