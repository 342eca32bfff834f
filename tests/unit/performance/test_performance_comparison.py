"""The paired gate: its pieces, and its behaviour on simulated traces with known truth."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kickoff.evidence import Verdict
from kickoff.performance import check, comparison, gate, power, scenarios, times
from kickoff.performance.metrics import Kind, Metric, Pairs, join, pair_up
from kickoff.performance.samples import Sample
from kickoff.performance.scenarios import Effect

FILE = Path(__file__).parents[3] / "configs/performance/scenarios.yml"
SETTINGS = scenarios.load(FILE).comparison
DEVELOPMENT = scenarios.load(FILE, "development").comparison


def simulate(
    source: np.random.Generator,
    count: int,
    *,
    slower: float = 1.0,
    errors: float = 0.0,
    tail: float = 0.0,
    endpoints: int = 3,
    base: float = 4.0,
) -> list[Pairs]:
    """Return pairs on a noisy machine: drift, bursts on both sides, jitter; the first endpoint changes."""
    result = []
    for number in range(endpoints):
        drift = np.cumsum(source.normal(0, 0.02, count))
        burst = (source.random(count) < 0.03) * source.exponential(1.0, count)
        sides = []
        for _ in range(2):
            jitter = source.normal(0, 0.2, count) + (source.random(count) < 0.02) * source.exponential(
                1.0, count
            )
            sides.append(base * np.exp(drift + burst + jitter))
        live, candidate = sides
        failed = np.zeros(count, dtype=np.bool_)
        if number == 0:
            candidate = np.where(source.random(count) < tail, candidate * 10, candidate * slower)
            failed = source.random(count) < errors
        result.append(Pairs(f"GET /{number}", live, candidate, np.ones(count, dtype=np.bool_), ~failed))
    return result


def rejections(repetitions: int, count: int, **changes: float) -> int:
    found = 0
    for seed in range(repetitions):
        pairs = simulate(np.random.default_rng([seed, count]), count, **changes)  # type: ignore[arg-type]
        metrics = comparison.compare(pairs, SETTINGS, seed=seed)
        found += any(metric.verdict is Verdict.FAIL for metric in metrics)
    return found


def test_equal_releases_are_rarely_rejected_even_before_the_confirmation() -> None:
    # 1 % of 60 are 0.6; the seeds are fixed, so this either holds always or never.
    assert rejections(60, 120) <= 3


def test_a_slowdown_of_ten_percent_is_seen() -> None:
    assert rejections(20, 500, slower=1.10) >= 19


def test_a_slowdown_below_the_margin_never_fails() -> None:
    pairs = simulate(np.random.default_rng(1), 3000, slower=1.10, endpoints=1)
    generous = replace(SETTINGS, p50=Effect(0.2, 0.3), p95=Effect(0.3, 0.6))
    by_kind = {metric.kind: metric for metric in comparison.compare(pairs, generous)}
    assert by_kind[Kind.P50].p_value < 0.001
    assert by_kind[Kind.P50].verdict is Verdict.PASS


def test_a_slowdown_names_endpoint_effect_and_interval() -> None:
    metrics = comparison.compare(simulate(np.random.default_rng(7), 500, slower=1.25), DEVELOPMENT)
    failed = [metric for metric in metrics if metric.verdict is Verdict.FAIL]
    assert {metric.endpoint for metric in failed} == {"GET /0"}
    median = next(metric for metric in failed if metric.kind is Kind.P50)
    assert median.low < 0.25 < median.high
    assert median.low > 0.1
    rule = comparison.to_rule(median, DEVELOPMENT)
    assert rule.rule == "p50 of GET /0 against live"
    assert re.fullmatch(r"\+2\d\.\d% within pairs \(95% \+[12]\d\.\d to \+\d\d\.\d\)", rule.measured)
    assert rule.threshold.startswith("≤ +1")


def test_the_interval_covers_the_truth() -> None:
    covered = 0
    for seed in range(40):
        pairs = simulate(np.random.default_rng([seed, 3]), 200, slower=1.15, endpoints=1)
        median = comparison.compare(pairs, SETTINGS, seed=seed)[0]
        covered += median.low <= 0.15 <= median.high
    assert covered >= 34  # 95 % of 40 are 38


def test_a_faster_release_passes() -> None:
    metrics = comparison.compare(simulate(np.random.default_rng(5), 1500, slower=0.7), DEVELOPMENT)
    assert {metric.verdict for metric in metrics} == {Verdict.PASS}


def test_new_errors_are_seen_and_old_ones_are_not_blamed_on_the_candidate() -> None:
    source = np.random.default_rng(11)
    found = comparison.compare(simulate(source, 500, errors=0.06), SETTINGS)
    errors = next(metric for metric in found if metric.kind is Kind.ERRORS)
    assert errors.verdict is Verdict.FAIL
    assert errors.low > 0
    swapped = [
        Pairs(p.endpoint, p.candidate_ms, p.live_ms, p.candidate_ok, p.live_ok)
        for p in simulate(source, 500, errors=0.06)
    ]
    better = next(m for m in comparison.compare(swapped, SETTINGS) if m.kind is Kind.ERRORS)
    assert better.verdict is not Verdict.FAIL
    assert better.effect < 0


def test_a_rare_tail_is_seen_although_the_95th_percentile_is_not() -> None:
    found = comparison.compare(simulate(np.random.default_rng(13), 1500, tail=0.03), SETTINGS)
    tail = next(metric for metric in found if metric.kind is Kind.TAIL)
    assert tail.verdict is Verdict.FAIL


def test_too_few_or_too_noisy_pairs_are_inconclusive() -> None:
    few = comparison.compare(simulate(np.random.default_rng(2), times.MINIMUM_PAIRS - 1), SETTINGS)
    assert {m.verdict for m in few if m.relative} == {Verdict.INCONCLUSIVE}
    assert "too few" in few[0].reason
    noisy = comparison.compare(simulate(np.random.default_rng(2), 60), SETTINGS)[0]
    assert noisy.verdict is Verdict.INCONCLUSIVE
    assert noisy.detectable > SETTINGS.p50.detect
    assert "with 60 pairs" in noisy.reason


def test_no_pairs_give_no_metrics() -> None:
    assert comparison.compare([], SETTINGS) == []


def test_a_broken_live_release_is_no_yardstick() -> None:
    pairs = simulate(np.random.default_rng(3), 200, endpoints=1)[0]
    broken = replace(pairs, live_ok=np.zeros(200, dtype=np.bool_))
    found = {metric.kind: metric.verdict for metric in comparison.compare([broken], SETTINGS)}
    assert found[Kind.P50] is Verdict.NOT_APPLICABLE
    assert found[Kind.ERRORS] is not Verdict.FAIL


def test_an_endpoint_that_fails_on_live_leaves_the_others_to_be_compared() -> None:
    first, *others = simulate(np.random.default_rng(5), 1500)
    broken = replace(first, live_ok=np.zeros(1500, dtype=np.bool_))
    found = comparison.compare([broken, *others], DEVELOPMENT)
    apply = {
        metric.endpoint: metric.verdict is not Verdict.NOT_APPLICABLE for metric in found if metric.relative
    }
    assert apply == {"GET /0": False, "GET /1": True, "GET /2": True}
    assert {m.verdict for m in found if m.endpoint != "GET /0"} == {Verdict.PASS}
    assert "live fails here (1500 of 1500 requests)" in found[0].reason


@pytest.mark.parametrize(("failing", "applies"), [(750, True), (751, False)])
def test_half_of_the_requests_is_still_a_baseline(failing: int, applies: bool) -> None:
    pairs = simulate(np.random.default_rng(5), 1500, endpoints=1)[0]
    found = comparison.compare([replace(pairs, live_ok=np.arange(1500) >= failing)], DEVELOPMENT)
    assert (found[0].verdict is not Verdict.NOT_APPLICABLE) is applies


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3, 0.45])
def test_errors_that_only_live_has_are_no_doubt_about_the_candidate(share: float) -> None:
    source = np.random.default_rng(12)
    pairs = simulate(source, 400, endpoints=1)[0]
    failing = replace(pairs, live_ok=source.random(400) >= share)
    errors = next(m for m in comparison.compare([failing], SETTINGS) if m.kind is Kind.ERRORS)
    assert errors.verdict is Verdict.PASS
    both = replace(failing, candidate_ok=failing.live_ok)
    worse = replace(failing, candidate_ok=failing.live_ok & (source.random(400) >= 0.1))
    verdicts = [
        next(m.verdict for m in comparison.compare([entry], SETTINGS) if m.kind is Kind.ERRORS)
        for entry in (both, worse)
    ]
    assert verdicts == [Verdict.PASS, Verdict.FAIL]


def test_a_fraction_of_a_millisecond_stops_nobody() -> None:
    pairs = simulate(np.random.default_rng(4), 2000, slower=1.3, base=0.2, endpoints=1)
    found = {metric.kind: metric for metric in comparison.compare(pairs, SETTINGS)}
    assert found[Kind.P50].effect > 0.25
    assert found[Kind.P50].verdict is Verdict.PASS


def test_the_plan_grows_with_the_noise_until_the_effect_shows() -> None:
    source = np.random.default_rng(6)
    short = comparison.compare(simulate(source, 150), SETTINGS)
    factor = power.planned_pairs(short, SETTINGS)
    assert factor > 1
    planned = comparison.compare(simulate(source, math.ceil(150 * factor)), SETTINGS)
    assert {metric.verdict for metric in planned} == {Verdict.PASS}
    assert power.planned_pairs(planned, SETTINGS) == 1


def test_an_extension_stays_within_the_limit() -> None:
    short = comparison.compare(simulate(np.random.default_rng(6), 60), SETTINGS)
    assert gate.extension(short, SETTINGS, spent=SETTINGS.max_duration - 10) == 10
    assert gate.extension(short, SETTINGS, spent=SETTINGS.max_duration) == 0
    assert gate.extension([], SETTINGS, spent=5) == 0


def placed(source: np.random.Generator, count: int, effect: float) -> Pairs:
    """Return equal releases of which one has the busier core for stretches of 40 pairs."""
    stretch = np.repeat(source.choice([-1.0, 1.0], size=count // 40 + 1), 40)[:count]
    noise = source.normal(0, 0.2, (2, count))
    live, candidate = np.exp(1 + noise + np.stack([-stretch, stretch]) * effect / 2)
    ok = np.ones(count, dtype=np.bool_)
    return Pairs("GET /a", live, candidate, ok, ok)


def test_a_busier_core_for_seconds_on_end_does_not_cry_wolf() -> None:
    alarms = 0
    for seed in range(30):
        found = comparison.compare([placed(np.random.default_rng([seed, 8]), 1000, 0.4)], SETTINGS, seed=seed)
        alarms += any(metric.verdict is Verdict.FAIL for metric in found)
    # Taking the pairs for independent rejects about a quarter of these.
    assert alarms <= 3


@pytest.mark.parametrize("count", [20, 137, 1000])
def test_the_bootstrap_draws_blocks_of_pairs(count: int) -> None:
    live, noise = np.random.default_rng(4).normal(0, 0.5, (2, count))
    candidate = live + 0.1 + noise / 3
    found = times._bootstrap(live, candidate, np.random.default_rng(9))
    length = times.block_length(count)
    starts = np.random.default_rng(9).integers(0, count, size=(len(found), math.ceil(count / length)))
    pairs = ((starts[:, :, None] + np.arange(length)) % count).reshape(len(found), -1)
    np.testing.assert_allclose(found, times._effects(live[pairs], candidate[pairs]), atol=1e-5)


def test_what_two_starts_of_a_release_differ_by_is_allowed_for() -> None:
    pairs = simulate(np.random.default_rng(21), 2500, slower=1.08, endpoints=1)
    strict = comparison.compare(pairs, SETTINGS)[0]
    allowed = comparison.compare(pairs, replace(SETTINGS, instance=0.07))[0]
    assert strict.verdict is Verdict.FAIL
    assert allowed.p_value > 0.01
    assert allowed.verdict is not Verdict.FAIL
    assert allowed.detectable > strict.detectable


def test_two_runs_join_to_one() -> None:
    first, second = (simulate(np.random.default_rng(seed), 30, endpoints=2) for seed in (1, 2))
    joined = join(first, second)
    assert [entry.count for entry in joined] == [60, 60]
    assert joined[0].live_ms.tolist() == [*first[0].live_ms, *second[0].live_ms]
    only = [replace(second[0], endpoint="GET /new")]
    assert {entry.endpoint for entry in join(first, only)} == {"GET /0", "GET /1", "GET /new"}


def test_holm() -> None:
    assert comparison.holm([0.01, 0.04, 0.03], 0.05) == [True, False, False]
    assert comparison.holm([0.01, 0.02, 0.03], 0.05) == [True, True, True]
    assert comparison.holm([0.02, 0.9], 0.05) == [True, False]
    assert comparison.holm([], 0.05) == []


def sample(endpoint: str, arm: str, pair: str, ms: float, ok: bool = True) -> Sample:
    return Sample(ms, endpoint, arm, ms, ok, pair=pair)


def test_pairs_are_joined_and_halves_left_out() -> None:
    found = pair_up(
        [
            sample("GET /a", "live", "1", 2.0),
            sample("GET /a", "candidate", "1", 3.0, ok=False),
            sample("GET /a", "live", "2", 1.0),
            sample("GET /a", "candidate", "2", 4.0),
            sample("GET /a", "live", "3", 9.0),
            sample("GET /b", "candidate", "3", 9.0),
            sample("GET /b", "live", "", 9.0),
        ]
    )
    assert [entry.endpoint for entry in found] == ["GET /a"]
    assert found[0].live_ms.tolist() == [1.0, 2.0]
    assert found[0].candidate_ms.tolist() == [4.0, 3.0]
    assert found[0].timed()[0].tolist() == [1.0]


@pytest.mark.parametrize(("share", "count", "rank"), [(0.5, 4, 1), (0.5, 5, 2), (0.95, 20, 18), (0.95, 1, 0)])
def test_ranks(share: float, count: int, rank: int) -> None:
    assert times.rank(share, count) == rank


def metric(verdict: Verdict, effect: float = 0.3) -> Metric:
    return Metric("GET /a", Kind.P50, 100, 1, 1, effect, 0, 1, 0.001, 0.1, verdict, "because")


def test_a_failure_needs_its_confirmation() -> None:
    first = [metric(Verdict.FAIL)]
    assert gate.confirm(first, [metric(Verdict.FAIL)])[0].verdict is Verdict.FAIL
    passed = gate.confirm(first, [metric(Verdict.PASS, 0.01)])[0]
    assert (passed.verdict, passed.effect) == (Verdict.PASS, 0.01)
    assert "the confirmation run did not" in passed.reason
    assert gate.confirm(first, [metric(Verdict.INCONCLUSIVE)])[0].verdict is Verdict.INCONCLUSIVE
    assert gate.confirm(first, [])[0].verdict is Verdict.INCONCLUSIVE
    assert gate.confirm([metric(Verdict.PASS)], [])[0].verdict is Verdict.PASS


def test_the_same_pairs_and_seed_give_the_same_answer() -> None:
    pairs = simulate(np.random.default_rng(9), 200)
    assert comparison.compare(pairs, SETTINGS, seed=4) == comparison.compare(pairs, SETTINGS, seed=4)


def test_the_pace_serves_the_comparison_and_respects_the_cap() -> None:
    smoke, spike = (scenarios.load(FILE).get(name) for name in ("smoke", "spike"))
    assert check.pace(smoke, SETTINGS, 0, arms=1) == 5
    assert check.pace(smoke, SETTINGS, 0, arms=2) == SETTINGS.pairs_per_second
    assert check.pace(smoke, SETTINGS, 50, arms=2) == 25
    assert check.pace(spike, SETTINGS, 50, arms=1) == 50
    assert check.pace(scenarios.load(FILE).get("LightLoadTest"), SETTINGS, 50, arms=2) == 0
