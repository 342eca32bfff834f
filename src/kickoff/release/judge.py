"""The judge: evidence about a candidate in, a verdict out. Pure.

Every rule on counts is an exact test, so few requests give doubt instead of noise:

* *Absolute* rules ask whether the candidate's share of bad requests can still be below its limit: the
  exact binomial tail ``P(X >= bad | n, limit)``.
* *Comparative* rules ask whether candidate and live can still be the same: Fisher's exact test, one-sided,
  on errors; on latency the placement test, which allows for live's quantile being an estimate too.

**Looking often.** A rollout is judged many times. Look ``i`` may spend ``ALPHA / (i (i + 1))``; these sum
to at most ``ALPHA`` over any number of looks, so a healthy candidate is refused with at most that
probability per rule, however long the bake (Bonferroni with a decreasing spending sequence; see Johari et
al., "Always Valid Inference", 2015, for the problem). Counts that hardly grew are not looked at again.
"""

import math
from dataclasses import dataclass, field, replace

from kickoff.evidence import RuleResult, Verdict
from kickoff.release.traefik import Traffic

ALPHA = 0.001
MINIMUM_SAMPLES = 20
LATENCY_MARGIN = 1.5
GROWTH = 1.1


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds of the environment file.

    Attributes:
        error_rate: Largest acceptable share of 5xx or failed requests, 0 to 1.
        response_seconds: Limit of the 95th percentile.
        memory: Largest acceptable share of ``memory_bytes``, 0 to 1.
        memory_bytes: Memory a colour may use.
        cpu: Largest acceptable mean share of the machine, 0 to 1.
    """

    error_rate: float
    response_seconds: float
    memory: float
    memory_bytes: int
    cpu: float


@dataclass(slots=True)
class Observation:
    """What was seen of one colour since the step began.

    Attributes:
        traffic: Public requests, from the proxy's counters.
        probes: Probe requests sent.
        probe_failures: Probe requests that failed or answered wrongly.
        wrong_release: Probe answers that named another release.
        probe_error: Text of the last failure.
        restarts: Times the process was started again.
        memory_bytes: Highest resident memory seen.
        cpu: Mean share of the machine, 0 to 1.
        usage_samples: Number of memory and CPU readings.
    """

    traffic: Traffic = field(default_factory=Traffic)
    probes: int = 0
    probe_failures: int = 0
    wrong_release: int = 0
    probe_error: str = ""
    restarts: int = 0
    memory_bytes: int = 0
    cpu: float = 0.0
    usage_samples: int = 0

    @property
    def requests(self) -> int:
        """Public and probe requests together."""
        return self.traffic.requests + self.probes

    @property
    def errors(self) -> int:
        """Public and probe requests that failed."""
        return self.traffic.errors + self.probe_failures


def spending(look: int) -> float:
    """Return the error probability look number ``look`` (from 1) may use."""
    return ALPHA / (look * (look + 1))


def binomial_tail(bad: int, total: int, share: float) -> float:
    """Return ``P(X >= bad)`` for ``X ~ Binomial(total, share)``, summed in logarithms."""
    if bad <= 0:
        return 1.0
    if share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    log_p, log_q = math.log(share), math.log1p(-share)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(total, k) + k * log_p + (total - k) * log_q) for k in range(bad, total + 1)
        ),
    )


def fisher_greater(bad: int, total: int, other_bad: int, other_total: int) -> float:
    """Return Fisher's one-sided p-value that the first share is larger than the second by chance."""
    marked, population = bad + other_bad, total + other_total
    if marked == 0:
        return 1.0
    whole = _log_choose(population, total)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(marked, k) + _log_choose(population - marked, total - k) - whole)
            for k in range(bad, min(marked, total) + 1)
        ),
    )


