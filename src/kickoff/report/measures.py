"""The headline figures of a run: the p95 of all requests, whichever endpoint they asked, and the errors."""

from collections.abc import Mapping
from typing import Any

from kickoff.evidence import Evidence, Verdict
from kickoff.evidence.rules import WARNING
from kickoff.performance.samples import CANDIDATE, FEWEST, LIVE
from kickoff.report.language import say, told
from kickoff.report.messages import count, line, milliseconds, number


def percentile(perf: Evidence | None, name: str, arm: str = CANDIDATE) -> float | None:
    """Return ``p50``, ``p95`` or ``p99`` of all requests of one side in milliseconds; ``None`` of too few."""
    row = _overall(perf, arm)
    return number(row.get(f"{name}_ms")) if _successes(row) >= FEWEST else None


def p95(perf: Evidence | None, arm: str = CANDIDATE) -> float | None:
    """Return the p95 of all requests of one side in milliseconds; ``None`` of too few."""
    return percentile(perf, "p95", arm)


def headline(perf: Evidence | None) -> str:
    """Return the p95 of all requests and the errors, each with its limit; short enough for a terminal."""
    if perf is None:
        return ""
    parts = []
    row, limit = _overall(perf, CANDIDATE), _limit(perf)
    value, live, slowest = p95(perf), p95(perf, LIVE), number(row.get("max_ms"))
    if value is not None:
        parts.append(f"p95 {milliseconds(value)}{_beside(live, limit)}")
    elif slowest is not None:
        parts.append(
            say(
                "slowest of {successes:.0f} {slowest}{beside}",
                successes=_successes(row),
                slowest=milliseconds(slowest),
                beside=_beside(None, limit),
            )
        )
    rule = next((r for r in perf.rules if r.id == "perf.error-rate" and r.verdict is Verdict.PASS), None)
    if rule is not None:
        failures, requests = number(row.get("failures")), number(row.get("requests"))
        known = failures is not None and requests is not None
        counted = (
            say("{failures} of {requests}", failures=count(failures), requests=count(requests))
            if known
            else told(line(rule.measured, 60))
        )
        parts.append(say("errors {counted} ({limit})", counted=counted, limit=told(line(rule.limit))))
    if any(rule.finding == WARNING for rule in perf.rules):
        parts.append(say("comparison with live inconclusive (a warning)"))
    return "   ".join(parts)


def _beside(live: float | None, limit: float | None) -> str:
    known = [say("live {live}", live=milliseconds(live))] * (live is not None)
    known += [say("limit {limit:,.10g} ms", limit=limit)] if limit is not None else []
    return say(" ({reason})", reason=say(", ").join(known)) if known else ""


def _limit(perf: Evidence) -> float | None:
    """Return the limit of each endpoint's p95, when all scenarios have the same."""
    scenarios = perf.facts.get("scenarios") or []
    found = {number(one.get("max_response_ms")) for one in scenarios if isinstance(one, dict)}
    return found.pop() if len(found) == 1 else None


def _overall(perf: Evidence | None, arm: str) -> Mapping[str, Any]:
    rows = perf.facts.get("overall") if perf is not None else None
    found = [row for row in rows or [] if isinstance(row, dict) and row.get("arm") == arm]
    return found[0] if found else {}


def _successes(row: Mapping[str, Any]) -> float:
    return (number(row.get("requests")) or 0.0) - (number(row.get("failures")) or 0.0)
