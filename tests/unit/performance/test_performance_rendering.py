"""Whatever was measured, nothing that people read holds ``nan``, ``inf`` or ``None``."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kickoff import evidence
from kickoff.evidence import Evidence, RuleResult, Verdict
from kickoff.performance import (
    aggregates,
    baselines,
    check,
    comparison,
    live_release,
    rules,
    scenarios,
    summary,
)
from kickoff.performance import document as documents
from kickoff.performance.load import LoadResult
from kickoff.performance.metrics import pair_up
from kickoff.performance.samples import CANDIDATE, Sample
from kickoff.performance.trend import trends
from kickoff.report import load_page, page, trend_page
from kickoff.report import summary as run_summary
from kickoff.report.outcome import decide
from kickoff.report.run import Plan, Run
from kickoff.report.terminal import closing_block

CATALOGUE = scenarios.load(Path(__file__).parents[3] / "configs/performance/scenarios.yml", "development")
SMOKE = replace(CATALOGUE.get("smoke"), duration=10.0)
OBJECTIVES = replace(CATALOGUE.objectives, scenario="smoke") if CATALOGUE.objectives else None
ENDPOINTS = ("GET /a", "GET /health", "POST /b")
FORBIDDEN = re.compile(r"(?i:\b(?:nan|inf|infinity)\b)|\bNone\b")


@st.composite
def measured(draw: st.DrawFn) -> list[Sample]:
    """Return pairs of requests, some without one half, some without success, some without any time at all."""
    found = []
    time = st.floats(0.0, 1e5)
    for endpoint in draw(st.lists(st.sampled_from(ENDPOINTS), max_size=3, unique=True)):
        count = draw(st.sampled_from([1, 1, 2, 19, 25]))
        for arm in draw(
            st.sampled_from([("candidate",), ("live",), ("candidate", "live"), ("candidate", "live")])
        ):
            healthy = draw(st.sampled_from([0.0, 0.4, 0.9, 1.0]))
            for number in range(count):
                ok = number < healthy * count
                found.append(
                    Sample(
                        time=number / 3,
                        endpoint=endpoint,
                        arm=arm,
                        ms=draw(time),
                        ok=ok,
                        error="" if ok else "status 500",
                        pair=str(number),
                    )
                )
    return found


def judged(samples: list[Sample], rate: float, silent: float) -> tuple[check.Outcome, LoadResult]:
    run = LoadResult(
        scenario=SMOKE,
        rate=rate,
        begun=0.0,
        ended=10.0 if samples else 0.0,
        samples=samples,
        generator_cpu=0.1,
        generator_lag_ms=1.0,
        partial=False,
        slow=[],
        errors=[],
        log=[],
        live_silent=silent,
    )
    metrics = comparison.compare(pair_up(samples), CATALOGUE.comparison)
    found = rules.evaluate(run, OBJECTIVES)
    found += [comparison.to_rule(metric, CATALOGUE.comparison) for metric in metrics]
    outcome = check.Outcome(SMOKE, found, [run], metrics)
    if why := live_release.lost(run):
        outcome.rules.append(live_release.not_applicable("smoke", why))
        outcome.live_down = live_release.fact("old", [run], why)
    return outcome, run


def against_baseline(first: LoadResult, again: LoadResult) -> list[RuleResult]:
    known, now = (
        baselines.measured(
            aggregates.by_endpoint(sample for sample in run.samples if sample.arm == CANDIDATE),
            "2026",
            run.seconds,
        )
        for run in (first, again)
    )
    if not known.endpoints:
        return []
    key = baselines.Key("staging", "smoke", "x")
    return baselines.judge(baselines.Baseline(key, "c", "p", (known,) * 5), now, CATALOGUE.comparison)


def read(document: Evidence, folder: Path) -> dict[str, str]:
    """Return everything that people read of a performance check, by name."""
    kept = Evidence.from_document(json.loads(document.write(folder).read_text()), "kept")
    run = Run((kept,), Plan(("staging",)))
    outcome = decide(run, "report.html")
    drift = trends([replace(kept, verdict=Verdict.PASS)], {"p50": 0.05, "p95": 0.1})
    texts = {
        "evidence": json.dumps(document.facts) + json.dumps(document.series),
        "markdown": summary.markdown(kept),
        "csv": summary.aggregates_csv(kept),
        "page": load_page.render(kept),
        "trend": trend_page.render(drift, "shop"),
        "report": page.render(run, outcome),
        "summary": run_summary.render(run, outcome),
        "terminal": closing_block(outcome.to_document()),
        "outcome": json.dumps(outcome.to_document()),
    }
    # Our own script and the packed data are not read by people.
    unread = re.compile(r"<script>.*?</script>|<style>.*?</style>|base64,[A-Za-z0-9+/=]+", re.DOTALL)
    return {name: unread.sub("", text) for name, text in texts.items()}


def documented(outcomes: list[check.Outcome]) -> Evidence:
    return documents.to_evidence(
        outcomes,
        environment="staging",
        service="shop",
        release="new",
        attempt="7",
        started=evidence.now(),
        inputs={},
        compared=True,
        not_compared="",
    )


def problems(document: Evidence, folder: Path) -> dict[str, list[str]]:
    found = {name: FORBIDDEN.findall(text) for name, text in read(document, folder).items()}
    return {name: words for name, words in found.items() if words}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    first=measured(), again=measured(), rate=st.sampled_from([0.0, 5.0]), silent=st.sampled_from([0.0, 11.0])
)
def test_no_measurement_is_shown_as_nan(
    first: list[Sample],
    again: list[Sample],
    rate: float,
    silent: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    outcome, run = judged(first, rate, silent)
    other, rerun = judged(again, rate, 0.0)
    outcome.rules += against_baseline(run, rerun)
    assert problems(documented([outcome, other]), tmp_path_factory.mktemp("rendered")) == {}


EDGES: dict[str, list[dict[str, Any]]] = {
    "no sample": [],
    "one sample": [{"arm": "candidate"}],
    "candidate empty": [{"arm": "live", "pair": str(n)} for n in range(30)],
    "live empty": [{"arm": "candidate", "pair": str(n)} for n in range(30)],
    "one pair": [{"arm": arm, "pair": "1"} for arm in ("candidate", "live")],
    "live fails all": [
        {"arm": arm, "pair": str(n), "ok": arm == "candidate", "error": "x"}
        for n in range(30)
        for arm in ("candidate", "live")
    ],
    "both fail all": [
        {"arm": arm, "pair": str(n), "ok": False, "error": "status 500"}
        for n in range(30)
        for arm in ("candidate", "live")
    ],
    "no time at all": [
        {"arm": arm, "pair": str(n), "ms": 0.0} for n in range(30) for arm in ("candidate", "live")
    ],
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str, tmp_path: Path) -> None:
    usual: dict[str, Any] = {"time": 1.0, "endpoint": "GET /a", "ms": 5.0, "ok": True}
    samples = [Sample(**(usual | edge)) for edge in EDGES[name]]
    outcome, _ = judged(samples, 5.0, 0.0)
    document = documented([outcome])
    assert problems(document, tmp_path) == {}
    assert document.verdict is not Verdict.PASS
