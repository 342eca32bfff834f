"""The absolute rules of a scenario: error rate, response time, throughput. Pure functions."""

from collections import Counter
from collections.abc import Sequence

from kickoff.evidence import RuleResult, Verdict, rule_id
from kickoff.performance import aggregates, load
from kickoff.performance.aggregates import EndpointFigures
from kickoff.performance.load import LoadResult
from kickoff.performance.samples import CANDIDATE, FEWEST, Sample
from kickoff.performance.scenarios import Objectives

# A throughput a little below the target is the pacing's granularity, not a slow service.
TARGET_TOLERANCE = 0.05
THROUGHPUT = "perf.throughput"
"""Id of the rule that the users kept their pace."""


def evaluate(result: LoadResult, objectives: Objectives | None = None) -> list[RuleResult]:
    """Judge a run by its scenario's figures; only the candidate's samples count.

    Args:
        result: The run.
        objectives: Judged too when they belong to this scenario.
    """
    samples = [sample for sample in result.samples if sample.arm == CANDIDATE]
    successes = sum(sample.ok for sample in samples)
    if successes == 0:
        return [_nothing(result, samples)]
    name = result.scenario.name
    figures = aggregates.by_endpoint(samples)
    found = [error_rate(name, samples, result.scenario.max_error_rate)]
    found += [response_time(name, entry, result.scenario.max_response_time) for entry in figures]
    if result.rate:
        found.append(_throughput(result, samples))
    if result.errors:
        found.append(
            RuleResult(
                id="perf.locustfile",
                rule=f"{name}: the locustfile runs without exceptions",
                verdict=Verdict.INCONCLUSIVE,
                measured=f"{len(result.errors)}{'+' if len(result.errors) >= load.MAX_ERRORS else ''}",
                threshold="0",
                samples=len(samples),
                reason=f"the users' own code failed: {result.errors[0]}",
            )
        )
    if objectives is not None and objectives.scenario == name:
        found += _objectives(result, samples, objectives)
    if result.partial:
        found.append(
            RuleResult(
                id="perf.complete",
                rule=f"{name}: the whole run",
                verdict=Verdict.INCONCLUSIVE,
                measured=f"{result.seconds:.1f} s",
                threshold=f"{result.scenario.duration:g} s",
                samples=len(samples),
                reason="the run was interrupted; its figures are partial",
            )
        )
    return found


def error_rate(name: str, samples: Sequence[Sample], limit: float) -> RuleResult:
    """Judge the share of failed requests."""
    failures = Counter(sample.error for sample in samples if not sample.ok)
    count = failures.total()
    share = count / len(samples)
    passed = share <= limit
    return RuleResult(
        id="perf.error-rate",
        rule=f"{name}: error rate",
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        measured=f"{share:.2%} ({count} of {len(samples)})",
        threshold=f"≤ {limit:.2%}".replace(".00%", "%"),
        samples=len(samples),
        reason="" if passed else f"most frequent: {failures.most_common(1)[0][0]}",
    )


def response_time(name: str, entry: EndpointFigures, limit_ms: float) -> RuleResult:
    """Judge the 95th percentile of an endpoint (the slowest request when there are few)."""
    enough = entry.successes >= FEWEST  # with fewer the slowest stands in, which is stricter
    identity = "perf.p95" if enough else "perf.slowest"
    rule = f"{name}: {'p95' if enough else 'slowest'} of {entry.name}"
    threshold = f"≤ {limit_ms:g} ms"
    if entry.successes == 0:
        return RuleResult(
            id=identity,
            rule=rule,
            verdict=Verdict.INCONCLUSIVE,
            measured="nothing",
            threshold=threshold,
            samples=0,
            reason=f"none of {entry.requests} requests succeeded",
        )
    value = entry.p95_ms if enough else entry.max_ms
    passed = value <= limit_ms
    return RuleResult(
        id=identity,
        rule=rule,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        measured=f"{value:.1f} ms",
        threshold=threshold,
        samples=entry.successes,
        reason="" if passed else f"{entry.name} is slower than the scenario allows",
    )


