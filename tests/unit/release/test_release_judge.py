"""The judge: each rule's verdicts, no pass without data, and its error rates under simulation."""

import bisect
import itertools
import math
import random
from dataclasses import fields, replace
from typing import Any

import pytest

from kickoff.evidence import RuleResult, Verdict, combine
from kickoff.evidence.rules import WITHIN_NOISE
from kickoff.probing.prober import ProbeCounts
from kickoff.release.exact_tests import binomial_tail, fisher_greater, placement_tail
from kickoff.release.judge import (
    ALPHA,
    GROWTH,
    LIVE_IS_DOWN,
    MINIMUM_SAMPLES,
    Limits,
    Observation,
    judge,
    spending,
)
from kickoff.release.routers import Traffic
from kickoff.release.routers.traefik import BUCKETS

LIMITS = Limits(error_rate=0.01, response_seconds=1.0, memory=0.85, memory_bytes=1000, cpu=0.8)
PROBE = {field.name for field in fields(ProbeCounts)}
BOUNDS = [*BUCKETS, math.inf]
RULES = [
    "restarts",
    "error rate",
    "error rate of users",
    "error rate against live",
    "client errors of users",
    "client errors against live",
    "marked and unmarked requests alike",
    "p95 within 1000 ms",
    "p50 against live",
    "p95 against live",
    "p99 against live",
    "answers with the expected release",
    "memory",
    "cpu",
]


def traffic(fast: int = 0, errors: int = 0, slow: int = 0, *, slow_seconds: float = 2.0) -> Traffic:
    """Requests that took 40 ms, and ``slow`` others."""
    total = fast + slow
    buckets = {
        bound: (fast if bound >= 0.04 else 0) + (slow if bound >= slow_seconds else 0) for bound in BOUNDS
    }
    return Traffic({200: total - errors, 500: errors}, buckets)


def seen(public: Traffic | None = None, **values: object) -> Observation:
    """A healthy observation with ``values`` of it or of its probe changed."""
    usual: dict[str, Any] = {"memory_bytes": 100, "cpu": 0.1, "usage_samples": 10}
    probe = {key: values.pop(key) for key in list(values) if key in PROBE}
    counts: dict[str, Any] = {"probes": 100, "named": 100, "marked": 50, "unmarked": 50} | probe
    return Observation(traffic=public or traffic(200), probe=ProbeCounts(**counts), **(usual | values))


def refusing(status: int, count: int, requests: int = 200) -> Traffic:
    """Requests of which ``count`` were answered with ``status``."""
    public = traffic(requests)
    public.codes = {200: requests - count, status: count}
    return public


def of(rule: str, candidate: Observation, live: Observation | None, look: int = 1) -> RuleResult:
    return next(result for result in judge(candidate, live, LIMITS, look) if result.rule == rule)


def test_a_healthy_candidate_passes_every_rule_in_a_fixed_order() -> None:
    results = judge(seen(), seen(), LIMITS, 1)
    assert [result.rule for result in results] == RULES
    idle = [result.rule for result in results if result.verdict is not Verdict.PASS]
    assert idle == ["client errors of users"], "users of live are there to compare with"
    assert all(result.samples > 0 for result in results if result.rule not in (*idle, "restarts"))


@pytest.mark.parametrize(
    ("rule", "bad", "word"),
    [
        ("error rate", seen(traffic(200, errors=20)), "beyond doubt"),
        ("error rate", seen(failures=30, last_error="502 Bad Gateway"), "502 Bad Gateway"),
        ("error rate against live", seen(traffic(200, errors=40)), "Fisher"),
        ("client errors against live", seen(refusing(429, 40)), "Fisher"),
        ("marked and unmarked requests alike", seen(failures=50, unmarked_failures=50), "differently"),
        ("marked and unmarked requests alike", seen(failures=50, marked_failures=50), "differently"),
        ("p95 within 1000 ms", seen(traffic(160, slow=40)), "beyond doubt"),
        ("p95 within 1000 ms", seen(traffic(0), slow=20), "0 of users and 100 of the probe"),
        ("p50 against live", seen(traffic(0, slow=200, slow_seconds=0.1)), "beyond 60 ms"),
        ("p95 against live", seen(traffic(100, slow=100, slow_seconds=0.1)), "beyond 60 ms"),
        ("p99 against live", seen(traffic(180, slow=20, slow_seconds=0.1)), "beyond 60 ms"),
        ("answers with the expected release", seen(wrong_release=1), "above"),
        ("restarts", seen(restarts=1), "above"),
        ("restarts", seen(restarts=1, ended="the process ended (exited with code 3)"), "with code 3"),
        ("memory", seen(memory_bytes=900), "above"),
        ("cpu", seen(cpu=0.9), "above"),
    ],
)
def test_each_rule_fails_for_its_own_reason(rule: str, bad: Observation, word: str) -> None:
    found = of(rule, bad, seen())
    assert found.verdict is Verdict.FAIL
    assert word in found.reason


