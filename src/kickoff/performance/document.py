"""The evidence of a performance check: rules, series for charts, figures of endpoints and machines."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kickoff import evidence as evidence_files
from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, RuleResult, Verdict, combine
from kickoff.evidence.rules import WARNING
from kickoff.performance import aggregates, live_release
from kickoff.performance import samples as sample_files
from kickoff.performance.aggregates import EndpointFigures
from kickoff.performance.allowance import Allowance
from kickoff.performance.check import Outcome
from kickoff.performance.live_release import COMPARED
from kickoff.performance.load import LoadResult
from kickoff.performance.metrics import ALL, Kind, Metric
from kickoff.performance.samples import CANDIDATE, FEWEST, Sample

STAGE = "perf-baseline"
_MOST_ERRORS = 30


def to_evidence(
    outcomes: Sequence[Outcome],
    *,
    environment: str,
    service: str,
    release: str,
    attempt: str,
    started: str,
    inputs: Mapping[str, Any],
    compared: bool,
    not_compared: str,
    unmeasured: str = "",
    allowed: Allowance | None = None,
) -> Evidence:
    """Return the evidence of the outcomes.

    Args:
        outcomes: One per scenario, in order.
        environment: Name of the environment; may be empty.
        service: Name of the service.
        release: The candidate's release id; may be empty.
        attempt: The attempt's id; may be empty.
        started: Begin, ISO 8601.
        inputs: What the check was asked to do.
        compared: Whether there was a live release to compare with.
        not_compared: Why there was none.
        unmeasured: Why the service's processor and memory could not be read; empty when they could.
        allowed: By how much the candidate might be slower than live; ``None`` for what the rules say.
    """
    found = [rule for outcome in outcomes for rule in outcome.rules]
    if not compared:
        found.append(
            RuleResult(
                COMPARED, "comparison with live", Verdict.NOT_APPLICABLE, "none", "none", 0, not_compared
            )
        )
    verdict = combine(rule.verdict for rule in found)
    if any(outcome.partial for outcome in outcomes) and verdict is Verdict.PASS:
        verdict = Verdict.INCONCLUSIVE
    once = allowed.spent(_typical_effects(outcomes)) if allowed else ""
    return Evidence(
        stage=STAGE,
        environment=environment,
        verdict=verdict,
        summary=summary(outcomes, found, verdict) + (f"; allowed once: {once}" if once else ""),
        started=started,
        finished=evidence_files.now(),
        service=service,
        release=release,
        attempt=attempt,
        inputs=dict(inputs),
        rules=found,
        timeline=_timeline(outcomes),
        series=_series(outcomes),
        facts=_facts(outcomes, unmeasured) | ({"allowed_once": once} if once else {}),
        log_tail=next(
            (outcome.runs[-1].log for outcome in outcomes if outcome.runs and outcome.runs[-1].log), []
        ),
    )


def write_samples(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the raw samples of all outcomes to one gzip CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sample_files.write(path, (sample for outcome in outcomes for sample in outcome.samples))


def summary(outcomes: Sequence[Outcome], found: Sequence[RuleResult], verdict: Verdict) -> str:
    """Return the outcome in one sentence: the worst rule, or what passed."""
    names = ", ".join(outcome.scenario.name for outcome in outcomes)
    partial = " (partial: interrupted)" if any(outcome.partial for outcome in outcomes) else ""
    if verdict is Verdict.PASS:
        samples = [s for outcome in outcomes for s in outcome.samples if s.arm == CANDIDATE]
        overall = aggregates.figures(samples, "", CANDIDATE)
        counts = f"{overall.requests} requests, {overall.failures} failed"
        metrics = [metric for outcome in outcomes for metric in outcome.metrics]
        compared = "; not shown to be slower than live" * any(m.verdict is Verdict.PASS for m in metrics)
        if doubts := sum(m.finding == WARNING for m in metrics):
            compared += f"; a warning: {doubts} of {len(metrics)} comparisons with live were inconclusive"
        if any(outcome.live_down for outcome in outcomes):
            compared = f"; {live_release.DOWN}"
        return f"{names}: {counts}, {_typical(overall)}{compared}{partial}"
    worst = next((rule for rule in found if rule.verdict is verdict), None)
    if worst is None:
        return f"{names}: nothing was judged{partial}"
    return f"{worst.rule}: {worst.measured}, threshold {worst.threshold}: {worst.reason}{partial}"


def _typical_effects(outcomes: Sequence[Outcome]) -> list[float]:
    """Return what the typical request of each endpoint costs more than live's, where that is known."""
    metrics = (metric for outcome in outcomes for metric in outcome.metrics if metric.kind is Kind.P50)
    return [metric.effect for metric in metrics if math.isfinite(metric.effect)]


