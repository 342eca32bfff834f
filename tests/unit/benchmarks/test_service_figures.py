"""The figures of the service benchmark, from known rounds."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.service.figures import Load, outage, problems, throughput

LOAD = Load(requests=1000, seconds=1.0, failed=0, p50=1.0, p95=4.0, worst=20.0)


def at(rate: int) -> Load:
    return replace(LOAD, requests=rate)


def test_rates_are_compared_round_by_round() -> None:
    found = throughput(
        {
            "hello": [at(1000), at(2000), at(1000)],
            "cached": [at(600), at(1000), at(700)],
            "uncached": [at(300), at(300), at(300)],
        }
    )
    assert found["requests_per_second"] == {"hello": 1000, "cached": 700, "uncached": 300}
    assert found["ratio_to_hello"]["cached"] == {"median": 0.6, "worst": 0.5}
    assert found["ratio_to_hello"]["uncached"] == {"median": 0.3, "worst": 0.15}


def test_an_outage_is_compared_with_the_time_before_it() -> None:
    lost = replace(LOAD, p95=8.0, worst=300.0, failed=2)
    found = outage([(LOAD, lost, LOAD), (LOAD, replace(LOAD, p95=6.0), replace(LOAD, p95=5.0))])
    assert found["p95_during_to_before"] == {"median": 1.75, "worst": 2.0}
    assert found["p95_after_to_before"] == {"median": 1.12, "worst": 1.25}
    assert (found["requests"], found["failed"], found["worst_milliseconds_during"]) == (6000, 2, 300.0)


@pytest.mark.parametrize(("slower", "failed", "count"), [(2.0, 0, 0), (2.01, 0, 1), (1.0, 1, 2)])
def test_a_promise_that_is_not_kept_is_told(slower: float, failed: int, count: int) -> None:
    document: dict[str, Any] = {
        "throughput": {"failed": failed},
        "redis_outage": {"failed": failed, "p95_during_to_before": {"median": slower}},
    }
    assert len(problems(document)) == count
