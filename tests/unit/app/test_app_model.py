"""The goal model: what always holds, and that it learns."""

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.goals import AVERAGE_TEAM, League, Team, expected_goals, forecast
from app.model.learning import learn
from app.model.scoring import Outcome, favourite, log_loss, outcome_of, ranked_probability_score

ratings = st.floats(-1.5, 1.5)
teams = st.builds(Team, attack=ratings, defence=ratings, played=st.integers(0, 500))
leagues = st.builds(League, base=st.floats(-1, 1), home_advantage=st.floats(-1, 1))
goals = st.integers(0, 20)


@given(leagues, teams, teams)
def test_probabilities_sum_to_one(league: League, home: Team, away: Team) -> None:
    found = forecast(league, home, away)
    assert math.isclose(found.home + found.draw + found.away, 1, abs_tol=1e-9)
    assert all(0 <= chance <= 1 for chance in (found.home, found.draw, found.away))


@given(leagues, teams, teams, st.floats(0.01, 0.5))
def test_a_better_attack_never_lowers_the_chances(
    league: League, home: Team, away: Team, gain: float
) -> None:
    stronger = Team(home.attack + gain, home.defence, home.played)
    before, after = forecast(league, home, away), forecast(league, stronger, away)
    assert after.home >= before.home - 1e-6
    assert after.home_goals >= before.home_goals


@given(teams, teams)
def test_without_home_advantage_sides_are_symmetric(home: Team, away: Team) -> None:
    league = League(home_advantage=0.0)
    here, there = forecast(league, home, away), forecast(league, away, home)
    assert here.home == pytest.approx(there.away, abs=2e-6)
    assert here.draw == pytest.approx(there.draw, abs=2e-6)


def test_two_unknown_teams_differ_by_home_advantage_alone() -> None:
    found = forecast(League(), AVERAGE_TEAM, AVERAGE_TEAM)
    assert found.home > found.away
    assert (found.home_goals, found.away_goals) == (1.5, 1.2)


def test_low_draws_are_likelier_than_independent_goals_say() -> None:
    found = forecast(League(), AVERAGE_TEAM, AVERAGE_TEAM)

    def poisson(mean: float, count: int) -> float:
        return math.exp(-mean) * mean**count / math.factorial(count)

    independent = sum(poisson(1.5, count) * poisson(1.2, count) for count in range(20))
    assert found.draw > independent + 0.01


@given(leagues, teams, teams, goals, goals)
def test_learning_moves_towards_the_result_and_stays_bounded(
    league: League, home: Team, away: Team, home_goals: int, away_goals: int
) -> None:
    expected, _ = expected_goals(league, home, away)
    new_league, new_home, new_away = learn(league, home, away, home_goals, away_goals)
    assert new_league.results == league.results + 1
    assert (new_home.played, new_away.played) == (home.played + 1, away.played + 1)
    if home_goals >= expected:
        assert new_home.attack >= home.attack
        assert new_away.defence <= away.defence
    else:
        assert new_home.attack <= home.attack
        assert new_away.defence >= away.defence
    for team in (new_home, new_away):
        assert abs(team.attack) <= 1.5
        assert abs(team.defence) <= 1.5


@pytest.mark.parametrize(
    ("home", "away", "outcome"), [(2, 1, Outcome.HOME), (0, 0, Outcome.DRAW), (1, 4, Outcome.AWAY)]
)
def test_outcome(home: int, away: int, outcome: Outcome) -> None:
    assert outcome_of(home, away) is outcome


def test_scores_of_known_forecasts() -> None:
    assert log_loss(0.5, 0.3, 0.2, Outcome.HOME) == pytest.approx(math.log(2))
    assert ranked_probability_score(1, 0, Outcome.HOME) == 0
    assert ranked_probability_score(0, 0, Outcome.HOME) == 1
    assert ranked_probability_score(0, 1, Outcome.HOME) == 0.5
    assert log_loss(1, 0, 0, Outcome.AWAY) == pytest.approx(-math.log(1e-6))
    assert favourite(0.2, 0.3, 0.5) is Outcome.AWAY


def _poisson(generator: random.Random, mean: float) -> int:
    limit, count, product = math.exp(-mean), 0, generator.random()
    while product > limit:
        count += 1
        product *= generator.random()
    return count


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def season(request: pytest.FixtureRequest) -> "Season":
    return play(seed=request.param)


@dataclass
class Season:
    """What three forecasters scored in the last of four seasons: model, base rates, and the truth itself."""

    losses: dict[str, float]
    ranked: dict[str, float]
    truth: dict[str, Team]
    known: dict[str, Team]
    league: League


def play(seed: int) -> Season:
    """Let twenty teams of known strength play three seasons to learn from and one to judge by."""
    generator = random.Random(seed)
    truth = {f"team {n}": Team(generator.gauss(0, 0.3), generator.gauss(0, 0.25)) for n in range(20)}
    found = Season(
        dict.fromkeys(("model", "base", "truth"), 0.0),
        dict.fromkeys(("model", "base", "truth"), 0.0),
        truth,
        dict.fromkeys(truth, AVERAGE_TEAM),
        League(),
    )
    counts = dict.fromkeys(Outcome, 1)
    for number in range(4):
        fixtures = [(home, away) for home in truth for away in truth if home != away]
        generator.shuffle(fixtures)
        for home, away in fixtures:
            rates = expected_goals(League(), truth[home], truth[away])
            score = _poisson(generator, rates[0]), _poisson(generator, rates[1])
            outcome = outcome_of(*score)
            if number == 3:
                _judge(found, home, away, counts, outcome)
            counts[outcome] += 1
            found.league, found.known[home], found.known[away] = learn(
                found.league, found.known[home], found.known[away], *score
            )
    return found


def _judge(season: Season, home: str, away: str, counts: dict[Outcome, int], outcome: Outcome) -> None:
    model = forecast(season.league, season.known[home], season.known[away])
    truth = forecast(League(), season.truth[home], season.truth[away])
    total = sum(counts.values())
    for name, chances in {
        "model": (model.home, model.draw, model.away),
        "truth": (truth.home, truth.draw, truth.away),
        "base": (
            counts[Outcome.HOME] / total,
            counts[Outcome.DRAW] / total,
            counts[Outcome.AWAY] / total,
        ),
    }.items():
        season.losses[name] += log_loss(*chances, outcome)
        season.ranked[name] += ranked_probability_score(chances[0], chances[1], outcome)


def test_it_beats_the_base_rates(season: Season) -> None:
    """Nobody beats the truth for long; at least half the way there is learned."""
    for scores in (season.losses, season.ranked):
        learned = (scores["base"] - scores["model"]) / (scores["base"] - scores["truth"])
        assert learned > 0.5


def test_it_recovers_the_ranking(season: Season) -> None:
    assert _rank_correlation(season.truth, season.known) > 0.85


def test_it_recovers_the_leagues_goals(season: Season) -> None:
    assert season.league.base == pytest.approx(League().base, abs=0.1)
    assert season.league.home_advantage == pytest.approx(League().home_advantage, abs=0.15)


def _rank_correlation(truth: dict[str, Team], known: dict[str, Team]) -> float:
    """Return Spearman's correlation of true and learned strength."""

    def places(strengths: dict[str, Team]) -> dict[str, int]:
        ordered = sorted(strengths, key=lambda name: strengths[name].attack + strengths[name].defence)
        return {name: place for place, name in enumerate(ordered)}

    true, found = places(truth), places(known)
    count = len(truth)
    return 1 - 6 * sum((true[name] - found[name]) ** 2 for name in truth) / (count * (count**2 - 1))
