"""A model of one step of a release on many edges: when the last one serves the route, and when the step ends.

Each edge is a host of its own, so edges are independent: what they do to each other on one machine is left
out. Seconds throughout. Pure, and the same for the same seed.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import yaml

from kickoff.release.routers.edges import _ANSWER_SECONDS, _PAUSE_SECONDS, SILENT_SECONDS
from kickoff.release.routers.traefik import static_configuration
from kickoff.release.routers.traefik_etcd import APPLY_SECONDS

_CONFIGURATION = yaml.safe_load(static_configuration({}, public=1, candidate=2, admin=3, slow_seconds=1))
THROTTLE: Final = float(_CONFIGURATION["providers"]["providersThrottleDuration"].removesuffix("ms")) / 1000
FAN_OUT: Final = 0.034 / 500
"""For each watcher, by ``--fan-out``: the last of 500 hears of a transaction after 34 ms (median)."""
SLOW: Final = 5
"""How much longer an edge takes that is slow."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations that are known by their median and the worst of so many; taken for log-normal."""

    median: float
    worst: float
    of: int

    def draw(self, random: Random) -> float:
        """Return one of them."""
        far = statistics.NormalDist().inv_cdf(0.5 ** (1 / self.of))  # half of all series stay below it
        return self.median * math.exp(random.gauss() * math.log(self.worst / self.median) / far)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured, and goes into the model.

    Attributes:
        transaction: The write.
        one_edge: From the write's answer until one edge's API shows the route, throttle included.
        look: What :meth:`Edges.shown` costs for each edge.
    """

    transaction: Spread
    one_edge: Spread
    look: float

    @property
    def apply(self) -> Spread:
        """The time that Traefik takes beside its throttle, of which half is waited for on average."""
        one = self.one_edge
        return Spread(one.median - THROTTLE / 2, one.worst - THROTTLE / 2, one.of)


@dataclass(frozen=True, slots=True)
class Site:
    """Edges of which some do not answer, as if their hosts were gone, and some are slow."""

    edges: int
    lost: int = 0
    slow: int = 0
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what the write took, and how long after it the last living edge and the engine were done."""

    written: float
    last_edge: float
    end: float
    refused: bool


def step(site: Site, figures: Figures, random: Random) -> Step:
    """Simulate one step, by the rules of ``Edges.await_shown``."""
    written = figures.transaction.draw(random)
    takes = [
        FAN_OUT * (place + 1)
        + random.uniform(0, THROTTLE)
        + figures.apply.draw(random) * (SLOW if place < site.slow else 1)
        for place in range(site.edges - site.lost)
    ]
    enough = len(takes) >= (site.needed or max(1, site.edges - 1))
    look = figures.look * site.edges + (_ANSWER_SECONDS if site.lost else 0)
    now = 0.0
    while True:
        all_show = all(taken <= now + figures.look * place for place, taken in enumerate(takes))
        now += look
        if all_show and enough and (not site.lost or now >= SILENT_SECONDS):
            return Step(written, max(takes), now, refused=False)
        if now >= APPLY_SECONDS:
            return Step(written, max(takes), now, refused=True)
        now += _PAUSE_SECONDS


def steps(site: Site, figures: Figures, number: int, seed: int = 1) -> list[Step]:
    """Simulate so many steps."""
    random = Random(seed)
    return [step(site, figures, random) for _ in range(number)]


def spread(durations: Sequence[float], of: int) -> Spread:
    """Return the median, and the worst of so many as it mostly is."""
    worst = [max(durations[start : start + of]) for start in range(0, len(durations), of)]
    return Spread(statistics.median(durations), statistics.median(worst), of)


def refused_by_quorum(edges: int, away: float) -> float:
    """Return how often two edges or more are away at once, each of them for this part of the time."""
    return 1 - (1 - away) ** edges - edges * away * (1 - away) ** (edges - 1)
