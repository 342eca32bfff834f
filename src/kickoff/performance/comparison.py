"""Candidate against live: did the release get slower, or fail more often? Pure functions on paired samples.

The load generator sends every request to both sides, in random balanced order, so slow drifts and bursts of
noise hit both sides of a pair. A time is judged by two tests, and the less certain one counts:

* Fisher's randomization test swaps the sides at random within pairs. It assumes no distribution, and it is
  exact when nothing but chance tells the two requests of a pair apart.
* A bootstrap of blocks of neighbouring pairs measures what the first test cannot see: for seconds on end one
  of two equal processes may have the busier core. Its null hypothesis also allows for what two starts of the
  same release differ by (``instance``).

The metrics:

* ``p50`` of each endpoint: how much slower the typical request is, as the interquartile mean of the log
  ratios within pairs. What slows both requests of a pair cancels, so on a busy machine this needs several
  times fewer samples than the ratio of two medians.
* ``p95`` of each endpoint: the log of the ratio of the two 95th percentiles.
* errors, and the tail (requests slower than four times the median): McNemar's exact test on the pairs that
  differ; for the tail a test on blocks too, since a busy core brings slow requests in bursts.

Holm's procedure over all metrics keeps the probability of any false alarm below ``false_alarm``.

A metric *fails* when its one-sided p-value passes Holm's test and its estimate exceeds ``margin``. It is
*inconclusive* when it did not fail, the minimum detectable effect, at the planned power, exceeds ``detect``,
and the interval does not say that the candidate is better. It is *not applicable* where live is no yardstick:
an endpoint of which most requests fail on live.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats

from kickoff.evidence import RuleResult, Verdict
from kickoff.performance.samples import CANDIDATE, LIVE, Sample
from kickoff.performance.scenarios import ComparisonSettings, Effect

Floats = npt.NDArray[np.float64]

MINIMUM_PAIRS = 20
MOST = 0.5
"""Share of failed requests above which live is no baseline.

