"""From rounds of load to figures and verdicts. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Speed is reported and not promised; that nothing is lost, and that an outage of Redis is not felt, is.
OUTAGE_MOST = 2.0


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk measured in one round.

    Attributes:
        requests: How many were answered.
        seconds: How long it ran.
        failed: How many got no answer, or an error.
        p50: Median latency in milliseconds.
        p95: 95th percentile of the latency in milliseconds.
        worst: Longest latency in milliseconds.
    """

    requests: int
    seconds: float
    failed: int
    p50: float
    p95: float
    worst: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def throughput(rounds: Mapping[str, Sequence[Load]]) -> dict[str, Any]:
    """Return rates, and each round's ratio to the ``hello`` of the same round.

    Args:
        rounds: ``hello``, ``cached`` and ``uncached``, measured in turn.
    """
    ratios = {
        name: [one.rate / hello.rate for one, hello in zip(rounds[name], rounds["hello"], strict=True)]
        for name in ("cached", "uncached")
    }
    return {
        "requests_per_second": {
            name: round(statistics.median(one.rate for one in found)) for name, found in rounds.items()
        },
        "p95_milliseconds": {
            name: round(statistics.median(one.p95 for one in found), 2) for name, found in rounds.items()
        },
        "failed": sum(one.failed for found in rounds.values() for one in found),
        "ratio_to_hello": {
            name: {"median": round(statistics.median(found), 2), "worst": round(min(found), 2)}
            for name, found in ratios.items()
        },
    }


def outage(rounds: Sequence[tuple[Load, Load, Load]]) -> dict[str, Any]:
    """Return what it cost to lose Redis under load, and what remained after it came back.

    Args:
        rounds: Before, during and after the outage.
    """
    during = [lost.p95 / before.p95 for before, lost, _ in rounds]
    after = [back.p95 / before.p95 for before, _, back in rounds]
    return {
        "requests": sum(one.requests for found in rounds for one in found),
        "failed": sum(one.failed for found in rounds for one in found),
        "p95_during_to_before": _ratio(during),
        "p95_after_to_before": _ratio(after),
        "worst_milliseconds_during": round(max(lost.worst for _, lost, _ in rounds), 1),
    }


def _ratio(found: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(found), 2), "worst": round(max(found), 2)}


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return what the service promises and this run did not show."""
    found = []
    slower = document["redis_outage"]["p95_during_to_before"]["median"]
    if slower > OUTAGE_MOST:
        found.append(f"p95 without Redis is {slower} times that with it, at most {OUTAGE_MOST} is promised")
    for name in ("throughput", "redis_outage"):
        if document[name]["failed"]:
            found.append(f"{name}: {document[name]['failed']} requests failed, none may")
    return found
