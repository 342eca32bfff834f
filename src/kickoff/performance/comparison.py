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
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kickoff.evidence import RuleResult, Verdict
from kickoff.evidence.rules import NO_DIFFERENCE, WITHIN_NOISE
from kickoff.performance.metrics import ALL, QUANTILE, Kind, Metric, Pairs, Raw
from kickoff.performance.power import detectable_ratio, detectable_share, effect_of, shows
from kickoff.performance.scenarios import ComparisonSettings
from kickoff.performance.shares import errors, tail
from kickoff.performance.times import quantiles

MOST = 0.5
"""Share of failed requests above which live is no baseline.

Up to it most requests still say how long live takes, and errors that only live has never speak against the
candidate. Above it what still answers is the exception: quick refusals, or the requests that miss the fault.
"""


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
        pairs = pairs if ALL in endpoints else [entry for entry in pairs if entry.endpoint in endpoints]
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


def to_rule(metric: Metric, settings: ComparisonSettings) -> RuleResult:
    """Return a metric as a rule of the evidence, with effect, interval and threshold in words."""
    effect = effect_of(settings, metric.kind, metric.live)
    name = {
        Kind.P50: f"p50 of {metric.endpoint} against live",
        Kind.P95: f"p95 of {metric.endpoint} against live",
        Kind.ERRORS: "errors against live",
        Kind.TAIL: "very slow requests against live",
    }[metric.kind]
    margin = effect.margin * 100
    threshold = f"≤ +{margin:.0f}%" if metric.relative else f"≤ +{margin:g} point{'s' * (margin != 1)}"
    return RuleResult(
        f"perf.{metric.kind}-vs-live",
        name,
        metric.verdict,
        measured(metric),
        threshold,
        metric.pairs,
        metric.reason,
        metric.finding,
    )


def measured(metric: Metric) -> str:
    """Return an effect in words, with what it is computed from and nothing else.

    The effect on the typical request is a mean of ratios within pairs. The medians of the two sides may say
    the opposite, so they do not stand beside it. The other effects follow from the two figures shown.
    """
    if not math.isfinite(metric.effect):
        return "nothing"
    interval = f"95% {metric.low * 100:+.1f} to {metric.high * 100:+.1f}"
    if metric.kind is Kind.P50:
        return f"{metric.effect:+.1%} within pairs ({interval})"
    if metric.relative:
        return f"{metric.effect:+.1%}, {metric.live:.2f} → {metric.candidate:.2f} ms in pairs ({interval})"
    points = f"{metric.effect * 100:+.2f} points"
    return f"{points}, {metric.live:.2%} → {metric.candidate:.2%} of pairs ({interval})"


def _measure(pairs: Sequence[Pairs], settings: ComparisonSettings, source: np.random.Generator) -> list[Raw]:
    raws: list[Raw] = []
    sound = []
    family = settings.false_alarm
    for entry in pairs:
        live, candidate = entry.timed()
        found = quantiles(
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
        raws += [replace(raw, broken=broken) for raw in (errors(sound or pairs), tail(sound or pairs))]
    return raws


def _broken(entry: Pairs) -> str:
    """Return why live is no yardstick for an endpoint, which it may lack; empty when it is one."""
    failed = int((~entry.live_ok).sum())
    if failed <= MOST * entry.count:
        return ""
    return f"live fails here ({failed} of {entry.count} requests): absolute rules decide"


def _judge(raw: Raw, settings: ComparisonSettings, rejected: bool, alpha: float) -> Metric:
    effect = effect_of(settings, raw.kind, raw.live)
    relative = raw.kind in QUANTILE
    detectable = (
        detectable_ratio(raw, effect.margin, settings, alpha)
        if relative
        else detectable_share(raw, effect.margin, alpha, settings.power)
    )
    estimate, low, high = (
        (math.expm1(value) if relative else value) for value in (raw.estimate, raw.low, raw.high)
    )
    verdict, reason, finding = Verdict.PASS, "", ""
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
        finding = WITHIN_NOISE
        reason = f"chance alone brings about as much (p = {raw.p_value:.2g})"
    elif low <= 0 <= high:
        finding = NO_DIFFERENCE
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
        finding=finding,
    )
