"""Response times of both sides compared: the randomization test and the bootstrap of blocks."""

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from kickoff.performance.metrics import QUANTILE, Floats, Kind, Raw
from kickoff.performance.scenarios import ComparisonSettings

MINIMUM_PAIRS = 20
_SWAPS, _ENOUGH_SWAPS = 9999, 50
_BOOTSTRAPS = 400
FEWEST_BLOCKS, _MOST_BLOCKS = 4, 20


def quantiles(
    endpoint: str,
    live: Floats,
    candidate: Floats,
    *,
    settings: ComparisonSettings,
    alpha: float,
    source: np.random.Generator,
) -> list[Raw]:
    """Return the p50 and the p95 of an endpoint; at ``alpha`` a swap test may stop early."""
    if live.size < MINIMUM_PAIRS:
        nan = math.nan
        return [
            Raw(endpoint, kind, int(live.size), nan, nan, nan, nan, nan, math.inf, 1.0) for kind in QUANTILE
        ]
    log_live, log_candidate = np.log(np.maximum(live, 1e-6)), np.log(np.maximum(candidate, 1e-6))
    observed = _effects(log_live[None], log_candidate[None])[0]
    spreads = _bootstrap(log_live, log_candidate, source)
    freedom = live.size / block_length(live.size) - 1
    error = np.std(spreads, axis=0, ddof=1)
    beyond = observed - math.log1p(settings.instance)
    p_values = [
        float(stats.t.sf(distance / spread, freedom)) if spread else float(distance <= 0)
        for distance, spread in zip(beyond, error, strict=True)
    ]
    # The larger of two p-values counts, so the second is needed only where the first may reject.
    if min(p_values) <= 4 * settings.false_alarm:
        doubtful = np.array(p_values) <= 4 * settings.false_alarm
        swapped = _swap_test(log_live, log_candidate, observed, doubtful=doubtful, alpha=alpha, source=source)
        p_values = [max(pair) for pair in zip(p_values, swapped, strict=True)]
    raws = []
    for index, (kind, share) in enumerate(QUANTILE.items()):
        low, high = np.quantile(spreads[:, index], [0.025, 0.975])
        raws.append(
            Raw(
                endpoint=endpoint,
                kind=kind,
                pairs=int(live.size),
                live=float(np.sort(live)[rank(share, live.size)]),
                candidate=float(np.sort(candidate)[rank(share, live.size)]),
                estimate=float(observed[index]),
                low=float(low),
                high=float(high),
                spread=float(error[index]),
                p_value=p_values[index],
                freedom=freedom,
            )
        )
    return raws


def block_length(count: int) -> int:
    """Return how many neighbouring pairs make a block: at usual rates one to five seconds of load."""
    return max(1, round(math.sqrt(count)), count // _MOST_BLOCKS)


def rank(share: float, count: int) -> int:
    """Return the 0-based rank of the quantile ``share`` among ``count`` sorted values."""
    return min(max(math.ceil(share * count) - 1, 0), count - 1)


def _effects(live: Floats, candidate: Floats) -> Floats:
    """Return the effects on p50 and p95 for logarithms of times: one row per row, one column per metric."""
    count = live.shape[1]
    quarter = count // 4
    ratios = np.partition(candidate - live, [quarter, count - quarter - 1], axis=1)
    typical = ratios[:, quarter : count - quarter].mean(axis=1)
    high = rank(QUANTILE[Kind.P95], count)
    tails = np.partition(candidate, high, axis=1)[:, high] - np.partition(live, high, axis=1)[:, high]
    return np.stack([typical, tails], axis=1)


def _swap_test(
    live: Floats,
    candidate: Floats,
    observed: Floats,
    *,
    doubtful: npt.NDArray[np.bool_],
    alpha: float,
    source: np.random.Generator,
) -> list[float]:
    """Return the one-sided p-values of swapping the sides at random within pairs.

    ``doubtful`` says which of the effects the caller needs to know about, ``alpha`` is the strictest level.
    """
    at_least = np.zeros(observed.size)
    done = 0
    goal = max(_SWAPS, math.ceil(5 / alpha))
    while done < goal:
        size = min(goal - done, max(1, 500_000 // live.size))
        swap = source.random((size, live.size), dtype=np.float32) < 0.5
        left, right = np.where(swap, candidate, live), np.where(swap, live, candidate)
        at_least += (_effects(left, right) >= observed - 1e-12).sum(axis=0)
        done += size
        # Besag and Clifford: when so many swaps did as much, the p-value is known well enough.
        if ((at_least >= _ENOUGH_SWAPS) | ~doubtful).all():
            break
    return [float((count + 1) / (done + 1)) for count in at_least]


def _bootstrap(live: Floats, candidate: Floats, source: np.random.Generator) -> Floats:
    """Return bootstrap replicates of the effects, resampling blocks of neighbouring pairs.

    A replicate is how often it draws each pair; sorted once, its percentiles are then sums. That is ten times
    faster than sorting every replicate.
    """
    count = live.size
    length = block_length(count)
    blocks = math.ceil(count / length)
    ratios = candidate - live
    orders = [np.argsort(values) for values in (ratios, live, candidate)]
    found = []
    done = 0
    while done < _BOOTSTRAPS:
        size = min(_BOOTSTRAPS - done, max(1, 1_000_000 // count))
        drawn = _draw(size, count, length, source.integers(0, count, size=(size, blocks)))
        typical, *tails = (drawn[:, order].cumsum(axis=1) for order in orders)
        total = blocks * length
        quarter = total // 4
        upto = np.clip(typical, quarter, total - quarter) - quarter
        middle = np.diff(upto, axis=1, prepend=np.float32(0)) @ ratios[orders[0]].astype(np.float32)
        wanted = rank(QUANTILE[Kind.P95], total) + 1
        high = [
            values[order][(summed >= wanted).argmax(axis=1)]
            for values, order, summed in zip((live, candidate), orders[1:], tails, strict=True)
        ]
        found.append(np.stack([middle / (total - 2 * quarter), high[1] - high[0]], axis=1))
        done += size
    return np.concatenate(found)


def _draw(size: int, count: int, length: int, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return how often each replicate draws each pair, for blocks that begin at ``starts``.

    Circular blocks give every pair the same chance.
    """
    rows = np.arange(size)[:, None] * count
    begins = np.bincount((rows + starts).ravel(), minlength=size * count).reshape(size, count)
    wrapped = np.concatenate([begins[:, count - length + 1 :], begins], axis=1, dtype=np.float32)
    summed = np.concatenate([np.zeros((size, 1), np.float32), wrapped.cumsum(axis=1)], axis=1)
    drawn: npt.NDArray[np.float32] = summed[:, length:] - summed[:, :-length]
    return drawn