def placement_tail(slow: int, total: int, rank: int, other_total: int) -> float:
    """Return the chance of ``slow`` or more of ``total`` beyond the other side's ``rank``-th smallest value.

    When both sides are alike, that count is beta-binomial. A plain binomial would take the other side's
    quantile for exact and so refuse healthy candidates whenever that side saw few requests.
    """
    if slow <= 0:
        return 1.0
    above = other_total - rank + 1
    base = _log_beta(above, rank)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(total, k) + _log_beta(k + above, total - k + rank) - base)
            for k in range(slow, total + 1)
        ),
    )


def judge(candidate: Observation, live: Observation | None, limits: Limits, look: int) -> list[RuleResult]:
    """Judge a candidate beside the live release.

    Args:
        candidate: What was seen of the candidate.
        live: What was seen of the live release in the same time; ``None`` when nothing is live, and the
            comparative rules do not apply.
        limits: The environment's thresholds.
        look: How many times these counts have been judged, from 1.

    Returns:
        One result per rule, always the same rules in the same order.
    """
    alpha = spending(look)
    return [
        _share(
            "error rate",
            candidate.errors,
            candidate.requests,
            limits.error_rate,
            alpha,
            candidate.probe_error,
        ),
        _users(candidate.traffic, limits.error_rate, alpha),
        _fisher("error rate against live", candidate, live, alpha),
        _share(
            f"p95 within {limits.response_seconds * 1000:.0f} ms",
            candidate.traffic.slower_than(limits.response_seconds),
            candidate.traffic.timed,
            0.05,
            alpha,
            unit="slower",
            otherwise="no request's duration was measured",
        )
        if candidate.traffic.requests
        else RuleResult(
            f"p95 within {limits.response_seconds * 1000:.0f} ms",
            Verdict.NOT_APPLICABLE,
            "no traffic",
            "5% slower",
            0,
            "no public request reached the candidate; the probe decides",
        ),
        *(
            _slower(name, q, candidate, live, alpha)
            for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        ),
        _release(candidate),
        _ceiling("restarts", candidate.restarts, 0, "", 1),
        _usage(
            "memory",
            candidate.memory_bytes / max(1, limits.memory_bytes),
            limits.memory,
            candidate.usage_samples,
        ),
        _usage("cpu", candidate.cpu, limits.cpu, candidate.usage_samples),
    ]


def _share(  # noqa: PLR0917
    rule: str,
    bad: int,
    total: int,
    limit: float,
    alpha: float,
    detail: str = "",
    *,
    unit: str = "",
    otherwise: str = "no request was seen",
) -> RuleResult:
    threshold = f"{limit:.2%}{' ' + unit if unit else ''}"
    if total == 0:
        return RuleResult(rule, Verdict.INCONCLUSIVE, "no data", threshold, 0, otherwise)
    measured = f"{bad / total:.2%} ({bad} of {total})"
    p = binomial_tail(bad, total, limit)
    if p < alpha:
        reason = f"above the limit beyond doubt (p {p:.1e} < {alpha:.1e})"
        return RuleResult(
            rule,
            Verdict.FAIL,
            measured,
            threshold,
            total,
            f"{reason}; last failure: {detail}" if detail else reason,
        )
    if total < MINIMUM_SAMPLES:
        return RuleResult(
            rule, Verdict.INCONCLUSIVE, measured, threshold, total, f"fewer than {MINIMUM_SAMPLES} requests"
        )
    if bad / total > limit:
        return RuleResult(
            rule,
            Verdict.INCONCLUSIVE,
            measured,
            threshold,
            total,
            f"above the limit, but not beyond doubt (p {p:.1e})",
        )
    return RuleResult(rule, Verdict.PASS, measured, threshold, total)


def _users(traffic: Traffic, limit: float, alpha: float) -> RuleResult:
    """Judge public requests by themselves: a busy probe must not dilute what goes wrong for few users."""
    rule = "error rate of users"
    result = _share(rule, traffic.errors, traffic.requests, limit, alpha)
    if result.verdict is not Verdict.INCONCLUSIVE:
        return result
    reason = f"{result.reason}; users and probe together decide"
    return replace(result, verdict=Verdict.NOT_APPLICABLE, reason=reason)


