"""The judge: evidence about a candidate in, a verdict out. Pure.

Every rule on counts is an exact test, so few requests give doubt instead of noise:

* *Absolute* rules ask whether the candidate's share of bad requests can still be below its limit: the
  exact binomial tail ``P(X >= bad | n, limit)``.
* *Comparative* rules ask whether candidate and live can still be the same: Fisher's exact test, one-sided,
  on errors and on each 4xx status; on latency the placement test, which allows for live's quantile being an
  estimate too. Live that does not answer, or fails most requests, is no baseline: they do not apply.

**Looking often.** A rollout is judged many times. Look ``i`` may spend ``ALPHA / (i (i + 1))``; these sum
to at most ``ALPHA`` over any number of looks, so a healthy candidate is refused with at most that
probability per rule, however long the bake (Bonferroni with a decreasing spending sequence; see Johari et
al., "Always Valid Inference", 2015, for the problem). Counts that hardly grew are not looked at again.
"""

import math
from collections import Counter
from dataclasses import dataclass, field, replace

from kickoff.evidence import RuleResult, Verdict
from kickoff.evidence.rules import WITHIN_NOISE
from kickoff.probing.prober import ProbeCounts
from kickoff.release.exact_tests import binomial_tail, fisher_greater, placement_tail
from kickoff.release.routers import Traffic

