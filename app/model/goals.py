"""From ratings to a forecast: independent Poisson goals with the Dixon-Coles correction for low scores.

Ratings live on a logarithmic scale: a team with ``attack=0.1`` scores about 10 % more than the average team,
one with ``defence=0.1`` concedes about 10 % less.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

MODEL_VERSION = "dixon-coles-1"

# Dixon and Coles (1997) found draws of 0:0 and 1:1 more frequent than independent goals explain.
_LOW_SCORE_CORRECTION = -0.06
_MOST_GOALS = 15
_FEWEST_EXPECTED, _MOST_EXPECTED = 0.05, 8.0


@dataclass(frozen=True, slots=True)
class League:
    """What all teams share.

    Attributes:
        base: Logarithm of the goals an average team scores away at an average team.
        home_advantage: What playing at home adds to that logarithm.
        results: How many results the ratings have learned from.
    """

    base: float = math.log(1.2)
    home_advantage: float = math.log(1.25)
    results: int = 0


@dataclass(frozen=True, slots=True)
class Team:
    """The rating of one team; the default is the league average, which an unknown team gets."""

    attack: float = 0.0
    defence: float = 0.0
    played: int = 0


AVERAGE_TEAM = Team()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the model expects of one match.

    Attributes:
        home: Probability of a home win; with ``draw`` and ``away`` it sums to 1.
        draw: Probability of a draw.
        away: Probability of an away win.
        home_goals: Expected goals of the home team.
        away_goals: Expected goals of the away team.
        likely_score: The most probable score.
    """

    home: float
    draw: float
    away: float
    home_goals: float
    away_goals: float
    likely_score: tuple[int, int]


def expected_goals(league: League, home: Team, away: Team) -> tuple[float, float]:
    """Return the goals that home and away are expected to score."""
    return (
        _within(math.exp(league.base + league.home_advantage + home.attack - away.defence)),
        _within(math.exp(league.base + away.attack - home.defence)),
    )


@lru_cache(maxsize=4096)
def forecast(league: League, home: Team, away: Team) -> Forecast:
    """Return the forecast of a match; remembered by value, so that new ratings never meet an old answer."""
    home_goals, away_goals = expected_goals(league, home, away)
    home_chances, away_chances = _poisson(home_goals), _poisson(away_goals)
    home_win = draw = away_win = 0.0
    best, likely = -1.0, (0, 0)
    for i, home_chance in enumerate(home_chances):
        for j, away_chance in enumerate(away_chances):
            chance = home_chance * away_chance
            if i < 2 and j < 2:
                chance *= _low_score_factor(i, j, home_goals, away_goals)
            if chance > best:
                best, likely = chance, (i, j)
            if i > j:
                home_win += chance
            elif i == j:
                draw += chance
            else:
                away_win += chance
    total = home_win + draw + away_win
    home_win, away_win = round(home_win / total, 6), round(away_win / total, 6)
    return Forecast(
        home=home_win,
        draw=round(1 - home_win - away_win, 6),
        away=away_win,
        home_goals=round(home_goals, 4),
        away_goals=round(away_goals, 4),
        likely_score=likely,
    )


def _within(goals: float) -> float:
    return min(max(goals, _FEWEST_EXPECTED), _MOST_EXPECTED)


def _poisson(mean: float) -> list[float]:
    chances = [math.exp(-mean)]
    for goals in range(1, _MOST_GOALS + 1):
        chances.append(chances[-1] * mean / goals)
    return chances


def _low_score_factor(home: int, away: int, home_goals: float, away_goals: float) -> float:
    if home == away == 0:
        return 1 - home_goals * away_goals * _LOW_SCORE_CORRECTION
    if home == 0:
        return 1 + home_goals * _LOW_SCORE_CORRECTION
    if away == 0:
        return 1 + away_goals * _LOW_SCORE_CORRECTION
    return 1 - _LOW_SCORE_CORRECTION