def _fisher(rule: str, candidate: Observation, live: Observation | None, alpha: float) -> RuleResult:
    threshold = "not worse than live"
    if live is None:
        return RuleResult(
            rule,
            Verdict.NOT_APPLICABLE,
            "no live release",
            threshold,
            0,
            "nothing is live to compare with; the absolute rule decides",
        )
    if min(candidate.requests, live.requests) == 0:
        return RuleResult(
            rule,
            Verdict.NOT_APPLICABLE,
            "no data",
            threshold,
            0,
            "one side saw no request in this step; the absolute rule decides",
        )
    p = fisher_greater(candidate.errors, candidate.requests, live.errors, live.requests)
    measured = f"{candidate.errors / candidate.requests:.2%} vs {live.errors / live.requests:.2%}"
    samples = candidate.requests + live.requests
    if p < alpha:
        return RuleResult(rule, Verdict.FAIL, measured, threshold, samples, f"Fisher's exact p {p:.1e}")
    return RuleResult(rule, Verdict.PASS, measured, threshold, samples)


def _slower(
    name: str, q: float, candidate: Observation, live: Observation | None, alpha: float
) -> RuleResult:
    """Test the share of candidate requests beyond ``LATENCY_MARGIN`` times live's quantile."""
    rule, threshold = f"{name} against live", f"{LATENCY_MARGIN}x live"
    if live is None or min(live.traffic.timed, candidate.traffic.timed) < MINIMUM_SAMPLES:
        return RuleResult(
            rule,
            Verdict.NOT_APPLICABLE,
            "no comparison",
            threshold,
            0,
            f"both sides need {MINIMUM_SAMPLES} public requests in this step",
        )
    bound = live.traffic.quantile(q) * LATENCY_MARGIN
    slow = candidate.traffic.slower_than(bound)
    measured = f"{candidate.traffic.quantile(q) * 1000:.0f} ms vs {live.traffic.quantile(q) * 1000:.0f} ms"
    total, other_total = candidate.traffic.timed, live.traffic.timed
    p = placement_tail(slow, total, math.ceil(q * other_total), other_total)
    if p < alpha:
        return RuleResult(
            rule,
            Verdict.FAIL,
            measured,
            threshold,
            total,
            f"{slow} of {total} beyond {bound * 1000:.0f} ms (p {p:.1e})",
        )
    return RuleResult(rule, Verdict.PASS, measured, threshold, total)


def _release(candidate: Observation) -> RuleResult:
    rule, threshold = "answers with the expected release", "0 wrong"
    if candidate.probes == 0:
        return RuleResult(
            rule, Verdict.INCONCLUSIVE, "no probe answered", threshold, 0, "no probe was answered"
        )
    return _ceiling(rule, candidate.wrong_release, 0, " wrong", candidate.probes)


def _ceiling(rule: str, value: int, limit: int, unit: str, samples: int) -> RuleResult:
    if value > limit:
        return RuleResult(rule, Verdict.FAIL, f"{value}{unit}", f"{limit}{unit}", samples, "above the limit")
    return RuleResult(rule, Verdict.PASS, f"{value}{unit}", f"{limit}{unit}", samples)


def _usage(rule: str, share: float, limit: float, samples: int) -> RuleResult:
    if samples == 0:
        return RuleResult(rule, Verdict.INCONCLUSIVE, "no data", f"{limit:.0%}", 0, "usage could not be read")
    if share > limit:
        return RuleResult(rule, Verdict.FAIL, f"{share:.0%}", f"{limit:.0%}", samples, "above the limit")
    return RuleResult(rule, Verdict.PASS, f"{share:.0%}", f"{limit:.0%}", samples)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