ALPHA = 0.001
MINIMUM_SAMPLES = 20
LATENCY_MARGIN = 1.5
GROWTH = 1.1
MOST_CLIENT_ERRORS = 0.5
LIVE_IS_DOWN = "live is down: absolute rules decide"
_CLIENT_ERRORS = range(400, 500)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds of the environment file.

    Attributes:
        error_rate: Largest acceptable share of 5xx or failed requests, 0 to 1.
        response_seconds: Limit of the 95th percentile.
        memory: Largest acceptable share of ``memory_bytes``, 0 to 1.
        memory_bytes: Memory a colour may use.
        cpu: Largest acceptable mean share of the processors a colour may use, 0 to 1.
        expected_client_errors: 4xx statuses that users may get as often as they like.
    """

    error_rate: float
    response_seconds: float
    memory: float
    memory_bytes: int
    cpu: float
    expected_client_errors: frozenset[int] = frozenset()


@dataclass(slots=True)
class Observation:
    """Observations of one colour since the step began.

    Attributes:
        traffic: Public requests, from the proxy's counters.
        probe: What the probe saw.
        restarts: Times the process was started again.
        ended: Which process ended before that, and how; empty where none did.
        memory_bytes: Highest resident memory seen.
        cpu: Mean share of the processors the colour may use, 0 to 1.
        usage_samples: Number of memory and CPU readings.
    """

    traffic: Traffic = field(default_factory=Traffic)
    probe: ProbeCounts = field(default_factory=ProbeCounts)
    restarts: int = 0
    ended: str = ""
    memory_bytes: int = 0
    cpu: float = 0.0
    usage_samples: int = 0

    @property
    def requests(self) -> int:
        """Public and probe requests together."""
        return self.traffic.requests + self.probe.probes

    @property
    def errors(self) -> int:
        """Public and probe requests that failed."""
        return self.traffic.errors + self.probe.failures

    @property
    def down(self) -> bool:
        """True when most requests failed, or none was answered at all."""
        return self.requests == 0 or 2 * self.errors > self.requests


def spending(look: int) -> float:
    """Return the error probability look number ``look`` (from 1) may use."""
    return ALPHA / (look * (look + 1))


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
        # Before the errors, which it explains: the first rule that fails is what people are told.
        _ceiling("judge.restarts", "restarts", candidate.restarts, 0, "", 1, candidate.ended),
        _share(
            "judge.error-rate",
            "error rate",
            candidate.errors,
            candidate.requests,
            limits.error_rate,
            alpha,
            candidate.probe.last_error,
        ),
        _users(candidate.traffic, limits.error_rate, alpha),
        _errors_against_live(candidate, live, alpha),
        _client_errors_of_users(candidate.traffic, live, limits, alpha),
        _client_errors_against_live(candidate.traffic, live, limits, alpha),
        _alike(candidate.probe, alpha),
        _p95(candidate, limits.response_seconds, alpha),
        *(
            _slower(name, q, candidate, live, alpha)
            for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        ),
        _release(candidate.probe),
        _usage(
            "judge.memory",
            "memory",
            candidate.memory_bytes / max(1, limits.memory_bytes),
            limits.memory,
            candidate.usage_samples,
        ),
        _usage("judge.cpu", "cpu", candidate.cpu, limits.cpu, candidate.usage_samples),
    ]


def _share(  # noqa: PLR0917
    identity: str,
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
    threshold = f"{limit:.2%}"
    if total == 0:
        return RuleResult(identity, rule, Verdict.INCONCLUSIVE, "no data", threshold, 0, otherwise)
    measured = f"{bad / total:.2%} ({bad} of {total}){' ' + unit if unit else ''}"

    def result(verdict: Verdict, reason: str = "") -> RuleResult:
        return RuleResult(identity, rule, verdict, measured, threshold, total, reason)

    p = binomial_tail(bad, total, limit)
    if p < alpha:
        last = f"; last failure: {detail}" if detail else ""
        return result(Verdict.FAIL, f"above the limit beyond doubt (p {p:.2g} < {alpha:.2g}){last}")
    if total < MINIMUM_SAMPLES:
        return result(Verdict.INCONCLUSIVE, f"fewer than {MINIMUM_SAMPLES} requests")
    if bad / total > limit:
        return result(Verdict.INCONCLUSIVE, f"above the limit, but not beyond doubt (p {p:.2g})")
    return result(Verdict.PASS)


def _users(traffic: Traffic, limit: float, alpha: float) -> RuleResult:
    """Judge public requests by themselves: a busy probe must not dilute what goes wrong for few users."""
    result = _share("judge.users-5xx", "error rate of users", traffic.errors, traffic.requests, limit, alpha)
    if result.verdict is not Verdict.INCONCLUSIVE:
        return result
    reason = f"{result.reason}; users and probe together decide"
    return replace(result, verdict=Verdict.NOT_APPLICABLE, reason=reason)


def _baseline(identity: str, rule: str, live: Observation | None, threshold: str) -> Observation | RuleResult:
    """Return what the candidate is compared with, or the result that says why there is nothing."""
    if live is None:
        why = "nothing is live to compare with; the absolute rule decides"
        return _idle(identity, rule, "no live release", threshold, why)
    return _idle(identity, rule, "live is down", threshold, LIVE_IS_DOWN) if live.down else live


def _idle(identity: str, rule: str, measured: str, threshold: str, reason: str) -> RuleResult:
    return RuleResult(identity, rule, Verdict.NOT_APPLICABLE, measured, threshold, 0, reason)


def _compare(  # noqa: PLR0917
    identity: str,
    rule: str,
    bad: int,
    total: int,
    other_bad: int,
    other_total: int,
    alpha: float,
    threshold: str,
) -> RuleResult:
    """Ask by Fisher's exact test whether the first share is larger than the second beyond doubt."""
    if fisher_greater(total, total, 0, other_total) >= alpha:
        found = f"{bad} of {total} vs {other_bad} of {other_total}"
        return _idle(identity, rule, found, threshold, "so few requests cannot show a difference")
    measured = f"{bad / total:.2%} vs {other_bad / other_total:.2%}"
    p = fisher_greater(bad, total, other_bad, other_total)
    if p < alpha:
        reason = f"Fisher's exact p {p:.2g}"
        return RuleResult(identity, rule, Verdict.FAIL, measured, threshold, total + other_total, reason)
    finding = WITHIN_NOISE if bad * other_total > other_bad * total else ""
    return RuleResult(identity, rule, Verdict.PASS, measured, threshold, total + other_total, finding=finding)


def _errors_against_live(candidate: Observation, live: Observation | None, alpha: float) -> RuleResult:
    identity, rule = "judge.errors-vs-live", "error rate against live"
    threshold = "not worse than live"
    other = _baseline(identity, rule, live, threshold)
    if isinstance(other, RuleResult):
        return other
    return _compare(
        identity, rule, candidate.errors, candidate.requests, other.errors, other.requests, alpha, threshold
    )