def _typical(overall: EndpointFigures) -> str:
    """Return the p95 of all requests, or of few the slowest one."""
    if overall.successes < FEWEST:
        return f"slowest {overall.max_ms:.1f} ms"
    return f"p95 of all {overall.p95_ms:.1f} ms"


def _timeline(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    events = []
    for outcome in outcomes:
        for index, run in enumerate(outcome.runs):
            what = "load" if index == 0 else "more load"
            at = datetime.fromtimestamp(run.begun, UTC).isoformat(timespec="milliseconds")
            events.append({"at": at, "event": f"{outcome.scenario.name}: {what} for {run.seconds:.1f} s"})
    return events


def _series(outcomes: Sequence[Outcome]) -> dict[str, list[dict[str, Any]]]:
    every = [sample for outcome in outcomes for sample in outcome.samples]
    series = {
        "throughput": _over_time(outcomes, lambda sample: sample.arm == CANDIDATE),
        "latency_histogram": aggregates.histogram(s for s in every if s.arm == CANDIDATE),
        "resources": [
            {
                "t": round(entry.time - run.begun + offset, 1),
                "arm": entry.arm,
                "cpu": round(entry.cpu, 3),
                "memory_mb": round(entry.memory_bytes / 1e6, 1),
            }
            for _, run, offset in _clock(outcomes)
            for entry in run.usage
            if run.begun <= entry.time <= run.ended  # the next run begins where this one ended
        ],
    }
    if any(sample.arm != CANDIDATE for sample in every):
        series["throughput_live"] = _over_time(outcomes, lambda sample: sample.arm != CANDIDATE)
        series["latency_histogram_live"] = aggregates.histogram(s for s in every if s.arm != CANDIDATE)
    return series


def _clock(outcomes: Sequence[Outcome]) -> Iterator[tuple[Outcome, LoadResult, float]]:
    """Yield every run with the seconds of load before it."""
    offset = 0.0
    for outcome in outcomes:
        for run in outcome.runs:
            yield outcome, run, offset
            offset += run.seconds


def _over_time(outcomes: Sequence[Outcome], wanted: Callable[[Sample], bool]) -> list[dict[str, Any]]:
    return [
        {**point, "t": round(point["t"] + offset, 1), "scenario": outcome.scenario.name}
        for outcome, run, offset in _clock(outcomes)
        for point in aggregates.throughput([s for s in run.samples if wanted(s)], run.begun, run.ended)
    ]


def _facts(outcomes: Sequence[Outcome], unmeasured: str) -> dict[str, Any]:
    runs = [run for outcome in outcomes for run in outcome.runs]
    return {
        "endpoints": _endpoint_rows(outcomes, lambda sample: sample.arm == CANDIDATE),
        "endpoints_live": _endpoint_rows(outcomes, lambda sample: sample.arm != CANDIDATE),
        "overall": _overall(outcomes),
        "scenarios": [_scenario_fact(outcome) for outcome in outcomes],
        "comparison": [
            {**_metric_fact(metric), "scenario": outcome.scenario.name}
            for outcome in outcomes
            for metric in outcome.metrics
        ],
        **({"exit_code": int(ExitCode.INTERRUPTED)} if any(outcome.partial for outcome in outcomes) else {}),
        "errors": _errors(sample for outcome in outcomes for sample in outcome.samples),
        "generator": {
            "processes": max((run.generators for run in runs), default=0),
            "cpu": round(max((run.generator_cpu for run in runs), default=0.0), 3),
            "lag_p95_ms": round(max((run.generator_lag_ms for run in runs), default=0.0), 1),
            "requests_per_core": round(min((run.ceiling for run in runs if run.ceiling), default=0.0)),
            "saturated": next((run.saturated for run in runs if run.saturated), ""),
            "near_ceiling": next((run.near_ceiling for run in runs if run.near_ceiling), ""),
        },
        "resources": _resources(runs, unmeasured),
        "slow_requests": [entry for run in runs for entry in run.slow][:100],
        **next(({"live_down": outcome.live_down} for outcome in outcomes if outcome.live_down), {}),
    }


def _endpoint_rows(outcomes: Sequence[Outcome], wanted: Callable[[Sample], bool]) -> list[dict[str, Any]]:
    return [
        {**row, "scenario": outcome.scenario.name}
        for outcome in outcomes
        for row in aggregates.rows(aggregates.by_endpoint(s for s in outcome.samples if wanted(s)), _clean)
    ]


def _overall(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the figures of all requests of each side, whichever endpoint they asked."""
    every = [sample for outcome in outcomes for sample in outcome.samples]
    sides = {arm: [s for s in every if s.arm == arm] for arm in sorted({s.arm for s in every})}
    found = [aggregates.figures(samples, ALL, arm) for arm, samples in sides.items()]
    return aggregates.rows(found, _clean)


def _errors(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Return what went wrong, the most frequent first."""
    counts = Counter((s.endpoint, s.arm, s.error) for s in samples if not s.ok)
    return [
        {"endpoint": endpoint, "arm": arm, "error": error, "count": count}
        for (endpoint, arm, error), count in counts.most_common(_MOST_ERRORS)
    ]


def _resources(runs: Sequence[LoadResult], unmeasured: str) -> dict[str, Any]:
    """Return what each side of the service used; ``unmeasured`` says why a side is missing."""
    sides = []
    for arm in sorted({entry.arm for run in runs for entry in run.usage}):
        usage = [entry for run in runs for entry in run.usage if entry.arm == arm]
        bodies = sum(sample.size for run in runs for sample in run.samples if sample.arm == arm)
        sides.append(
            {
                "arm": arm,
                "cpu_mean": round(sum(entry.cpu for entry in usage) / len(usage), 3),
                "cpu_max": round(max(entry.cpu for entry in usage), 3),
                "memory_max_mb": round(max(entry.memory_bytes for entry in usage) / 1e6, 1),
                "memory_growth_mb": round((usage[-1].memory_bytes - usage[0].memory_bytes) / 1e6, 1),
                "answers_mb": round(bodies / 1e6, 3),
                "seconds": len(usage),
            }
        )
    return {"sides": sides, "unmeasured": unmeasured}


def _scenario_fact(outcome: Outcome) -> dict[str, Any]:
    samples = [sample for sample in outcome.samples if sample.arm == CANDIDATE]
    return {
        "name": outcome.scenario.name,
        "verdict": combine(rule.verdict for rule in outcome.rules),
        "users": outcome.scenario.users,
        "seconds": round(sum(run.seconds for run in outcome.runs), 1),
        "requests": len(samples),
        "failures": sum(not sample.ok for sample in samples),
        "partial": outcome.partial,
        "max_response_ms": outcome.scenario.max_response_time,
    }


def _metric_fact(metric: Metric) -> dict[str, Any]:
    return {
        key: (_clean(value, 6) if isinstance(value, float) else value)
        for key, value in asdict(metric).items()
    }


def _clean(value: float, digits: int = 3) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
