"""The trend over releases: steps and creep that no single comparison would stop. Pure functions.

Each release was compared with the one before it on the same machine at the same moment, so the product of
those ratios says how far the service has drifted from the first release, whatever machines measured it.
Page's cumulative sum (CUSUM) of the standardised effects finds a small drift that goes on: it adds up what
exceeds half a standard error per release and alarms above five. An alarm also needs a rise since the drift
began that exceeds the margin of the gate, since very precise measurements make trifles certain.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kickoff.evidence import Evidence, Verdict

ALLOWANCE = 0.5
"""Standard errors per release that do not add up (Page's k)."""

DECISION = 5.0
"""Sum above which the trend alarms (Page's h): about one false alarm in 930 releases of no change."""

_NORMAL_95 = 1.959964


class Shape(StrEnum):
    """Kinds of drift."""

    STEP = "step"
    CREEP = "creep"


@dataclass(frozen=True, slots=True)
class Point:
    """One release of one endpoint's percentile.

    Attributes:
        at: When it was compared, ISO 8601.
        release: Its id.
        effect: Logarithm of the ratio to the release before it.
        error: Standard error of ``effect``.
        level: Sum of the effects so far.
        level_error: Standard error of ``level``.
        cusum: Page's sum after this release.
    """

    at: str
    release: str
    effect: float
    error: float
    level: float
    level_error: float
    cusum: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """A drift to something slower.

    Attributes:
        shape: Whether one release brought most of it.
        since: The release with which it began; for a step, the one that brought it.
        seen: The release with which it became certain.
        rise: The slowdown since it began (0.1 = 10 %).
    """

    shape: Shape
    since: str
    seen: str
    rise: float


@dataclass(frozen=True, slots=True)
class Trend:
    """The releases of one endpoint's percentile in one environment, in order, and their drifts."""

    environment: str
    endpoint: str
    kind: str
    points: tuple[Point, ...]
    alarms: tuple[Alarm, ...]


def trends(documents: Iterable[Evidence], margins: Mapping[str, float]) -> list[Trend]:
    """Return the trend of every endpoint's percentile.

    Args:
        documents: Evidence of performance checks; those that rejected their release are left out, because
            such a release never served.
        margins: Rise that matters, by percentile (``{"p50": 0.05}``).
    """
    found: dict[tuple[str, str, str], list[tuple[str, str, float, float]]] = defaultdict(list)
    for document in sorted(documents, key=lambda entry: entry.started):
        if document.verdict is not Verdict.PASS:
            continue
        for row in document.facts.get("comparison", []):
            effect = _effect(row)
            applies = row.get("verdict") != Verdict.NOT_APPLICABLE  # else live was no yardstick
            if applies and row.get("kind") in margins and effect is not None:
                key = (document.environment, str(row["endpoint"]), str(row["kind"]))
                found[key].append((document.started, document.release, *effect))
    return [
        trend(environment, endpoint, kind, points, margins[kind])
        for (environment, endpoint, kind), points in sorted(found.items())
    ]


def trend(
    environment: str,
    endpoint: str,
    kind: str,
    effects: Sequence[tuple[str, str, float, float]],
    margin: float,
) -> Trend:
    """Return the trend of a series of ``(time, release, log effect, standard error)``."""
    points: list[Point] = []
    alarms: list[Alarm] = []
    level, variance, total, begin = 0.0, 0.0, 0.0, 0
    for index, (at, release, effect, error) in enumerate(effects):
        level, variance = level + effect, variance + error**2
        if total == 0.0:
            begin = index
        total = max(0.0, total + effect / error - ALLOWANCE)
        points.append(Point(at, release, effect, error, level, math.sqrt(variance), total))
        rise = sum(point.effect for point in points[begin:])
        if total > DECISION and rise > math.log1p(margin):
            alarms.append(_alarm(points[begin:], rise))
            total = 0.0  # the new level is the one to watch from here
    return Trend(environment, endpoint, kind, tuple(points), tuple(alarms))


def _alarm(points: Sequence[Point], rise: float) -> Alarm:
    largest = max(points, key=lambda point: point.effect)
    if largest.effect > rise / 2:
        return Alarm(Shape.STEP, largest.release, points[-1].release, math.expm1(rise))
    return Alarm(Shape.CREEP, points[0].release, points[-1].release, math.expm1(rise))


def _effect(row: Mapping[str, object]) -> tuple[float, float] | None:
    """Return a comparison's logarithmic effect and its standard error; ``None`` without a number."""
    values = [row.get(name) for name in ("effect", "low", "high")]
    numbers = [value for value in values if isinstance(value, int | float) and value > -1]
    if len(numbers) < 3:
        return None
    effect, low, high = (math.log1p(value) for value in numbers)
    error = (high - low) / (2 * _NORMAL_95)
    return (effect, error) if error > 0 else None
