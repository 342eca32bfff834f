"""A cost that is allowed once: its form, what it changes for the comparison, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Verdict
from kickoff.performance import allowance, comparison
from kickoff.performance.metrics import Metric
from tests.unit.performance.test_performance_comparison import SETTINGS, simulate


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("tracing costs 15 %", 0.15),
        ("tracing costs 15%", 0.15),
        ("  HTTP/2 and gzip, see #12: 2.5 % ", 0.025),
        ("链路追踪 100 %", 1.0),
    ],
)
def test_a_budget_is_a_reason_and_a_percentage(text: str, share: float) -> None:
    found = allowance.parse(text)
    assert found is not None
    assert found.text == text.strip()
    assert found.share == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing_given_allows_nothing(text: str) -> None:
    assert allowance.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "15 %",
        "tracing",
        "tracing costs 15",
        "tracing costs 0 %",
        "tracing costs 101 %",
        "tracing costs -5 %",
        "15 % for tracing",
        "two\nlines 15 %",
        "... 15 %",
        "true",
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(KickoffError, match="a reason and a percentage") as caught:
        allowance.parse(text)
    assert caught.value.code == ExitCode.BAD_INPUT
    assert "--perf-allow-once 'tracing costs 15 %'" in caught.value.hint


def verdicts(slower: float, text: str) -> tuple[Verdict, list[Metric]]:
    allowed = allowance.parse(text)
    settings = allowed.applied(SETTINGS) if allowed else SETTINGS
    pairs = simulate(np.random.default_rng(12), 2500, slower=slower, endpoints=1)
    metrics = comparison.compare(pairs, settings)
    failed = any(metric.verdict is Verdict.FAIL for metric in metrics)
    return Verdict.FAIL if failed else Verdict.PASS, metrics


def test_a_cost_within_its_budget_passes_and_one_beyond_it_does_not() -> None:
    assert verdicts(1.1, "")[0] is Verdict.FAIL
    assert verdicts(1.1, "tracing costs 15 %")[0] is Verdict.PASS
    assert verdicts(1.25, "tracing costs 15 %")[0] is Verdict.FAIL


def test_errors_and_outliers_have_no_budget_and_no_limit_becomes_stricter() -> None:
    allowed = allowance.parse("a little 1 %")
    assert allowed is not None
    assert allowed.applied(SETTINGS) == SETTINGS
    wide = replace(allowed, share=0.4).applied(SETTINGS)
    assert (wide.errors, wide.tail, wide.floor) == (SETTINGS.errors, SETTINGS.tail, SETTINGS.floor)
    for kind, before in ((wide.p50, SETTINGS.p50), (wide.p95, SETTINGS.p95)):
        assert kind.margin == pytest.approx(0.4)
        assert kind.detect - kind.margin == pytest.approx(before.detect - before.margin)


def test_the_largest_effect_is_told_beside_the_budget() -> None:
    allowed = allowance.parse("tracing costs 15 %")
    assert allowed is not None
    assert allowed.spent([0.02, 0.11]) == "tracing costs 15 %, measured +11.0%"
    assert allowed.spent([]) == "tracing costs 15 %, nothing compared"
