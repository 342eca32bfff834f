"""The performance check: run scenarios, judge them, and leave evidence."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kickoff import evidence as evidence_files
from kickoff.evidence import Evidence, RuleResult, Verdict, combine
from kickoff.performance import aggregates, comparison, gate, live_release, load, rules
from kickoff.performance import samples as sample_files
from kickoff.performance.comparison import Metric, Pairs
from kickoff.performance.live_release import COMPARED
from kickoff.performance.load import Arm, Interrupted, LoadResult, Progress
from kickoff.performance.resources import Probe
from kickoff.performance.samples import CANDIDATE, Sample
from kickoff.performance.scenarios import Catalogue, ComparisonSettings, Scenario, Step

STAGE = "perf-baseline"
_MOST_ERRORS = 30


@dataclass(frozen=True, slots=True)
class Setup:
    """Where the load goes and how.

    Attributes:
        candidate: The side that is judged.
        live: The side it is compared with; ``None`` when nothing is live.
        live_down: Asks live, and returns why it does not answer; empty when it does.
        locustfile: The user classes.
        max_rps: Upper bound of requests a second, both sides together; 0 for none.
        release_header: Response header that names the release; empty for none.
        environ: Additional environment variables of the load generator.
        workers: The load generators, as :func:`kickoff.performance.load.run` takes them.
        probes: Read what each side of the service uses.
        unmeasured: Why that cannot be read for some side; empty when it can.
        say: Receives one-line messages about what happens next.
        on_progress: Receives the progress of the current run.
    """

    candidate: Arm
    live: Arm | None
    locustfile: Path
    max_rps: float = 0.0
    release_header: str = "X-Release"
    environ: Mapping[str, str] = field(default_factory=dict)
    workers: Sequence[Sequence[str]] = ((),)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    unmeasured: str = ""
    live_down: Callable[[], str] = lambda: ""
    say: Callable[[str], None] = lambda _: None
    on_progress: Callable[[Progress], None] = lambda _: None


@dataclass(slots=True)
class Outcome:
    """What one scenario brought; ``live_down`` holds the fact about a live release that was down."""

    scenario: Scenario
    rules: list[RuleResult]
    runs: list[LoadResult]
    metrics: list[Metric]
    partial: bool = False
    live_down: dict[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> list[Sample]:
        """All samples of all runs."""
        return [sample for run in self.runs for sample in run.samples]


def run(scenario: Scenario, setup: Setup, catalogue: Catalogue) -> Outcome:
    """Run one scenario and judge it; an interruption yields a partial outcome instead of an exception.

    Raises:
        KickoffError: The load generator could not work.
    """
    outcome = Outcome(scenario, [], [], [])
    try:
        _run(outcome, setup, catalogue)
    except Interrupted as stopped:
        outcome.runs.append(stopped.result)
        outcome.partial = True
        if len(outcome.runs) == 1:
            outcome.rules = rules.evaluate(stopped.result, catalogue.objectives)
        else:
            outcome.rules.append(
                RuleResult(
                    id=COMPARED,
                    rule=f"{scenario.name}: comparison with live",
                    verdict=Verdict.INCONCLUSIVE,
                    measured="unfinished",
                    threshold="finished",
                    samples=0,
                    reason="the run was interrupted during the comparison",
                )
            )
    return outcome


def _run(outcome: Outcome, setup: Setup, catalogue: Catalogue) -> None:
    scenario, settings = outcome.scenario, catalogue.comparison
    down = setup.live_down() if setup.live else ""
    if setup.live is None or down:
        _alone(outcome, setup, catalogue, down)
        return
    arms = [setup.candidate, setup.live]
    rate = pace(scenario, settings, setup.max_rps, len(arms))
    first = _load(scenario, arms, rate, setup)
    outcome.runs.append(first)
    outcome.rules = rules.evaluate(first, catalogue.objectives)
    failed = [rule for rule in outcome.rules if rule.verdict is Verdict.FAIL]
    down, slow = live_release.lost(first), False
    # Errors are the candidate's own, whatever live does; its pace is not: the same users wait for live.
    if outcome.rules[0] not in failed and (down or _only_slow(failed)):
        _alone(outcome, setup, catalogue, down)
        failed = [rule for rule in outcome.rules if rule.verdict is Verdict.FAIL]
        if down:
            return
        slow = live_release.slower(first)
    if failed:
        # A candidate that fails by itself needs no comparison.
        outcome.rules.append(_skipped(scenario, "the candidate already breaks an absolute rule"))
        return

    def measure(seconds: float) -> list[Pairs]:
        again = _load(_steady(scenario, seconds), arms, rate, setup)
        outcome.runs.append(again)
        if why := live_release.lost(again):
            raise live_release.Lost(why)
        return comparison.pair_up(again.samples)

    try:
        metrics = gate.decide(comparison.pair_up(first.samples), first.seconds, measure, settings, setup.say)
    except live_release.Lost as why:
        _give_up(outcome, setup.live, str(why))
        return
    if slow:
        metrics = [live_release.without_doubt(metric) for metric in metrics]
    outcome.metrics = metrics
    outcome.rules += [comparison.to_rule(metric, settings) for metric in metrics]
    if not metrics:
        outcome.rules.append(
            RuleResult(
                id=COMPARED,
                rule=f"{scenario.name}: comparison with live",
                verdict=Verdict.INCONCLUSIVE,
                measured="no pair",
                threshold="≥ 1 pair",
                samples=0,
                reason="no request was answered by both sides",
            )
        )


def _alone(outcome: Outcome, setup: Setup, catalogue: Catalogue, down: str) -> None:
    """Judge the candidate by absolute rules, on a run that it shares with nobody."""
    if setup.live:
        why = f"live is down, {down}" if down else "users who also wait for live cannot keep their pace"
        setup.say(f"the candidate alone: {why}")
    rate = pace(outcome.scenario, catalogue.comparison, setup.max_rps, 1)
    run = _load(outcome.scenario, [setup.candidate], rate, setup)
    outcome.runs.append(run)
    outcome.rules = rules.evaluate(run, catalogue.objectives)
    if down:
        _give_up(outcome, setup.live, down)


def _give_up(outcome: Outcome, live: Arm | None, why: str) -> None:
    outcome.live_down = live_release.fact(live.release if live else "", outcome.runs, why)
    outcome.rules.append(live_release.not_applicable(outcome.scenario.name, why))


def _only_slow(failed: Sequence[RuleResult]) -> bool:
    return bool(failed) and all(rule.id == rules.THROUGHPUT for rule in failed)


def pace(scenario: Scenario, settings: ComparisonSettings, max_rps: float, arms: int) -> float:
    """Return the requests a second for each side: the target, more for a comparison, never above the cap."""
    if scenario.target_rps == 0:
        return 0.0
    rate = scenario.target_rps if arms == 1 else max(scenario.target_rps, settings.pairs_per_second)
    return min(rate, max_rps / arms) if max_rps else rate


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
    return Evidence(
        stage=STAGE,
        environment=environment,
        verdict=verdict,
        summary=summary(outcomes, found, verdict),
        started=started,
        finished=evidence_files.now(),
        service=service,
        release=release,
        attempt=attempt,
        inputs=dict(inputs),
        rules=found,
        timeline=_timeline(outcomes),
        series=_series(outcomes),
        facts=_facts(outcomes, compared, unmeasured),
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
        compared = "; no slower than live" if any(m.verdict is Verdict.PASS for m in metrics) else ""
        if any(outcome.live_down for outcome in outcomes):
            compared = f"; {live_release.DOWN}"
        return f"{names}: {counts}, p95 {overall.p95_ms:.1f} ms{compared}{partial}"
    worst = next((rule for rule in found if rule.verdict is verdict), None)
    if worst is None:
        return f"{names}: nothing was judged{partial}"
    return f"{worst.rule}: {worst.measured}, threshold {worst.threshold}: {worst.reason}{partial}"


def _load(scenario: Scenario, arms: Sequence[Arm], rate: float, setup: Setup) -> LoadResult:
    return load.run(
        scenario,
        arms,
        locustfile=setup.locustfile,
        rate=rate,
        release_header=setup.release_header,
        environ=setup.environ,
        workers=setup.workers,
        probes=setup.probes,
        on_progress=setup.on_progress,
    )


def _steady(scenario: Scenario, duration: float) -> Scenario:
    return replace(scenario, duration=max(duration, 1.0), shape=(Step(1.0, 1.0),))


def _skipped(scenario: Scenario, reason: str) -> RuleResult:
    return RuleResult(
        COMPARED,
        f"{scenario.name}: comparison with live",
        Verdict.NOT_APPLICABLE,
        "not compared",
        "none",
        0,
        reason,
    )


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


def _facts(outcomes: Sequence[Outcome], compared: bool, unmeasured: str) -> dict[str, Any]:
    runs = [run for outcome in outcomes for run in outcome.runs]
    return {
        "endpoints": _endpoint_rows(outcomes, lambda sample: sample.arm == CANDIDATE),
        "endpoints_live": _endpoint_rows(outcomes, lambda sample: sample.arm != CANDIDATE),
        "scenarios": [_scenario_fact(outcome) for outcome in outcomes],
        "comparison": [_metric_fact(metric) for outcome in outcomes for metric in outcome.metrics],
        "compared_with_live": compared and not any(outcome.live_down for outcome in outcomes),
        "partial": any(outcome.partial for outcome in outcomes),
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
    }


def _metric_fact(metric: Metric) -> dict[str, Any]:
    return {
        key: (_clean(value, 6) if isinstance(value, float) else value)
        for key, value in asdict(metric).items()
    }


def _clean(value: float, digits: int = 3) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