@pytest.mark.parametrize(
    ("rule", "doubtful"),
    [
        ("error rate", Observation()),
        ("error rate", Observation(probe=ProbeCounts(probes=MINIMUM_SAMPLES - 1))),
        ("error rate", seen(traffic(0), probes=100, failures=2)),
        ("p95 within 1000 ms", Observation()),
        ("p95 within 1000 ms", seen(traffic(MINIMUM_SAMPLES - 2), probes=1)),
        ("p95 within 1000 ms", seen(traffic(93, slow=7))),
        ("p95 within 1000 ms", seen(Traffic({200: 500}))),  # counted, but without durations
        ("answers with the expected release", seen(probes=0)),
        ("memory", seen(usage_samples=0)),
        ("cpu", seen(usage_samples=0)),
    ],
)
def test_doubt_is_said(rule: str, doubtful: Observation) -> None:
    found = of(rule, doubtful, seen())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason


def test_without_a_live_release_comparisons_do_not_apply() -> None:
    results = judge(seen(), None, LIMITS, 1)
    idle = [result.rule for result in results if result.verdict is Verdict.NOT_APPLICABLE]
    assert idle == [rule for rule in RULES if rule.endswith("against live")]
    assert all(result.reason for result in results if result.rule in idle)
    assert combine(result.verdict for result in results) is Verdict.PASS


def test_without_public_traffic_the_probe_decides() -> None:
    results = judge(seen(traffic(0)), seen(), LIMITS, 1)
    idle = {result.rule for result in results if result.verdict is Verdict.NOT_APPLICABLE}
    assert idle == {
        "error rate of users", "client errors of users", "client errors against live",
        "p50 against live", "p95 against live", "p99 against live",
    }  # fmt: skip
    assert combine(result.verdict for result in results) is Verdict.PASS


def test_a_busy_probe_does_not_hide_the_errors_of_few_users() -> None:
    hidden = seen(traffic(60, errors=8), probes=5000)
    assert of("error rate", hidden, seen()).verdict is Verdict.PASS
    assert of("error rate of users", hidden, seen()).verdict is Verdict.FAIL
    assert combine(result.verdict for result in judge(hidden, seen(), LIMITS, 1)) is Verdict.FAIL


def test_one_error_of_a_user_is_for_all_requests_to_weigh() -> None:
    unlucky = seen(traffic(60, errors=1), probes=500)
    found = of("error rate of users", unlucky, seen())
    assert found.verdict is Verdict.NOT_APPLICABLE
    assert "together decide" in found.reason
    assert combine(result.verdict for result in judge(unlucky, seen(), LIMITS, 1)) is Verdict.PASS


COMPARISONS = [rule for rule in RULES if rule.endswith("against live")]


@pytest.mark.parametrize(
    "down",
    [
        Observation(),
        seen(traffic(200, errors=190)),
        seen(traffic(0), failures=90),
        seen(traffic(0), failures=51, unmarked_failures=50, marked_failures=1),
    ],
    ids=["silent", "fails users", "fails the probe", "fails what is not marked"],
)
def test_live_that_is_down_is_no_baseline(down: Observation) -> None:
    for candidate, verdict in ((seen(), Verdict.PASS), (seen(traffic(200, errors=100)), Verdict.FAIL)):
        results = judge(candidate, down, LIMITS, 1)
        idle = {result.rule: result.reason for result in results if result.rule in COMPARISONS}
        assert idle == dict.fromkeys(COMPARISONS, LIVE_IS_DOWN)
        assert combine(result.verdict for result in results) is verdict


def test_live_that_fails_some_requests_stays_the_baseline() -> None:
    ailing = seen(traffic(200, errors=80))
    assert of("error rate against live", seen(), ailing).verdict is Verdict.PASS


