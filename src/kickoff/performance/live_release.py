"""The live release as a baseline: it must answer before the load, and most of its answers must be right."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kickoff.evidence import RuleResult, Verdict
from kickoff.evidence.rules import WARNING
from kickoff.performance import load
from kickoff.performance.comparison import MOST
from kickoff.performance.load import Arm, LoadResult
from kickoff.performance.metrics import Metric
from kickoff.performance.samples import CANDIDATE, LIVE
from kickoff.probing.http import open_client, perform
from kickoff.service import HttpCheck, Service

COMPARED = "perf.compared"
"""Id of the rule that stands for the comparison with live as a whole."""
DOWN = "live is down: absolute rules decide"

_ROUNDS = 3
_PAUSE = 0.5
_REQUEST_SECONDS = 2.0
_MOST_SECONDS = 8.0


class Lost(Exception):
    """Live stopped being a baseline while it was measured; the text says how."""


def asked(arm: Arm, service: Service) -> Callable[[], str]:
    """Return a function that says why nothing of ``arm`` answers; it says nothing when something does.

    Readiness and the probe's requests are sent a few times. Any answer below 500 of the expected release is
    a sign of life: whether answers are right is for the load to tell, which knows what they must be.
    """
    ready = HttpCheck(name="ready", path=service.ready_path)
    checks = list({check.path: check for check in (ready, *service.probe)}.values())

    def ask() -> str:
        why = ""
        begun = time.monotonic()
        with open_client(arm.url, arm.headers, seconds=_REQUEST_SECONDS) as client:
            for attempt in range(_ROUNDS):
                if attempt:
                    time.sleep(_PAUSE)
                for check in checks:
                    found = perform(
                        client,
                        check,
                        header=service.release_header,
                        expected_release=arm.release,
                        marker="performance",
                    )
                    where = f"{check.method} {check.path}"
                    if not found.status:
                        why = f"{where}: {found.error}"
                    elif found.status >= 500:
                        why = f"{where}: status {found.status}"
                    elif service.release_header and arm.release and found.release != arm.release:
                        why = f"{where}: status {found.status}, release {found.release or 'not named'}"
                    else:
                        return ""
                if time.monotonic() - begun > _MOST_SECONDS:
                    break
        return why

    return ask


def lost(result: LoadResult) -> str:
    """Return why live is no baseline after a run against both sides; empty when it is one."""
    samples = [sample for sample in result.samples if sample.arm == LIVE]
    failures = Counter(sample.error for sample in samples if not sample.ok)
    failed = failures.total()
    silent = result.live_silent >= load.MOST_SILENCE or (not samples and result.live_silent > 0)
    if not silent and failed <= MOST * len(samples):
        return ""
    why = f"{failed} of {len(samples)} requests failed"
    if failures:
        why += f", most often: {failures.most_common(1)[0][0]}"
    return f"{why}; no right answer for the last {result.live_silent:.1f} s" if silent else why


def slower(result: LoadResult) -> bool:
    """Return whether the users of a run against both sides waited longer for live than for the candidate."""
    waited: Counter[str] = Counter()
    for sample in result.samples:
        waited[sample.arm] += round(sample.ms)
    return waited[LIVE] > waited[CANDIDATE]


def without_doubt(metric: Metric) -> Metric:
    """Return a metric whose doubt comes from a live release too slow to be asked often enough."""
    if metric.verdict is not Verdict.INCONCLUSIVE:
        return metric
    reason = f"live is too slow to compare with ({metric.reason}): absolute rules decide"
    return replace(metric, verdict=Verdict.NOT_APPLICABLE, reason=reason)


def as_warning(metric: Metric) -> Metric:
    """Return a metric whose doubt only warns: the environment says so."""
    if metric.verdict is not Verdict.INCONCLUSIVE:
        return metric
    reason = f"{metric.reason}; a warning by PERF_INCONCLUSIVE=warn: absolute rules decide"
    return replace(metric, verdict=Verdict.NOT_APPLICABLE, reason=reason, finding=WARNING)


def fact(release: str, runs: Sequence[LoadResult], why: str) -> dict[str, Any]:
    """Return what the evidence says of a live release that was down.

    ``since`` is when it last answered rightly in these runs; empty when it never did.
    """
    right = [sample.time for run in runs for sample in run.samples if sample.arm == LIVE and sample.ok]
    since = datetime.fromtimestamp(max(right), UTC).isoformat(timespec="milliseconds") if right else ""
    return {"release": release, "since": since, "reason": why, "started_again": False}


def not_applicable(scenario: str, why: str) -> RuleResult:
    """Return the rule that stands for all comparisons with a live release that is down."""
    threshold, reason = "a live release that answers", f"{DOWN} ({why})"
    return not_compared(scenario, Verdict.NOT_APPLICABLE, "not compared", threshold, reason)


def not_compared(scenario: str, verdict: Verdict, measured: str, threshold: str, reason: str) -> RuleResult:
    """Return the rule that stands for the comparisons of a scenario where there are none."""
    return RuleResult(COMPARED, f"{scenario}: comparison with live", verdict, measured, threshold, 0, reason)