def _client_errors(traffic: Traffic, limits: Limits) -> Counter[str]:
    """Count unexpected 4xx answers by status, and all of them together."""
    found: Counter[str] = Counter()
    for status, count in traffic.codes.items():
        if count and status in _CLIENT_ERRORS and status not in limits.expected_client_errors:
            found[str(status)] += count
            found["4xx"] += count
    return found


def _client_errors_of_users(
    traffic: Traffic, live: Observation | None, limits: Limits, alpha: float
) -> RuleResult:
    """Judge 4xx by themselves where no user met live meanwhile: hardly anybody gets what they ask for."""
    identity, rule = "judge.users-4xx", "client errors of users"
    threshold = f"{MOST_CLIENT_ERRORS:.2%}"
    if live is not None and not live.down and live.traffic.requests >= MINIMUM_SAMPLES:
        return _idle(
            identity, rule, "see the comparison", threshold, "users of live are there to compare with"
        )
    found = _client_errors(traffic, limits)
    statuses = ", ".join(f"{status}: {n}" for status, n in found.most_common() if status != "4xx")
    result = _share(identity, rule, found["4xx"], traffic.requests, MOST_CLIENT_ERRORS, alpha)
    if result.verdict is Verdict.PASS:
        return result
    if traffic.requests < MINIMUM_SAMPLES and result.verdict is Verdict.INCONCLUSIVE:
        return replace(result, verdict=Verdict.NOT_APPLICABLE, reason=f"{result.reason}; the probe decides")
    hint = "name what is right to be refused in expected_client_errors of kickoff.yml"
    return replace(result, reason=f"{result.reason} ({statuses}); {hint}")


def _client_errors_against_live(
    traffic: Traffic, live: Observation | None, limits: Limits, alpha: float
) -> RuleResult:
    """Compare each 4xx status, and all together; the error probability is shared among them."""
    identity, rule = "judge.4xx-vs-live", "client errors against live"
    threshold = "not more than live"
    other = _baseline(identity, rule, live, threshold)
    if isinstance(other, RuleResult):
        return other
    if min(traffic.requests, other.traffic.requests) == 0:
        why = "users met one side alone in this step; the absolute rule decides"
        return _idle(identity, rule, "no comparison", threshold, why)
    ours, theirs = _client_errors(traffic, limits), _client_errors(other.traffic, limits)
    statuses = sorted(ours.keys() | theirs.keys()) or ["4xx"]
    results = [
        _compare(
            identity, rule, ours[status], traffic.requests, theirs[status], other.traffic.requests,
            alpha / len(statuses), threshold,
        )
        for status in statuses
    ]  # fmt: skip
    failed = [n for n, result in enumerate(results) if result.verdict is Verdict.FAIL]
    if not failed:
        return results[statuses.index("4xx")]
    worst = results[failed[0]]
    return replace(worst, measured=f"{statuses[failed[0]]}: {worst.measured}")


def _alike(probe: ProbeCounts, alpha: float) -> RuleResult:
    """Ask in both directions whether the check's marker changes how often a request fails."""
    identity, rule = "judge.marked-alike", "marked and unmarked requests alike"
    threshold = "no difference"
    if probe.unmarked == 0 or probe.marked == 0:
        why = "no pair of requests was sent: only GET and HEAD probes go out unmarked, too"
        return _idle(identity, rule, "no pairs", threshold, why)
    unmarked, marked = (probe.unmarked_failures, probe.unmarked), (probe.marked_failures, probe.marked)
    results = [
        _compare(identity, rule, *one, *other, alpha / 2, threshold)
        for one, other in ((unmarked, marked), (marked, unmarked))
    ]
    if all(result.verdict is not Verdict.FAIL for result in results):
        return results[0]
    measured = f"{unmarked[0]} of {unmarked[1]} unmarked fail, {marked[0]} of {marked[1]} marked"
    reason = f"our own checks are treated differently; last failure: {probe.last_error}"
    return RuleResult(
        identity, rule, Verdict.FAIL, measured, threshold, probe.unmarked + probe.marked, reason
    )