@pytest.mark.parametrize("live", [None, Observation(), seen(traffic(0))])
@pytest.mark.parametrize("status", [401, 404, 429])
def test_refusing_most_users_fails_where_no_user_meets_live(live: Observation | None, status: int) -> None:
    found = of("client errors of users", seen(refusing(status, 190)), live)
    assert found.verdict is Verdict.FAIL
    assert f"{status}: 190" in found.reason
    assert of("client errors of users", seen(refusing(status, 60)), live).verdict is Verdict.PASS
    few = of("client errors of users", seen(refusing(status, 3, 3)), live)
    assert few.verdict is Verdict.NOT_APPLICABLE


def test_each_client_error_is_compared_and_expected_ones_are_not() -> None:
    rule = "client errors against live"
    moved = of(rule, seen(refusing(401, 40)), seen(refusing(404, 40)))
    assert (moved.verdict, moved.measured) == (Verdict.FAIL, "401: 20.00% vs 0.00%")
    assert of(rule, seen(refusing(404, 40)), seen(refusing(404, 40))).verdict is Verdict.PASS
    expected = replace(LIMITS, expected_client_errors=frozenset({401}))
    results = judge(seen(refusing(401, 190)), seen(), expected, 1)
    assert {result.verdict for result in results} == {Verdict.PASS, Verdict.NOT_APPLICABLE}
    assert of(rule, seen(), seen(traffic(0))).reason.startswith("users met one side alone")


def test_a_rule_that_cannot_decide_says_so() -> None:
    for rule, candidate in (
        ("error rate against live", seen(traffic(0), probes=1)),
        ("marked and unmarked requests alike", seen(marked=3, unmarked=3)),
        ("marked and unmarked requests alike", seen(marked=0, unmarked=0)),
        ("answers with the expected release", seen(named=0)),
    ):
        found = of(rule, candidate, seen(traffic(0), probes=30))
        assert (found.verdict, bool(found.reason)) == (Verdict.NOT_APPLICABLE, True), rule


def test_no_figure_is_infinite_or_no_number() -> None:
    for public in (Traffic(), traffic(0, slow=200, slow_seconds=math.inf), Traffic({200: 500})):
        for live in (None, seen(public)):
            texts = " ".join(
                f"{r.measured} {r.threshold} {r.reason}" for r in judge(seen(public), live, LIMITS, 1)
            )
            assert "nan" not in texts
            assert "inf " not in texts


def test_a_live_release_that_users_hardly_met_is_no_comparison() -> None:
    few = seen(traffic(MINIMUM_SAMPLES - 1))
    assert of("p95 against live", seen(), few).verdict is Verdict.NOT_APPLICABLE
    assert of("p95 against live", seen(), seen(Traffic({200: 500}))).verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("live", [None, Observation(), seen()])
def test_no_data_never_passes(live: Observation | None) -> None:
    results = judge(Observation(), live, LIMITS, 1)
    assert combine(result.verdict for result in results) is Verdict.INCONCLUSIVE
    passed = {result.rule for result in results if result.verdict is Verdict.PASS}
    assert passed <= {"restarts"}, "a process that was not restarted is the only thing known"


def test_a_sick_live_release_does_not_excuse_the_candidate() -> None:
    sick = seen(traffic(200, errors=40))
    results = judge(sick, sick, LIMITS, 1)
    verdicts = {result.rule: result.verdict for result in results}
    assert verdicts["error rate against live"] is Verdict.PASS
    assert verdicts["error rate"] is Verdict.FAIL


@pytest.mark.parametrize(
    ("rule", "candidate", "live"),
    [
        ("error rate against live", seen(traffic(100, errors=1)), seen(traffic(100))),
        ("p99 against live", seen(traffic(98, slow=2)), seen(traffic(100))),
    ],
)
def test_worse_within_noise_passes_without_a_tick(
    rule: str, candidate: Observation, live: Observation
) -> None:
    found = of(rule, candidate, live)
    assert (found.verdict, found.sign, found.word) == (Verdict.PASS, "≈", WITHIN_NOISE)
    assert of(rule, live, live).sign == "✓"


def test_later_looks_ask_for_stronger_evidence_and_spend_no_more_than_alpha() -> None:
    assert sum(spending(look) for look in range(1, 10_000)) <= ALPHA
    assert all(spending(look) > spending(look + 1) for look in range(1, 100))
    borderline = seen(traffic(100, errors=8), probes=0)
    assert of("error rate", borderline, None, look=1).verdict is Verdict.FAIL
    assert of("error rate", borderline, None, look=1000).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("bad", "total", "share"), [(1, 10, 0.1), (3, 20, 0.05), (20, 20, 0.5), (7, 50, 0.2)]
)
def test_the_binomial_tail_is_exact(bad: int, total: int, share: float) -> None:
    exact = sum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(bad, total + 1))
    assert binomial_tail(bad, total, share) == pytest.approx(exact, rel=1e-9)


