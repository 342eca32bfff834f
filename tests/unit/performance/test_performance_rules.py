"""The absolute rules, on made-up runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kickoff.evidence import RuleResult, Verdict, combine
from kickoff.performance import aggregates, rules, scenarios
from kickoff.performance.load import LoadResult
from kickoff.performance.samples import Sample

CATALOGUE = scenarios.load(Path(__file__).parents[3] / "configs/performance/scenarios.yml")
SMOKE = replace(CATALOGUE.get("smoke"), duration=10.0)
BEGUN = 1_000_000.0


def run(samples: list[Sample], **changes: object) -> LoadResult:
    values: dict[str, Any] = {
        "scenario": SMOKE,
        "rate": SMOKE.target_rps,
        "begun": BEGUN,
        "ended": BEGUN + SMOKE.duration,
        "samples": samples,
        "generator_cpu": 0.1,
        "generator_lag_ms": 1.0,
        "partial": False,
        "slow": [],
        "errors": [],
        "log": [],
    }
    return LoadResult(**{**values, **changes})


def steady(rate: float = 5.0, ms: float = 10.0, seconds: float = 10.0) -> list[Sample]:
    count = int(rate * seconds)
    return [Sample(BEGUN + i / rate, "GET /x", "candidate", ms, True) for i in range(count)]


def verdict(result: LoadResult) -> Verdict:
    return combine(rule.verdict for rule in rules.evaluate(result))


def named(found: list[RuleResult], text: str) -> RuleResult:
    return next(rule for rule in found if text in rule.rule)


def test_a_good_run_passes() -> None:
    assert verdict(run(steady())) is Verdict.PASS


def test_no_sample_is_never_a_pass() -> None:
    found = rules.evaluate(run([], log=["could not resolve host"]))
    assert [rule.verdict for rule in found] == [Verdict.INCONCLUSIVE]
    assert found[0].reason == "could not resolve host"


def test_zero_successes_is_never_a_pass() -> None:
    bad = [replace(sample, ok=False, error="status 500, expected 200") for sample in steady()]
    found = rules.evaluate(run(bad))
    assert [rule.verdict for rule in found] == [Verdict.FAIL]
    assert "status 500" in found[0].reason


def test_samples_of_live_do_not_help_the_candidate() -> None:
    assert verdict(run([replace(sample, arm="live") for sample in steady()])) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("failures", "expected"), [(2, Verdict.PASS), (3, Verdict.FAIL)])
def test_error_rate(failures: int, expected: Verdict) -> None:
    samples = steady()
    samples[:failures] = [replace(sample, ok=False, error="wrong body") for sample in samples[:failures]]
    rule = named(rules.evaluate(run(samples)), "error rate")
    assert rule.verdict is expected
    assert (rule.reason == "most frequent: wrong body") is (expected is Verdict.FAIL)


def test_slow_answers_fail_and_name_the_endpoint() -> None:
    samples = steady() + [replace(sample, endpoint="POST /slow", ms=2500) for sample in steady()]
    rule = named(rules.evaluate(run(samples)), "p95 of POST /slow")
    assert (rule.verdict, rule.measured, rule.threshold) == (Verdict.FAIL, "2500.0 ms", "≤ 2000 ms")


def test_with_few_samples_the_slowest_decides() -> None:
    few = [replace(sample, endpoint="GET /rare") for sample in steady()[:10]]
    few[3] = replace(few[3], ms=2001)
    assert named(rules.evaluate(run(steady() + few)), "slowest of GET /rare").verdict is Verdict.FAIL


def test_an_endpoint_that_never_succeeds_is_not_judged_fast() -> None:
    broken = [replace(steady()[0], endpoint="GET /broken", ok=False, error="no")]
    assert named(rules.evaluate(run(steady(50) + broken)), "GET /broken").verdict is Verdict.INCONCLUSIVE


def test_missing_the_target_fails() -> None:
    rule = named(rules.evaluate(run(steady(rate=4))), "requests a second")
    assert (rule.verdict, rule.measured) == (Verdict.FAIL, "4.0/s")


@pytest.mark.parametrize("load", [{"generator_cpu": 0.97}, {"generator_lag_ms": 250.0}])
def test_missing_the_target_with_a_saturated_generator_is_inconclusive(load: dict[str, float]) -> None:
    rule = named(rules.evaluate(run(steady(rate=4), **load)), "requests a second")
    assert rule.verdict is Verdict.INCONCLUSIVE
    assert "load generator" in rule.reason


def test_a_saturated_generator_that_reached_the_target_passes() -> None:
    assert verdict(run(steady(), generator_cpu=0.97)) is Verdict.PASS


def test_the_cap_lowers_the_target_and_says_so() -> None:
    rule = named(rules.evaluate(run(steady(rate=2), rate=2.0)), "requests a second")
    assert rule.verdict is Verdict.PASS
    assert "PERF_MAX_RPS" in rule.threshold


def test_think_time_pacing_has_no_throughput_gate() -> None:
    found = rules.evaluate(run(steady(rate=1), scenario=CATALOGUE.get("LightLoadTest"), rate=0.0))
    assert not any("requests a second" in rule.rule for rule in found)
    assert combine(rule.verdict for rule in found) is Verdict.PASS


def test_a_partial_run_is_inconclusive() -> None:
    assert verdict(run(steady(seconds=5), partial=True, ended=BEGUN + 5)) is Verdict.INCONCLUSIVE


def test_an_exception_in_the_locustfile_is_inconclusive() -> None:
    assert verdict(run(steady(), errors=["PredictionUser: KeyError"])) is Verdict.INCONCLUSIVE


def test_the_target_is_judged_where_all_users_are_active() -> None:
    spike = replace(CATALOGUE.get("spike"), duration=10.0)
    quiet = steady(rate=30)
    loud = [replace(s, time=BEGUN + 4 + i / 300) for i, s in enumerate(steady(rate=300, seconds=2))]
    outside = [s for s in quiet if not BEGUN + 4 <= s.time < BEGUN + 6]
    found = rules.evaluate(run(outside + loud, scenario=spike, rate=300.0))
    assert named(found, "requests a second").verdict is Verdict.PASS
    assert (
        named(rules.evaluate(run(quiet, scenario=spike, rate=300.0)), "requests a second").verdict
        is Verdict.FAIL
    )


def test_objectives_are_judged_on_their_scenario() -> None:
    heavy = replace(CATALOGUE.get("heavy"), duration=10.0)
    samples = steady(rate=150) + [replace(s, endpoint="GET /health") for s in steady(rate=9)]
    found = rules.evaluate(run(samples, scenario=heavy, rate=150.0), CATALOGUE.objectives)
    assert named(found, "objective: mean").verdict is Verdict.PASS
    assert named(found, "objective: concurrent users").verdict is Verdict.PASS
    assert named(found, "objective: health").verdict is Verdict.FAIL
    assert not any("objective" in rule.rule for rule in rules.evaluate(run(steady()), CATALOGUE.objectives))


def test_histogram_counts_every_success_once() -> None:
    samples = [replace(s, ms=float(i + 1)) for i, s in enumerate(steady(rate=20))]
    samples[0] = replace(samples[0], ok=False)
    points = aggregates.histogram(samples)
    assert sum(point["count"] for point in points) == len(samples) - 1
    assert [p["le_ms"] for p in points] == sorted(p["le_ms"] for p in points)
    assert aggregates.histogram([]) == []


def test_throughput_over_time() -> None:
    samples = steady(rate=10)
    samples[5] = replace(samples[5], ok=False, error="no")
    points = aggregates.throughput(samples, BEGUN, BEGUN + 10)
    assert len(points) == 10
    times = {"p50_ms": 10.0, "p95_ms": 10.0, "p99_ms": 10.0}
    # Nine successes make no percentile: the second point is that of the first twenty.
    assert points[0] == {"t": 0.0, "rps": 10.0, "failed": 1, **dict.fromkeys(times), "received": 0}
    assert points[2] == {"t": 2.0, "rps": 10.0, "failed": 0, **times, "received": 0}
    assert sum(point["failed"] for point in points) == 1


def test_a_long_run_has_a_bounded_number_of_points() -> None:
    assert len(aggregates.throughput(steady(rate=1, seconds=3600), BEGUN, BEGUN + 3600)) <= 300
