"""The use cases: predict matches, list predictions, settle results. HTTP is not known here."""

import base64
import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app.cache.tiered import TieredCache
from app.model.goals import AVERAGE_TEAM, MODEL_VERSION, League, Team, forecast
from app.model.learning import learn
from app.model.scoring import outcome_of
from app.storage import matches, predictions, ratings
from app.storage.engine import Database
from app.storage.matches import Match
from app.storage.predictions import Prediction, Settled
from app.telemetry import metrics

PUBLIC = "public"
_LEAGUE_KEY, _TEAM_KEY = "league", "team:"


def tenant_of(check: str | None) -> str:
    """Return whose data a request reads and writes: the public's, or those of one check of the pipeline.

    Checks of different names do not see each other. The digest has 36 bits, for a few hundred names a day.
    """
    if not check:
        return PUBLIC
    digest = base64.urlsafe_b64encode(hashlib.sha256(check.encode()).digest()).decode()
    return f"synthetic:{digest[:6]}"


class ResultConflictError(Exception):
    """The match was settled before, with another result."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A match to predict; ``match_id`` ties the prediction to the result that will be posted."""

    home_team: str
    away_team: str
    match_id: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a posted result changed.

    Attributes:
        match: The result as it is stored.
        created: Whether it is new; the same result posted again changes nothing.
        rated: Whether ratings learned from it; results of synthetic traffic teach nothing.
        scored: How the predictions of this match fared.
    """

    match: Match
    created: bool
    rated: bool
    scored: Sequence[Settled]


class RatingCodec:
    """Ratings as JSON; the class travels with the value."""

    def encode(self, value: League | Team | None) -> bytes:
        """Return the rating as JSON."""
        if value is None:
            return b"null"
        return json.dumps({"kind": type(value).__name__, **asdict(value)}).encode()

    def decode(self, data: bytes) -> League | Team | None:
        """Return the rating.

        Raises:
            ValueError: Another version of the service wrote it.
        """
        fields = json.loads(data)
        if fields is None:
            return None
        kinds: dict[str, type[League] | type[Team]] = {"League": League, "Team": Team}
        try:
            return kinds[fields.pop("kind")](**fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a rating of this version") from error


class Football:
    """Predictions and results, over a database and a cache of ratings."""

    def __init__(self, database: Database, cache: TieredCache[League | Team]) -> None:
        self._database = database
        self._cache = cache

    async def predict(self, fixtures: Sequence[Fixture], *, tenant: str) -> list[Prediction]:
        """Predict matches; nothing is stored yet.

        Never call it inside a transaction: a rating that is not in the cache takes a connection of its own.
        """
        keys = {_team_key(name) for one in fixtures for name in (one.home_team, one.away_team)}
        known = await self._cache.get_all([_LEAGUE_KEY, *sorted(keys)], self._ratings)
        league = known[_LEAGUE_KEY]
        if not isinstance(league, League):
            raise TypeError(f"the cache holds no league: {league!r}")

        def team(name: str) -> Team:
            value = known[_team_key(name)]
            return value if isinstance(value, Team) else AVERAGE_TEAM

        return [
            _prediction(fixture, tenant, league, team(fixture.home_team), team(fixture.away_team))
            for fixture in fixtures
        ]

    async def settle(self, connection: AsyncConnection, match: Match) -> Settlement:
        """Store a result, score the predictions of its match and let the ratings learn, in one transaction.

        Call :meth:`settled` once the transaction is committed.

        Raises:
            ResultConflictError: The match was settled before, with another result.
        """
        league = await ratings.read_league(connection, lock=True)
        earlier = await matches.find(connection, match.tenant, match.id)
        if earlier is not None:
            if _result_of(earlier) != _result_of(match):
                raise ResultConflictError
            return Settlement(earlier, created=False, rated=False, scored=())
        await matches.insert_match(connection, match)
        scored = await predictions.score(
            connection,
            tenant=match.tenant,
            match_id=match.id,
            home_team=match.home_team,
            away_team=match.away_team,
            outcome=outcome_of(match.home_goals, match.away_goals),
        )
        rated = match.tenant == PUBLIC
        if rated:
            await self._learn(connection, league, match)
        return Settlement(match, created=True, rated=rated, scored=scored)

    async def settled(self, settlement: Settlement) -> None:
        """Let everybody forget the old ratings, and count how the predictions fared."""
        match = settlement.match
        if settlement.rated:
            await self._cache.invalidate(
                (_LEAGUE_KEY, _team_key(match.home_team), _team_key(match.away_team))
            )
        if match.tenant == PUBLIC:
            for one in settlement.scored:
                metrics.SETTLED.labels(str(one.favourite_won).lower()).inc()
                metrics.LOG_LOSS.observe(one.log_loss)

    async def _ratings(self, keys: Sequence[str]) -> dict[str, League | Team]:
        """Read what the cache does not have."""
        wanted = [key.removeprefix(_TEAM_KEY) for key in keys if key != _LEAGUE_KEY]
        async with self._database.read() as connection:
            found: dict[str, League | Team] = {
                f"{_TEAM_KEY}{key}": team
                for key, team in (await ratings.read_teams(connection, wanted)).items()
            }
            if _LEAGUE_KEY in keys:
                found[_LEAGUE_KEY] = await ratings.read_league(connection)
        return found

    async def _learn(self, connection: AsyncConnection, league: League, match: Match) -> None:
        home, away = ratings.key_of(match.home_team), ratings.key_of(match.away_team)
        known = await ratings.read_teams(connection, [home, away])
        league, home_team, away_team = learn(
            league,
            known.get(home, AVERAGE_TEAM),
            known.get(away, AVERAGE_TEAM),
            match.home_goals,
            match.away_goals,
        )
        await ratings.write_league(connection, league)
        await ratings.write_team(connection, match.home_team, home_team)
        await ratings.write_team(connection, match.away_team, away_team)


def _prediction(fixture: Fixture, tenant: str, league: League, home: Team, away: Team) -> Prediction:
    expected = forecast(league, home, away)
    return Prediction(
        id=uuid.uuid4(),
        tenant=tenant,
        match_id=fixture.match_id,
        home_team=fixture.home_team,
        away_team=fixture.away_team,
        home=expected.home,
        draw=expected.draw,
        away=expected.away,
        home_goals=expected.home_goals,
        away_goals=expected.away_goals,
        likely_home=expected.likely_score[0],
        likely_away=expected.likely_score[1],
        model_version=MODEL_VERSION,
        results_seen=league.results,
        created_at=datetime.now(UTC),
    )


def _team_key(name: str) -> str:
    return f"{_TEAM_KEY}{ratings.key_of(name)}"


def _result_of(match: Match) -> tuple[str, str, int, int]:
    home, away = ratings.key_of(match.home_team), ratings.key_of(match.away_team)
    return home, away, match.home_goals, match.away_goals