def _throughput(result: LoadResult, samples: Sequence[Sample]) -> RuleResult:
    scenario = result.scenario
    target = min(scenario.target_rps, result.rate)
    rate, count = aggregates.peak_rate(samples, scenario, result.begun, result.ended)
    capped = ", capped by PERF_MAX_RPS" if target < scenario.target_rps else ""
    rule = f"{scenario.name}: requests a second"
    least = target * (1 - TARGET_TOLERANCE)
    threshold = (
        f"≥ {least:.4g}/s, give or take a request (target {target:g}/s less {TARGET_TOLERANCE:.0%}{capped})"
    )
    measured = f"{rate:.1f}/s"
    # One request may fall on either side of the window's edges.
    length = count / rate if rate else 0.0
    reached = count > 0 and count + 1 >= least * length
    if reached:
        return RuleResult(THROUGHPUT, rule, Verdict.PASS, measured, threshold, count)
    saturated = result.saturated
    return RuleResult(
        id=THROUGHPUT,
        rule=rule,
        verdict=Verdict.INCONCLUSIVE if saturated or result.partial or count == 0 else Verdict.FAIL,
        measured=measured,
        threshold=threshold,
        samples=count,
        reason=(
            f"{saturated}, so this says nothing about the service"
            if saturated
            else "no request fell into the part of the run with all users"
            if count == 0
            else "the service answered too slowly for the users to keep their pace"
        ),
    )


def _objectives(result: LoadResult, samples: Sequence[Sample], goal: Objectives) -> list[RuleResult]:
    overall = aggregates.figures(samples, "", CANDIDATE)
    share = overall.failures / overall.requests
    health = [sample for sample in samples if sample.endpoint.split()[-1] in goal.health]
    rate, health_count = aggregates.peak_rate(health, result.scenario, result.begun, result.ended)
    users = result.scenario.users

    def rule(what: str, passed: bool, measured: str, threshold: str, count: int) -> RuleResult:
        verdict = (Verdict.PASS if passed else Verdict.FAIL) if count else Verdict.INCONCLUSIVE
        reason = "" if verdict is Verdict.PASS else "the objective is missed" if count else "nothing measured"
        return RuleResult(
            rule_id("perf.objective", what), f"objective: {what}", verdict, measured, threshold, count, reason
        )

    n = overall.successes
    return [
        rule("mean", overall.mean_ms < goal.mean, f"{overall.mean_ms:.1f} ms", f"< {goal.mean:g} ms", n),
        rule("p95", overall.p95_ms < goal.p95, f"{overall.p95_ms:.1f} ms", f"< {goal.p95:g} ms", n),
        rule(
            "error rate",
            share < goal.error_rate,
            f"{share:.2%}",
            f"< {goal.error_rate:.2%}",
            len(samples),
        ),
        rule(
            "health requests a second",
            rate >= goal.health_rps,
            f"{rate:.1f}/s",
            f"≥ {goal.health_rps:g}/s",
            health_count,
        ),
        rule("concurrent users", users >= goal.concurrent_users, str(users), f"≥ {goal.concurrent_users}", n),
    ]


def _nothing(result: LoadResult, samples: Sequence[Sample]) -> RuleResult:
    causes = Counter(sample.error for sample in samples if not sample.ok)
    cause = (
        causes.most_common(1)[0][0]
        if causes
        else (result.errors or result.log or ["no request was sent"])[-1]
    )
    return RuleResult(
        id="perf.any-success",
        rule=f"{result.scenario.name}: at least one request succeeds",
        # Every request answered wrongly is a failure; no request at all is no knowledge.
        verdict=Verdict.INCONCLUSIVE if not samples or result.partial else Verdict.FAIL,
        measured=f"0 of {len(samples)}",
        threshold="≥ 1",
        samples=0,
        reason=cause,
    )
