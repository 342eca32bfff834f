"""The course of a comparison: measure, grow the run as the noise asks, confirm a suspect, judge."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from kickoff.evidence import Verdict
from kickoff.performance import comparison, power
from kickoff.performance.metrics import Kind, Metric, Pairs, join
from kickoff.performance.scenarios import ComparisonSettings

_SHORTEST_EXTENSION = 2.0
_MOST_EXTENSIONS = 3
# The confirmation judges a few suspects on fresh samples, so it may be less strict than the first look.
_CONFIRMATION_FALSE_ALARM = 0.05

Measure = Callable[[float], Sequence[Pairs]]
"""Sends load for so many seconds and returns the pairs it brought."""


def decide(
    pairs: Sequence[Pairs],
    seconds: float,
    measure: Measure,
    settings: ComparisonSettings,
    say: Callable[[str], None] = lambda _: None,
) -> list[Metric]:
    """Judge a comparison, measuring more where that is needed.

    Args:
        pairs: What the first run brought.
        seconds: How long that took.
        measure: Brings fresh pairs.
        settings: Margins, detectable sizes, false-alarm probability and power.
        say: Receives one-line messages about what happens next.

    Returns:
        The metrics; empty when there is no pair.
    """
    metrics, seconds = _settle(pairs, seconds, measure, settings, say)
    suspects = frozenset((m.endpoint, m.kind) for m in metrics if m.verdict is Verdict.FAIL)
    if suspects:
        say(f"{len(suspects)} suspect: running {seconds:.0f} s again before judging")
        relaxed = replace(settings, false_alarm=_CONFIRMATION_FALSE_ALARM)
        again, _ = _settle(measure(seconds), seconds, measure, relaxed, say, only=suspects)
        metrics = confirm(metrics, again)
    return metrics


def _settle(
    pairs: Sequence[Pairs],
    seconds: float,
    measure: Measure,
    settings: ComparisonSettings,
    say: Callable[[str], None],
    *,
    only: frozenset[tuple[str, Kind]] | None = None,
) -> tuple[list[Metric], float]:
    """Compare, and grow the run as the noise asks; returns the metrics and the length it came to."""
    # A confirmation resamples with numbers of its own.
    seed = 0 if only is None else 1
    metrics = comparison.compare(pairs, settings, seed=seed, only=only)
    for _ in range(_MOST_EXTENSIONS):
        longer = extension(metrics, settings, seconds)
        if not longer:
            break
        say(f"{longer:.0f} s more: the noise measured so far asks for more samples")
        pairs = join(pairs, measure(longer))
        seconds += longer
        metrics = comparison.compare(pairs, settings, seed=seed, only=only)
    return metrics, seconds


def extension(metrics: Sequence[Metric], settings: ComparisonSettings, spent: float) -> float:
    """Return by how many seconds the run should grow (0 when it is long enough, or may not grow)."""
    wanted = (power.planned_pairs(metrics, settings) - 1) * spent
    if wanted <= 0:
        return 0.0
    allowed = settings.max_duration - spent
    return min(max(wanted, _SHORTEST_EXTENSION), allowed) if allowed >= _SHORTEST_EXTENSION else 0.0


def confirm(first: Sequence[Metric], second: Sequence[Metric]) -> list[Metric]:
    """Return ``first`` with its failures kept only where the independent ``second`` run shows them too."""
    again = {(metric.endpoint, metric.kind): metric for metric in second}
    result = []
    for metric in first:
        if metric.verdict is not Verdict.FAIL:
            result.append(metric)
            continue
        repeated = again.get((metric.endpoint, metric.kind))
        if repeated is None:
            reason = "the confirmation run brought no pair for it"
            result.append(replace(metric, verdict=Verdict.INCONCLUSIVE, reason=reason))
        elif repeated.verdict is Verdict.FAIL:
            reason = f"{metric.reason}; a second run shows {repeated.effect:+.1%} too"
            result.append(replace(metric, reason=reason))
        else:
            reason = f"a first run showed {metric.effect:+.1%}, the confirmation run did not"
            if repeated.verdict is not Verdict.PASS:
                reason = f"{reason}, and {repeated.reason}"
            result.append(replace(repeated, reason=reason))
    return result
