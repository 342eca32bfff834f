"""One meaning per number: every effect that is printed agrees with what is printed as its basis."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kickoff.evidence import Evidence, Verdict
from kickoff.evidence.rules import NO_DIFFERENCE, WARNING, WITHIN_NOISE
from kickoff.performance import live_release
from kickoff.performance.metrics import ALL, Kind, Metric
from kickoff.performance.samples import CANDIDATE, FEWEST, Sample
from kickoff.report import measures, tables
from tests.unit.performance.test_performance_rendering import documented, judged, measured, read

TIMES = re.compile(r"([+-][\d.,]+)%[\s,(]*([\d.,]+) → ([\d.,]+) ms")
SHARES = re.compile(r"([+-][\d.,]+) points[\s,(]*([\d.,]+)% → ([\d.,]+)%")
ARROW = re.compile(r"\d%? → \d")


def plain(text: str) -> str:
    """Return what people see of a page, on one line, with a minus that a parser reads."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split()).replace("\N{MINUS SIGN}", "-")


def value(text: str) -> float:
    return float(text.replace(",", ""))


def contradictions(text: str) -> list[str]:
    """Return the effects that do not follow from the two figures beside them, and the figures without one."""
    found = []
    for match in TIMES.finditer(text):
        effect, live, candidate = (value(part) for part in match.groups())
        # The figures are rounded to two digits, the effect to one.
        least, most = (candidate - 0.005) / (live + 0.005), (candidate + 0.005) / max(live - 0.005, 1e-9)
        if not (least - 1) * 100 - 0.06 <= effect <= (most - 1) * 100 + 0.06:
            found.append(match[0])
    for match in SHARES.finditer(text):
        effect, live, candidate = (value(part) for part in match.groups())
        if abs(effect - (candidate - live)) > 0.016:
            found.append(match[0])
    left = ARROW.findall(SHARES.sub("", TIMES.sub("", text)))
    return [*found, *(f"no effect before {arrow}" for arrow in left)]


def printed(document: Evidence, folder: Path) -> list[str]:
    """Return every contradiction in everything that people read of a performance check."""
    texts = {name: plain(text) for name, text in read(document, folder).items() if name != "evidence"}
    return [f"{name}: {problem}" for name, text in texts.items() for problem in contradictions(text)]


def over_the_limit(document: Evidence) -> list[str]:
    """Return the comparisons that are called a pass in spite of a value above their limit."""
    found = []
    for rule in document.rules:
        size, limit = (re.search(r"[+-][\d.]+", text) for text in (rule.measured, rule.threshold))
        above = rule.id.endswith("-vs-live") and size and limit and float(size[0]) > float(limit[0]) + 0.51
        if above and rule.verdict is Verdict.PASS and (rule.sign, rule.word) != ("≈", WITHIN_NOISE):
            found.append(f"{rule.rule}: {rule.measured}, {rule.threshold}, {rule.sign} {rule.word}")
    return found