def test_the_binomial_tail_at_its_edges() -> None:
    assert binomial_tail(0, 10, 0.1) == 1
    assert binomial_tail(1, 10, 0) == 0
    assert binomial_tail(10, 10, 1) == 1


@pytest.mark.parametrize(
    ("bad", "total", "other_bad", "other_total"), [(3, 10, 0, 10), (5, 8, 2, 20), (1, 5, 1, 5)]
)
def test_fishers_test_is_exact(bad: int, total: int, other_bad: int, other_total: int) -> None:
    marked, population = bad + other_bad, total + other_total
    exact = sum(
        math.comb(marked, k) * math.comb(population - marked, total - k)
        for k in range(bad, min(marked, total) + 1)
    ) / math.comb(population, total)
    assert fisher_greater(bad, total, other_bad, other_total) == pytest.approx(exact, rel=1e-9)
    assert fisher_greater(0, total, 0, other_total) == 1


def test_the_placement_test_is_exact() -> None:
    # All orders of 3 candidate and 4 live values are alike: count those with 2 or more beyond live's 3rd.
    orders = list(itertools.combinations(range(7), 3))
    hits = 0
    for candidate in orders:
        third = [place for place in range(7) if place not in candidate][2]
        hits += sum(place > third for place in candidate) >= 2
    assert placement_tail(2, 3, 3, 4) == pytest.approx(hits / len(orders), rel=1e-9)
    assert placement_tail(0, 3, 3, 4) == 1


class Arm:
    """One side of a simulated rollout."""

    def __init__(self, generator: random.Random, failing: float, spread: float) -> None:
        self.generator, self.failing, self.spread = generator, failing, spread
        self.counts = [0] * len(BOUNDS)
        self.errors = 0

    def serve(self, requests: int) -> None:
        for _ in range(requests):
            seconds = self.generator.lognormvariate(math.log(0.05), self.spread)
            self.counts[bisect.bisect_left(BOUNDS, seconds)] += 1
            self.errors += self.generator.random() < self.failing

    @property
    def observation(self) -> Observation:
        buckets = dict(zip(BOUNDS, itertools.accumulate(self.counts), strict=True))
        total = buckets[math.inf]
        public = Traffic({200: total - self.errors, 500: self.errors}, buckets)
        return seen(public, probes=0, marked=0, unmarked=0)


def rollout(
    seed: int, rates: tuple[int, int], seconds: int, *, failing: float, spread: float = 0.5
) -> tuple[int | None, int]:
    """Judge as the watch does; return the second of the refusal, if any, and the number of looks."""
    generator = random.Random(seed)
    candidate, live = Arm(generator, failing, spread), Arm(generator, 0.002, spread)
    looks, judged_at = 0, 0
    for second in range(1, seconds + 1):
        candidate.serve(rates[0])
        live.serve(rates[1])
        count = candidate.observation.requests
        if count >= judged_at * GROWTH + 1:
            looks, judged_at = looks + 1, count
            results = judge(candidate.observation, live.observation, LIMITS, looks)
            if any(
                result.verdict is Verdict.FAIL
                for result in results
                if result.rule.startswith(("error", "p50", "p95", "p99"))
            ):
                return second, looks
    return None, looks


@pytest.mark.parametrize(
    ("rates", "spread"),
    [((1, 19), 0.5), ((10, 10), 1.0), ((20, 1), 1.0)],
    ids=["5 %", "half", "95 %, erratic"],
)
def test_a_healthy_candidate_is_hardly_ever_refused_however_often_it_is_judged(
    rates: tuple[int, int], spread: float
) -> None:
    runs = [rollout(seed, rates, 60, failing=0.002, spread=spread) for seed in range(40)]
    refused = [second for second, _ in runs if second is not None]
    assert max(looks for _, looks in runs) >= 15, "the rollouts are looked at many times"
    # Five rules at ALPHA each make 0.2 refusals likely in 40 rollouts; 3 would be a 1-in-900 surprise.
    assert len(refused) <= 2


def test_five_percent_failing_at_ten_requests_a_second_is_found_within_a_minute() -> None:
    found = sorted(rollout(seed, (10, 10), 120, failing=0.05)[0] or 999 for seed in range(31))
    assert found[len(found) // 2] <= 60
    assert found[-4] < 120, "nine in ten within two minutes"