Up to it most requests still say how long live takes, and errors that only live has never speak against the
candidate. Above it what still answers is the exception: quick refusals, or the requests that miss the fault.
"""
_SWAPS, _ENOUGH_SWAPS = 9999, 50
_BOOTSTRAPS = 400
_SLOW_FACTOR = 4.0
_ALL = "all endpoints"
_FEWEST_BLOCKS, _MOST_BLOCKS = 4, 20
_TENFOLD = 10.0
_LARGEST_LOG = 50.0


class Kind(StrEnum):
    """What a metric measures."""

    P50 = "p50"
    P95 = "p95"
    ERRORS = "errors"
    TAIL = "tail"


_QUANTILE = {Kind.P50: 0.5, Kind.P95: 0.95}


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of one endpoint in order of time, as arrays of equal length; times in milliseconds."""

    endpoint: str
    live_ms: Floats
    candidate_ms: Floats
    live_ok: npt.NDArray[np.bool_]
    candidate_ok: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of pairs."""
        return int(self.live_ms.size)

    def timed(self) -> tuple[Floats, Floats]:
        """Return the times (live, candidate) of the pairs in which both sides succeeded."""
        both = self.live_ok & self.candidate_ok
        return self.live_ms[both], self.candidate_ms[both]


@dataclass(frozen=True, slots=True)
class Metric:
    """One compared figure.

    Attributes:
        endpoint: What it belongs to; ``all endpoints`` for errors and the tail.
        kind: What it measures.
        pairs: Number of pairs behind it.
        live: The value of the live release: milliseconds, or a share.
        candidate: The value of the candidate.
        effect: The relative change of a time, or the difference of two shares (0.1 = 10 % or 10 points).
        low: Lower end of the two-sided 95 % confidence interval of ``effect``.
        high: Upper end.
        p_value: One-sided: the candidate is worse.
        detectable: The smallest effect that this number of pairs would have shown, at the planned power.
        verdict: The outcome.
        reason: Why; may be empty when it passed.
    """

    endpoint: str
    kind: Kind
    pairs: int
    live: float
    candidate: float
    effect: float
    low: float
    high: float
    p_value: float
    detectable: float
    verdict: Verdict
    reason: str = ""

    @property
    def relative(self) -> bool:
        """Whether ``effect`` is relative (times) or a difference (shares)."""
        return self.kind in _QUANTILE


@dataclass(frozen=True, slots=True)
class _Raw:
    """A metric before the correction for their number."""

    endpoint: str
    kind: Kind
    pairs: int
    live: float
    candidate: float
    estimate: float  # log ratio, or difference
    low: float
    high: float
    spread: float  # standard error of a log ratio; for shares the share of pairs that differ
    p_value: float
    freedom: float = math.inf  # degrees of freedom of `spread`
    clustered: float = 0.0  # standard error of a difference of shares, from blocks
    broken: str = ""  # why live is no yardstick

    @property
    def better(self) -> bool:
        """Whether the whole interval says that the candidate is better."""
        blocks = self.estimate + float(stats.t.isf(0.025, self.freedom)) * self.clustered
        return max(self.high, blocks) < 0


def pair_up(samples: Iterable[Sample]) -> list[Pairs]:
    """Join samples to pairs, by endpoint. Requests whose other half is missing are left out."""
    halves: dict[tuple[str, str], dict[str, Sample]] = defaultdict(dict)
    for sample in samples:
        if sample.pair:
            halves[sample.endpoint, sample.pair][sample.arm] = sample
    complete: dict[str, list[tuple[Sample, Sample]]] = defaultdict(list)
    for (endpoint, _), found in halves.items():
        if LIVE in found and CANDIDATE in found:
            complete[endpoint].append((found[LIVE], found[CANDIDATE]))
    result = []
    for endpoint, pairs in sorted(complete.items()):
        pairs.sort(key=lambda pair: pair[0].time)
        result.append(
            Pairs(
                endpoint=endpoint,
                live_ms=np.array([live.ms for live, _ in pairs]),
                candidate_ms=np.array([candidate.ms for _, candidate in pairs]),
                live_ok=np.array([live.ok for live, _ in pairs]),
                candidate_ok=np.array([candidate.ok for _, candidate in pairs]),
            )
        )
    return result


def join(first: Sequence[Pairs], second: Sequence[Pairs]) -> list[Pairs]:
    """Return the pairs of two runs together, those of ``second`` after those of ``first``."""
    found = {entry.endpoint: entry for entry in first}
    for entry in second:
        before = found.get(entry.endpoint)
        found[entry.endpoint] = (
            entry
            if before is None
            else Pairs(
                endpoint=entry.endpoint,
                live_ms=np.concatenate([before.live_ms, entry.live_ms]),
                candidate_ms=np.concatenate([before.candidate_ms, entry.candidate_ms]),
                live_ok=np.concatenate([before.live_ok, entry.live_ok]),
                candidate_ok=np.concatenate([before.candidate_ok, entry.candidate_ok]),
            )
        )
    return [found[endpoint] for endpoint in sorted(found)]


def compare(
    pairs: Sequence[Pairs],
    settings: ComparisonSettings,
    *,
    seed: int = 0,
    only: frozenset[tuple[str, Kind]] | None = None,
) -> list[Metric]:
    """Compare the two sides.

    Args:
        pairs: The pairs of every endpoint.
        settings: Margins, detectable sizes, false-alarm probability and power.
        seed: Seed of the resampling; the same pairs and seed give the same answer.
        only: Judge these metrics alone (the confirmation of suspects); everything when ``None``.

    Returns:
        One metric per endpoint and quantile, then errors and tail; empty when there is no pair.
    """
    source = np.random.default_rng(seed)
    if only is not None:
        endpoints = {endpoint for endpoint, _ in only}
        pairs = pairs if _ALL in endpoints else [entry for entry in pairs if entry.endpoint in endpoints]
    wanted = [
        raw for raw in _measure(pairs, settings, source) if only is None or (raw.endpoint, raw.kind) in only
    ]
    rejected = holm([raw.p_value for raw in wanted], settings.false_alarm)
    alpha = settings.false_alarm / max(len(wanted), 1)
    return [_judge(raw, settings, reject, alpha) for raw, reject in zip(wanted, rejected, strict=True)]


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return which hypotheses Holm's step-down procedure rejects at the family-wise level ``alpha``."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


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


def to_rule(metric: Metric, settings: ComparisonSettings) -> RuleResult:
    """Return a metric as a rule of the evidence, with effect, interval and threshold in words."""
    effect = effect_of(settings, metric.kind, metric.live)
    name = {
        Kind.P50: f"p50 of {metric.endpoint} against live",
        Kind.P95: f"p95 of {metric.endpoint} against live",
        Kind.ERRORS: "errors against live",
        Kind.TAIL: "very slow requests against live",
    }[metric.kind]
    threshold = f"≤ +{effect.margin:.0%}" if metric.relative else f"≤ +{effect.margin * 100:g} points"
    interval = f"95 % interval {metric.low:+.1%} to {metric.high:+.1%}"
    if not math.isfinite(metric.effect):
        measured = "nothing"
    elif metric.relative:
        measured = f"{metric.effect:+.1%} ({metric.live:.2f} → {metric.candidate:.2f} ms; {interval})"
    else:
        measured = f"{metric.live:.2%} → {metric.candidate:.2%} ({interval})"
    return RuleResult(
        f"perf.{metric.kind}-vs-live", name, metric.verdict, measured, threshold, metric.pairs, metric.reason
    )


def shows(detectable: float) -> str:
    """Return in words which effect would show."""
    least = f"{detectable:.1%} or more" if detectable < _TENFOLD else "far more than 1000%"
    return f"only an effect of {least} would show"


def effect_of(settings: ComparisonSettings, kind: Kind, live: float) -> Effect:
    """Return the sizes that matter for a metric whose live value is ``live``."""
    found: Effect = getattr(settings, kind.value)
    if kind not in _QUANTILE or not live > 0:
        return found
    # A tenth of half a millisecond is nothing that anybody would stop a release for.
    floor = settings.floor[kind.value]
    return Effect(max(found.margin, floor.margin / live), max(found.detect, floor.detect / live))


def _measure(pairs: Sequence[Pairs], settings: ComparisonSettings, source: np.random.Generator) -> list[_Raw]:
    raws: list[_Raw] = []
    sound = []
    family = settings.false_alarm
    for entry in pairs:
        live, candidate = entry.timed()
        found = _quantiles(
            entry.endpoint,
            live,
            candidate,
            settings=settings,
            alpha=family / (2 * len(pairs) + 2),
            source=source,
        )
        broken = _broken(entry)
        raws += [replace(raw, broken=broken) for raw in found]
        if not broken:
            sound.append(entry)
    if pairs:
        broken = "" if sound else "most requests of every endpoint fail on live: absolute rules decide"
        raws += [replace(raw, broken=broken) for raw in (_errors(sound or pairs), _tail(sound or pairs))]
    return raws


def _broken(entry: Pairs) -> str:
    """Return why live is no yardstick for an endpoint, which it may lack; empty when it is one."""
    failed = int((~entry.live_ok).sum())
    if failed <= MOST * entry.count:
        return ""
    return f"live fails here ({failed} of {entry.count} requests): absolute rules decide"


def _quantiles(
    endpoint: str,
    live: Floats,
    candidate: Floats,
    *,
    settings: ComparisonSettings,
    alpha: float,
    source: np.random.Generator,
) -> list[_Raw]:
    if live.size < MINIMUM_PAIRS:
        nan = math.nan
        return [
            _Raw(endpoint, kind, int(live.size), nan, nan, nan, nan, nan, math.inf, 1.0) for kind in _QUANTILE
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
    for index, (kind, share) in enumerate(_QUANTILE.items()):
        low, high = np.quantile(spreads[:, index], [0.025, 0.975])
        raws.append(
            _Raw(
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
    high = rank(_QUANTILE[Kind.P95], count)
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
        wanted = rank(_QUANTILE[Kind.P95], total) + 1
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


def _errors(pairs: Sequence[Pairs]) -> _Raw:
    live = np.concatenate([~entry.live_ok for entry in pairs])
    candidate = np.concatenate([~entry.candidate_ok for entry in pairs])
    return _shares(Kind.ERRORS, live, candidate)


def _tail(pairs: Sequence[Pairs]) -> _Raw:
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
    if blocks < _FEWEST_BLOCKS:
        return raw
    # All endpoints span the same time, so the blocks of the same number belong together.
    sums = sum(np.array([part.sum() for part in np.array_split(entry, blocks)]) for entry in worse)
    error = float(np.std(sums, ddof=1)) * math.sqrt(blocks) / raw.pairs
    by_blocks = float(stats.t.sf(raw.estimate / error, blocks - 1)) if error else 1.0
    return replace(raw, p_value=max(raw.p_value, by_blocks), freedom=float(blocks - 1), clustered=error)


def _shares(kind: Kind, live: npt.NDArray[np.bool_], candidate: npt.NDArray[np.bool_]) -> _Raw:
    """Compare two paired shares by McNemar's exact test."""
    count = int(live.size)
    if count == 0:
        nan = math.nan
        return _Raw(_ALL, kind, 0, nan, nan, nan, nan, nan, math.inf, 1.0)
    worse = int((candidate & ~live).sum())
    better = int((live & ~candidate).sum())
    differ = worse + better
    p_value = float(stats.binomtest(worse, differ, 0.5, alternative="greater").pvalue) if differ else 1.0
    low, high = _newcombe(worse, better, int((live & candidate).sum()), count)
    return _Raw(
        endpoint=_ALL,
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


def _judge(raw: _Raw, settings: ComparisonSettings, rejected: bool, alpha: float) -> Metric:
    effect = effect_of(settings, raw.kind, raw.live)
    relative = raw.kind in _QUANTILE
    detectable = (
        _detectable_ratio(raw, effect.margin, settings, alpha)
        if relative
        else _detectable_share(raw, effect.margin, alpha, settings.power)
    )
    estimate, low, high = (
        (math.expm1(value) if relative else value) for value in (raw.estimate, raw.low, raw.high)
    )
    verdict, reason = Verdict.PASS, ""
    if raw.broken:
        verdict, reason = Verdict.NOT_APPLICABLE, raw.broken
    elif rejected and estimate > effect.margin:
        verdict = Verdict.FAIL
        reason = f"worse than live beyond chance (p = {raw.p_value:.2g}) and by more than {effect.margin:.1%}"
    elif not detectable <= effect.detect and not raw.better:
        verdict = Verdict.INCONCLUSIVE
        reason = (
            f"{raw.pairs} pairs are too few to compare"
            if not math.isfinite(detectable)
            else f"with {raw.pairs} pairs and this noise {shows(detectable)}; {effect.detect:.1%} must"
        )
    elif estimate > effect.margin:
        reason = f"within what chance brings about (p = {raw.p_value:.2g})"
    return Metric(
        endpoint=raw.endpoint,
        kind=raw.kind,
        pairs=raw.pairs,
        live=raw.live,
        candidate=raw.candidate,
        effect=estimate,
        low=low,
        high=high,
        p_value=raw.p_value,
        detectable=detectable,
        verdict=verdict,
        reason=reason,
    )


def _detectable_ratio(raw: _Raw, margin: float, settings: ComparisonSettings, alpha: float) -> float:
    """Return the smallest relative effect that would fail with the planned power."""
    if not math.isfinite(raw.spread):
        return math.inf
    certain = math.log1p(settings.instance) + float(stats.t.isf(alpha, raw.freedom)) * raw.spread
    threshold = max(certain, math.log1p(margin))
    found = threshold + float(stats.t.isf(1 - settings.power, raw.freedom)) * raw.spread
    return math.expm1(min(found, _LARGEST_LOG))


def _detectable_share(raw: _Raw, margin: float, alpha: float, power: float) -> float:
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
