"""Shares of both sides compared: errors and very slow requests, by McNemar's exact test on pairs."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from kickoff.performance.metrics import ALL, Kind, Pairs, Raw
from kickoff.performance.times import FEWEST_BLOCKS, block_length

_SLOW_FACTOR = 4.0


def errors(pairs: Sequence[Pairs]) -> Raw:
    """Return the shares of failed requests."""
    live = np.concatenate([~entry.live_ok for entry in pairs])
    candidate = np.concatenate([~entry.candidate_ok for entry in pairs])
    return _shares(Kind.ERRORS, live, candidate)


def tail(pairs: Sequence[Pairs]) -> Raw:
    """Return the shares of very slow requests, allowing for bursts."""
    slow_live, slow_candidate = [], []
    for entry in pairs:
        live, candidate = entry.timed()
        if live.size:
            # Both sides set the limit, so that it favours neither.
            limit = _SLOW_FACTOR * float(np.median(np.concatenate([live, candidate])))
            slow_live.append(live > limit)
            slow_candidate.append(candidate > limit)
    empty = [np.zeros(0, dtype=np.bool_)]
    raw = _shares(Kind.TAIL, np.concatenate(slow_live or empty), np.concatenate(slow_candidate or empty))
    worse = [
        candidate.astype(float) - live for live, candidate in zip(slow_live, slow_candidate, strict=True)
    ]
    fewest = min((entry.size for entry in worse), default=0)
    blocks = fewest // block_length(fewest)
    if blocks < FEWEST_BLOCKS:
        return raw
    # All endpoints span the same time, so the blocks of the same number belong together.
    sums = sum(np.array([part.sum() for part in np.array_split(entry, blocks)]) for entry in worse)
    error = float(np.std(sums, ddof=1)) * math.sqrt(blocks) / raw.pairs
    by_blocks = float(stats.t.sf(raw.estimate / error, blocks - 1)) if error else 1.0
    return replace(raw, p_value=max(raw.p_value, by_blocks), freedom=float(blocks - 1), clustered=error)


def _shares(kind: Kind, live: npt.NDArray[np.bool_], candidate: npt.NDArray[np.bool_]) -> Raw:
    """Compare two paired shares by McNemar's exact test."""
    count = int(live.size)
    if count == 0:
        nan = math.nan
        return Raw(ALL, kind, 0, nan, nan, nan, nan, nan, math.inf, 1.0)
    worse = int((candidate & ~live).sum())
    better = int((live & ~candidate).sum())
    differ = worse + better
    p_value = float(stats.binomtest(worse, differ, 0.5, alternative="greater").pvalue) if differ else 1.0
    low, high = _newcombe(worse, better, int((live & candidate).sum()), count)
    return Raw(
        endpoint=ALL,
        kind=kind,
        pairs=count,
        live=float(live.mean()),
        candidate=float(candidate.mean()),
        estimate=(worse - better) / count,
        low=low,
        high=high,
        spread=differ / count,
        p_value=p_value,
    )


def _newcombe(worse: int, better: int, both: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two paired shares (Newcombe 1998, method 10)."""
    neither = count - worse - better - both
    p1, p2 = (both + worse) / count, (both + better) / count
    low1, high1 = _wilson(both + worse, count)
    low2, high2 = _wilson(both + better, count)
    product = (both + worse) * (count - both - worse) * (both + better) * (count - both - better)
    phi = (both * neither - worse * better) / math.sqrt(product) if product else 0.0
    difference = p1 - p2

    def arm(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    return difference - arm(p1 - low1, high2 - p2), difference + arm(high1 - p1, p2 - low2)


def _wilson(successes: int, count: int) -> tuple[float, float]:
    interval = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
