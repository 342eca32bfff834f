"""Strategies: how public traffic moves from live to candidate. Pure."""

import itertools
from dataclasses import dataclass

from kickoff.environment import Environment
from kickoff.errors import KickoffError


@dataclass(frozen=True, slots=True)
class Step:
    """Give the candidate ``percent`` of public traffic, then watch for ``hold_seconds``."""

    percent: int
    hold_seconds: float


def steps(environment: Environment, *, at_once: bool) -> list[Step]:
    """Return the steps of a release; the last one is always 100 % held for the bake.

    Args:
        environment: Names the strategy, its steps and times.
        at_once: There is no release to share traffic with.

    Raises:
        KickoffError: The canary steps do not rise from 1 to 100.
    """
    bake = Step(100, environment.seconds("BAKE_TIME"))
    if at_once or environment.text("RELEASE_STRATEGY") == "blue-green":
        return [bake]
    text = environment.list("CANARY_STEPS")
    percents = [int(part) for part in text if part.isdigit()]
    rising = all(a < b for a, b in itertools.pairwise(percents))
    if len(percents) != len(text) or not rising or not percents or percents[0] < 1 or percents[-1] != 100:
        raise KickoffError(
            f"CANARY_STEPS is {','.join(text)!r}: the steps must rise and end at 100",
            hint="for example CANARY_STEPS=5,25,50,100",
        )
    hold = environment.seconds("CANARY_HOLD")
    return [*(Step(percent, hold) for percent in percents[:-1]), bake]
