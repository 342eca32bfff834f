"""The power of a comparison: what effect would have shown, and how many pairs make it visible."""

import math
from collections.abc import Sequence

from scipy import stats

from kickoff.evidence import Verdict
from kickoff.performance.metrics import QUANTILE, Kind, Metric, Raw
from kickoff.performance.scenarios import ComparisonSettings, Effect
from kickoff.performance.times import MINIMUM_PAIRS

_TENFOLD = 10.0
_LARGEST_LOG = 50.0


def planned_pairs(metrics: Sequence[Metric], settings: ComparisonSettings) -> float:
    """Return by which factor the number of pairs must grow so that every ``detect`` becomes visible.

    The noise measured so far decides, not the effect seen so far, so growing a run by this does not raise the
    probability of a false alarm. 1 when nothing has to grow.
    """
    factor = 1.0
    for metric in metrics:
        wanted = effect_of(settings, metric.kind, metric.live).detect
        if metric.verdict is not Verdict.INCONCLUSIVE or metric.detectable <= wanted:
            continue
        if not math.isfinite(metric.detectable):
            factor = max(factor, 2 * MINIMUM_PAIRS / max(metric.pairs, 1))
        elif metric.relative:
            # The spread of a log ratio shrinks with the square root of the number of pairs.
            factor = max(factor, (math.log1p(metric.detectable) / math.log1p(wanted)) ** 2)
        else:
            factor = max(factor, metric.detectable / wanted)
    return factor * 1.15 if factor > 1 else 1.0


def shows(detectable: float) -> str:
    """Return in words which effect would show."""
    least = f"{detectable:.1%} or more" if detectable < _TENFOLD else "far more than 1000%"
    return f"only an effect of {least} would show"


def effect_of(settings: ComparisonSettings, kind: Kind, live: float) -> Effect:
    """Return the sizes that matter for a metric whose live value is ``live``."""
    found: Effect = getattr(settings, kind.value)
    if kind not in QUANTILE or not live > 0:
        return found
    # A tenth of half a millisecond is nothing that anybody would stop a release for.
    floor = settings.floor[kind.value]
    return Effect(max(found.margin, floor.margin / live), max(found.detect, floor.detect / live))


def detectable_ratio(raw: Raw, margin: float, settings: ComparisonSettings, alpha: float) -> float:
    """Return the smallest relative effect that would fail with the planned power."""
    if not math.isfinite(raw.spread):
        return math.inf
    certain = math.log1p(settings.instance) + float(stats.t.isf(alpha, raw.freedom)) * raw.spread
    threshold = max(certain, math.log1p(margin))
    found = threshold + float(stats.t.isf(1 - settings.power, raw.freedom)) * raw.spread
    return math.expm1(min(found, _LARGEST_LOG))


def detectable_share(raw: Raw, margin: float, alpha: float, power: float) -> float:
    """Return the smallest additional share of bad requests that would fail with probability ``power``.

    Of the pairs that differ already, half are taken to be worse by chance.
    """
    count, noise = raw.pairs, raw.spread
    if count == 0:
        return math.inf

    def seen(share: float) -> bool:
        differ = max(1, round(count * min(noise + share, 1.0)))
        # Smallest number of worse pairs among those that differ that rejects.
        needed = float(stats.binom.isf(alpha, differ, 0.5)) + 1
        if needed > differ:
            return False
        worse = min((noise / 2 + share) / (noise + share), 1.0)
        enough = max(needed, (differ + count * margin) / 2)
        return float(stats.binom.sf(math.ceil(enough) - 1, differ, worse)) >= power

    low, high = margin, 1.0
    if not seen(high):
        return math.inf
    if raw.clustered:
        certain = max(float(stats.t.isf(alpha, raw.freedom)) * raw.clustered, margin)
        low = certain + float(stats.t.isf(1 - power, raw.freedom)) * raw.clustered
        if low >= high or seen(low):
            return low
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high