def told_twice(document: Evidence) -> list[str]:
    """Return the effects of which rule and table say something else."""
    rules = {(rule.id, rule.rule): rule.measured for rule in document.rules}
    found = []
    for row in document.facts["comparison"]:
        effect = tables.effect(row)
        if effect is None or row["endpoint"] == ALL:
            continue
        rule = rules[f"perf.{row['kind']}-vs-live", f"{row['kind']} of {row['endpoint']} against live"]
        if value(rule.partition("%")[0]) != value(effect.size.replace("\N{MINUS SIGN}", "-")[:-1]):
            found.append(f"{rule} and {effect.size}")
        if row["kind"] == "p50" and ("→" in rule or effect.basis != "within pairs"):
            found.append(f"figures beside an effect within pairs: {rule}, {effect.basis}")
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(samples=measured(), rate=st.sampled_from([0.0, 5.0]))
def test_no_printed_effect_contradicts_its_basis(
    samples: list[Sample], rate: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outcome, _ = judged(samples, rate, 0.0)
    document = documented([outcome])
    problems = [*printed(document, tmp_path_factory.mktemp("meaning")), *over_the_limit(document)]
    assert [*problems, *told_twice(document)] == []


@pytest.mark.parametrize("name", ["inconclusive", "warned"])
def test_no_effect_in_the_evidence_of_a_real_run_contradicts_its_basis(name: str, tmp_path: Path) -> None:
    # Written by load on a service, not made up: what a release leaves, rounded as it is rounded there.
    kept = Path(__file__).with_name("stored") / f"{name}.json"
    document = Evidence.from_document(json.loads(kept.read_text(encoding="utf-8")), name)
    effects = [effect for row in document.facts["comparison"] if (effect := tables.effect(row))]
    assert len(document.facts["comparison"]) == 10
    assert len(effects) == {"inconclusive": 10, "warned": 2}[name]
    assert [*printed(document, tmp_path), *over_the_limit(document)] == []
    assert name == "warned" or told_twice(document) == []


def pairs_of(live: list[float], candidate: list[float]) -> list[Sample]:
    return [
        Sample(time=number / 3, endpoint="GET /a", arm=arm, ms=ms, ok=True, pair=str(number))
        for number, both in enumerate(zip(live, candidate, strict=True))
        for arm, ms in zip(("live", "candidate"), both, strict=True)
    ]


def test_complete_pairs_have_the_percentiles_that_the_comparison_compares() -> None:
    outcome, _ = judged(pairs_of([float(n) for n in range(1, 42)], [1.3 * n for n in range(1, 42)]), 5.0, 0.0)
    facts = documented([outcome]).facts
    tail = next(row for row in facts["comparison"] if row["kind"] == "p95")
    assert facts["endpoints"][0]["p95_ms"] == tail["candidate"] == pytest.approx(1.3 * 39)
    assert facts["endpoints_live"][0]["p95_ms"] == tail["live"] == 39.0


def test_medians_that_say_the_opposite_do_not_stand_beside_an_effect_within_pairs(tmp_path: Path) -> None:
    # A few slow pairs lift the candidate's median; within most pairs it is faster.
    live = [10.0] * 12 + [20.0] * 13
    candidate = [14.0] * 2 + [9.5] * 10 + [19.0] * 13
    outcome, _ = judged(pairs_of(live, candidate), 5.0, 0.0)
    document = documented([outcome])
    rule = next(rule for rule in document.rules if rule.id == "perf.p50-vs-live")
    assert re.fullmatch(r"-5\.\d% within pairs \(95% -\d\.\d to [+-]\d+\.\d\)", rule.measured)
    assert printed(document, tmp_path) == []


def test_a_contradiction_would_be_found() -> None:
    assert contradictions("p50: -0.9% (6.30 → 7.04 ms)") == ["-0.9% (6.30 → 7.04 ms"]
    assert contradictions("6.30 → 7.04 ms") == ["no effect before 0 → 7"]
    assert contradictions("+11.7%, 6.30 → 7.04 ms in pairs") == []


def test_the_headline_is_the_p95_of_all_requests(tmp_path: Path) -> None:
    fast = [Sample(float(n), "GET /health", "candidate", 2.0, True) for n in range(40)]
    slow = [Sample(float(n), "POST /b", "candidate", 90.0, True) for n in range(40)]
    outcome, run = judged([*fast, *slow], 5.0, 0.0)
    document = documented([outcome])
    every = [sample.ms for sample in run.samples if sample.arm == CANDIDATE]
    assert measures.p95(document) == round(float(np.percentile(every, 95, method="inverted_cdf")), 3) == 90.0
    assert measures.headline(document).startswith("p95 90.0 ms (limit ")


def test_few_requests_have_no_percentile_anywhere(tmp_path: Path) -> None:
    samples = [Sample(float(n), "GET /a", "candidate", 7.0, True) for n in range(FEWEST - 1)]
    document = documented([judged(samples, 0.0, 0.0)[0]])
    texts = read(document, tmp_path)
    assert measures.p95(document) is None
    assert measures.headline(document).startswith("slowest of 19 7.00 ms")
    assert f"n < {FEWEST}" in texts["markdown"]
    assert texts["page"].count(f"n &lt; {FEWEST}") == 3
    assert texts["report"].count(f"n &lt; {FEWEST}") == 3
    assert "fewer than 20 successes" in texts["csv"]
    assert all(point["p95_ms"] is None for point in document.series["throughput"])


def test_figures_of_a_suite_name_their_scenario(tmp_path: Path) -> None:
    samples = [Sample(float(n), "GET /a", "candidate", 7.0, True) for n in range(30)]
    texts = read(documented([judged(samples, 0.0, 0.0)[0]]), tmp_path)
    assert texts["csv"].splitlines()[0].startswith("scenario,name,arm,")
    assert texts["csv"].splitlines()[1].startswith("smoke,GET /a,candidate,")
    assert "| smoke | GET /a | candidate |" in texts["markdown"]


def metric(verdict: Verdict, finding: str = "") -> Metric:
    numbers = (30, 10.0, 11.0, 0.1, -0.1, 0.3, 0.2, 0.9)
    return Metric("GET /a", Kind.P95, *numbers, verdict, "too noisy", finding)


def test_doubt_warns_where_the_environment_says_so_and_a_failure_still_fails() -> None:
    warned = live_release.as_warning(metric(Verdict.INCONCLUSIVE))
    assert (warned.verdict, warned.finding) == (Verdict.NOT_APPLICABLE, WARNING)
    assert "too noisy" in warned.reason
    for other in (metric(Verdict.FAIL), metric(Verdict.PASS, NO_DIFFERENCE)):
        assert live_release.as_warning(other) == other
