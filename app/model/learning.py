"""From a result to new ratings: one gradient step on the Poisson likelihood per match.

A new team learns fast, a known one slowly. The league's own numbers move slower still.
"""

from dataclasses import replace

from app.model.goals import League, Team, expected_goals

_FASTEST, _SLOWEST, _HALF_LIFE_MATCHES = 0.10, 0.01, 10.0
_LEAGUE_PACE = 0.004
# One freak 9:0 must not rewrite what a season has taught.
_LARGEST_SURPRISE = 3.0
_LARGEST_RATING = 1.5


def learn(
    league: League, home: Team, away: Team, home_goals: int, away_goals: int
) -> tuple[League, Team, Team]:
    """Return league, home and away team after a result."""
    expected_home, expected_away = expected_goals(league, home, away)
    home_surprise = _limit(home_goals - expected_home, _LARGEST_SURPRISE)
    away_surprise = _limit(away_goals - expected_away, _LARGEST_SURPRISE)
    return (
        replace(
            league,
            base=_limit(league.base + _LEAGUE_PACE * (home_surprise + away_surprise) / 2, _LARGEST_RATING),
            home_advantage=_limit(league.home_advantage + _LEAGUE_PACE * home_surprise / 2, _LARGEST_RATING),
            results=league.results + 1,
        ),
        _step(home, scored=home_surprise, conceded=away_surprise),
        _step(away, scored=away_surprise, conceded=home_surprise),
    )


def _step(team: Team, *, scored: float, conceded: float) -> Team:
    pace = max(_SLOWEST, _FASTEST / (1 + team.played / _HALF_LIFE_MATCHES))
    return Team(
        attack=_limit(team.attack + pace * scored, _LARGEST_RATING),
        defence=_limit(team.defence - pace * conceded, _LARGEST_RATING),
        played=team.played + 1,
    )


def _limit(value: float, bound: float) -> float:
    return min(max(value, -bound), bound)