def _p95(candidate: Observation, limit: float, alpha: float) -> RuleResult:
    """Judge the durations of users' requests; too few of them together with the probe's own."""
    identity, rule = "judge.p95", f"p95 within {limit * 1000:.0f} ms"
    slow, total = candidate.traffic.slower_than(limit), candidate.traffic.timed
    if candidate.traffic.requests and not total:
        why = "no request's duration was measured"
        return RuleResult(identity, rule, Verdict.INCONCLUSIVE, "no data", "5.00%", 0, why)
    if total >= MINIMUM_SAMPLES:
        return _share(identity, rule, slow, total, 0.05, alpha, unit="slower")
    slow, total = slow + candidate.probe.slow, total + candidate.probe.probes
    result = _share(identity, rule, slow, total, 0.05, alpha, unit="slower")
    whose = f"{candidate.traffic.timed} of users and {candidate.probe.probes} of the probe"
    return replace(result, reason=f"{result.reason}; {whose}" if result.reason else whose)


def _slower(
    name: str, q: float, candidate: Observation, live: Observation | None, alpha: float
) -> RuleResult:
    """Test the share of candidate requests beyond ``LATENCY_MARGIN`` times live's quantile."""
    identity, rule = f"judge.{name}-vs-live", f"{name} against live"
    threshold = f"{LATENCY_MARGIN}x live"
    other = _baseline(identity, rule, live, threshold)
    if isinstance(other, RuleResult):
        return other
    if min(other.traffic.timed, candidate.traffic.timed) < MINIMUM_SAMPLES:
        why = f"both sides need {MINIMUM_SAMPLES} public requests in this step"
        return _idle(identity, rule, "no comparison", threshold, why)
    bound = other.traffic.quantile(q) * LATENCY_MARGIN
    slow = candidate.traffic.slower_than(bound)
    measured = f"{_milliseconds(candidate.traffic, q)} vs {_milliseconds(other.traffic, q)}"
    total, other_total = candidate.traffic.timed, other.traffic.timed
    p = placement_tail(slow, total, math.ceil(q * other_total), other_total)
    if p < alpha:
        return RuleResult(
            identity,
            rule,
            Verdict.FAIL,
            measured,
            threshold,
            total,
            f"{slow} of {total} beyond {bound * 1000:.0f} ms (p {p:.2g})",
        )
    finding = WITHIN_NOISE if candidate.traffic.quantile(q) > bound else ""
    return RuleResult(identity, rule, Verdict.PASS, measured, threshold, total, finding=finding)


def _milliseconds(traffic: Traffic, q: float) -> str:
    found = traffic.quantile(q)
    if math.isfinite(found):
        return f"{found * 1000:.0f} ms"
    return f"over {max(filter(math.isfinite, traffic.buckets), default=0.0) * 1000:.0f} ms"


def _release(probe: ProbeCounts) -> RuleResult:
    identity, rule = "judge.release", "answers with the expected release"
    threshold = "0 wrong"
    if probe.probes == 0:
        return RuleResult(
            identity, rule, Verdict.INCONCLUSIVE, "no probe answered", threshold, 0, "no probe was answered"
        )
    if probe.named == 0:
        return _idle(identity, rule, "no release named", threshold, "no answer named a release")
    return _ceiling(identity, rule, probe.wrong_release, 0, " wrong", probe.named)


def _ceiling(  # noqa: PLR0917
    identity: str, rule: str, value: int, limit: int, unit: str, samples: int, why: str = ""
) -> RuleResult:
    if value > limit:
        reason = why or "above the limit"
        return RuleResult(identity, rule, Verdict.FAIL, f"{value}{unit}", f"{limit}{unit}", samples, reason)
    return RuleResult(identity, rule, Verdict.PASS, f"{value}{unit}", f"{limit}{unit}", samples)


def _usage(identity: str, rule: str, share: float, limit: float, samples: int) -> RuleResult:
    if samples == 0:
        return RuleResult(
            identity, rule, Verdict.INCONCLUSIVE, "no data", f"{limit:.0%}", 0, "usage could not be read"
        )
    if share > limit:
        return RuleResult(
            identity, rule, Verdict.FAIL, f"{share:.0%}", f"{limit:.0%}", samples, "above the limit"
        )
    return RuleResult(identity, rule, Verdict.PASS, f"{share:.0%}", f"{limit:.0%}", samples)
