"""How public traffic moves to the candidate."""

import pytest

from kickoff.environment import Environment
from kickoff.errors import KickoffError
from kickoff.release.strategy import Step, steps


def environment(strategy: str = "canary", percents: str = "5,25,50,100") -> Environment:
    values = {
        "RELEASE_STRATEGY": strategy,
        "CANARY_STEPS": percents,
        "BAKE_TIME": "1m",
        "CANARY_HOLD": "15s",
    }
    return Environment("testing", values, frozenset(), frozenset())


def test_canary_steps_are_held_and_the_last_is_the_bake() -> None:
    assert steps(environment(), at_once=False) == [Step(5, 15), Step(25, 15), Step(50, 15), Step(100, 60)]


def test_blue_green_goes_to_all_at_once_and_bakes() -> None:
    assert steps(environment("blue-green"), at_once=False) == [Step(100, 60)]


def test_a_first_release_has_nothing_to_share_traffic_with() -> None:
    assert steps(environment(), at_once=True) == [Step(100, 60)]


def test_one_canary_step_is_the_bake() -> None:
    assert steps(environment(percents="100"), at_once=False) == [Step(100, 60)]


@pytest.mark.parametrize(
    "percents", ["", "5,25", "25,5,100", "5,5,100", "0,100", "-5,100", "5,x,100", "5,100,120", "5.5,100"]
)
def test_steps_that_do_not_rise_to_100_are_refused(percents: str) -> None:
    with pytest.raises(KickoffError, match="must rise and end at 100"):
        steps(environment(percents=percents), at_once=False)
