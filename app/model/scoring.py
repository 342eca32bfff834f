"""How good a forecast was, once the result is known. Lower is better for both scores."""

import math
from enum import StrEnum

_SMALLEST = 1e-6


class Outcome(StrEnum):
    """Who won."""

    HOME = "home"
    DRAW = "draw"
    AWAY = "away"


def outcome_of(home_goals: int, away_goals: int) -> Outcome:
    """Return who won a match that ended like this."""
    if home_goals == away_goals:
        return Outcome.DRAW
    return Outcome.HOME if home_goals > away_goals else Outcome.AWAY


def log_loss(home: float, draw: float, away: float, outcome: Outcome) -> float:
    """Return the negative logarithm of the probability given to what happened."""
    chance = {Outcome.HOME: home, Outcome.DRAW: draw, Outcome.AWAY: away}[outcome]
    return -math.log(max(chance, _SMALLEST))


def ranked_probability_score(home: float, draw: float, outcome: Outcome) -> float:
    """Return the ranked probability score, between 0 and 1.

    Unlike the log loss it knows that a draw is nearer to a home win than an away win is. The probability of
    an away win is what the other two leave.
    """
    happened_home = 1.0 if outcome is Outcome.HOME else 0.0
    happened_not_away = 0.0 if outcome is Outcome.AWAY else 1.0
    return ((home - happened_home) ** 2 + (home + draw - happened_not_away) ** 2) / 2


def favourite(home: float, draw: float, away: float) -> Outcome:
    """Return the outcome that a forecast holds most probable."""
    return max(
        ((home, Outcome.HOME), (draw, Outcome.DRAW), (away, Outcome.AWAY)), key=lambda chance: chance[0]
    )[1]
