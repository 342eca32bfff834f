"""Figures computed from raw samples: per endpoint, over time, and their distribution. Pure functions."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kickoff.performance.samples import FEWEST, Sample
from kickoff.performance.scenarios import Scenario

RANK: Literal["inverted_cdf"] = "inverted_cdf"
"""Percentiles are times that were measured, by the rank that the comparison uses, so that both agree."""
_BUCKETS_PER_DECADE = 10


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    """One endpoint of one side; times in milliseconds, over the requests that succeeded.

    Percentiles are ``nan`` when nothing succeeded.
    """

    name: str
    arm: str
    requests: int
    failures: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @property
    def successes(self) -> int:
        """Number of requests that the times stand for."""
        return self.requests - self.failures


def by_endpoint(samples: Iterable[Sample]) -> list[EndpointFigures]:
    """Return the figures of every endpoint and side, sorted by name."""
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.endpoint, sample.arm].append(sample)
    return [figures(group, name, arm) for (name, arm), group in sorted(groups.items())]


def figures(samples: Sequence[Sample], name: str, arm: str) -> EndpointFigures:
    """Return the figures of one group of samples."""
    times = np.array([sample.ms for sample in samples if sample.ok])
    p50, p95, p99 = np.percentile(times, [50, 95, 99], method=RANK) if times.size else (math.nan,) * 3
    return EndpointFigures(
        name=name,
        arm=arm,
        requests=len(samples),
        failures=len(samples) - int(times.size),
        mean_ms=float(times.mean()) if times.size else math.nan,
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        max_ms=float(times.max()) if times.size else math.nan,
    )


def throughput(samples: Sequence[Sample], begun: float, ended: float) -> list[dict[str, Any]]:
    """Return how a run went: points ``{t, rps, failed, p50_ms, p95_ms, p99_ms, received}``.

    ``received`` is bytes of answers a second.

    The bins are whole seconds, wider for long runs so that at most about 300 points result. Percentiles are
    those of the last :data:`FEWEST` successes or more; before there are so many, there are none.
    """
    length = max(ended - begun, 0.0)
    width = max(1.0, math.ceil(length / 300))
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[max(0, int((sample.time - begun) / width))].append(sample)
    points: list[dict[str, Any]] = []
    recent: list[float] = []
    for index in range(max(groups, default=-1) + 1):
        group = groups.get(index, [])
        # The last bin is usually cut off by the end of the run: its rate is per second of what was run.
        span = min(width, length - index * width)
        if span < width / 4:
            continue
        times = [sample.ms for sample in sorted(group, key=lambda sample: sample.time) if sample.ok]
        recent = times if len(times) >= FEWEST else [*recent, *times][-FEWEST:]
        points.append(
            {
                "t": index * width,
                "rps": round(len(group) / span, 2),
                "failed": sum(not sample.ok for sample in group),
                **_percentiles(recent if len(recent) >= FEWEST else []),
                "received": round(sum(sample.size for sample in group) / span),
            }
        )
    return points


def _percentiles(times: Sequence[float]) -> dict[str, float | None]:
    names = ("p50_ms", "p95_ms", "p99_ms")
    if not times:
        return dict.fromkeys(names)
    found = np.percentile(times, [50, 95, 99], method=RANK)
    return {name: round(float(value), 3) for name, value in zip(names, found, strict=True)}


def histogram(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Return the distribution of successful times in logarithmic buckets: points ``{le_ms, count}``."""
    counts: Counter[int] = Counter()
    for sample in samples:
        if sample.ok:
            counts[math.ceil(math.log10(max(sample.ms, 0.01)) * _BUCKETS_PER_DECADE)] += 1
    if not counts:
        return []
    return [
        {"le_ms": round(10 ** (index / _BUCKETS_PER_DECADE), 3), "count": counts.get(index, 0)}
        for index in range(min(counts), max(counts) + 1)
    ]


def peak_windows(scenario: Scenario) -> list[tuple[float, float]]:
    """Return the parts of a run in which all users are active, as seconds from its begin.

    The first moments of each part are left out: users have just been started.
    """
    windows = []
    begin = 0.0
    for step in scenario.shape:
        end = step.until * scenario.duration
        if step.users == 1.0:
            settled = begin + min(2.0, (end - begin) * 0.2)
            windows.append((settled, end))
        begin = end
    return windows


def peak_rate(samples: Iterable[Sample], scenario: Scenario, begun: float, ended: float) -> tuple[float, int]:
    """Return the requests a second started while all users were active, and how many those were."""
    windows = [(a, min(b, ended - begun)) for a, b in peak_windows(scenario) if a < ended - begun]
    length = sum(b - a for a, b in windows)
    if length <= 0:
        return 0.0, 0
    count = sum(any(a <= sample.time - begun < b for a, b in windows) for sample in samples)
    return count / length, count


def rows(found: Iterable[EndpointFigures], clean: Callable[[float], float | None]) -> list[dict[str, Any]]:
    """Return the figures as JSON objects; ``clean`` rounds a time and turns ``nan`` into ``None``."""
    return [
        {
            "name": entry.name,
            "arm": entry.arm,
            "requests": entry.requests,
            "failures": entry.failures,
            "p50_ms": clean(entry.p50_ms),
            "p95_ms": clean(entry.p95_ms),
            "p99_ms": clean(entry.p99_ms),
            "mean_ms": clean(entry.mean_ms),
            "max_ms": clean(entry.max_ms),
        }
        for entry in found
    ]
