"""The pages of a performance check and of the trend: complete, well formed, safe, honest about thin data."""

import re
from collections.abc import Callable

import pytest

from kickoff.evidence import Evidence, Verdict
from kickoff.performance import trend
from kickoff.performance.trend import Trend
from kickoff.report import load_page, trend_page
from kickoff.report.charts import lines
from kickoff.report.charts.lines import Chart, Line, Marked
from tests.unit.report import cases
from tests.unit.report.test_report_page import Page

SCRIPT = "<script>alert(1)</script>"


def checked() -> Evidence:
    """Return a check with everything a page can show."""
    document = cases.measured()
    points = [
        {"t": float(t), "rps": 50.0, "failed": int(t == 7), "p50_ms": 3.0, "p95_ms": 9.0, "p99_ms": 20.0}
        | {"received": 4000, "scenario": "light"}
        for t in range(30)
    ]
    document.series |= {"throughput": points, "throughput_live": points}
    document.series["resources"] = [
        {"t": float(t), "arm": arm, "cpu": 0.25, "memory_mb": 90.0}
        for t in range(30)
        for arm in ("candidate", "live")
    ]
    document.facts |= {
        "runner": {"class": "linux-x86_64-2cpu", "processor": "a processor"},
        "generator": {"processes": 2, "cpu": 0.95, "requests_per_core": 2100, "saturated": "it is late"},
        "errors": [{"endpoint": "GET /a", "arm": "candidate", "error": SCRIPT, "count": 3}],
        "slow_requests": [{"endpoint": "GET /b", "arm": "live", "ms": 6100.0, "status": 200, "error": ""}],
        "resources": {
            "sides": [
                {"arm": "candidate", "cpu_mean": 0.25, "cpu_max": 0.5, "memory_max_mb": 91.0}
                | {"memory_growth_mb": 1.5, "answers_mb": 2.0, "seconds": 30}
            ],
            "unmeasured": "the process behind live cannot be seen from here",
        },
    }
    return document


def bare() -> Evidence:
    """Return a check that measured nothing."""
    document = cases.measured()
    document.series, document.facts, document.rules = {}, {}, []
    return document


def drifted() -> list[Trend]:
    """Return a step in one endpoint and quiet in another with a hostile name."""
    step = [(f"2026-01-01T00:00:{i:02d}", f"r{i}", 0.2 if i == 4 else 0.0, 0.01) for i in range(9)]
    quiet = [(at, release, 0.0, error) for at, release, _, error in step]
    return [
        trend.trend("staging", SCRIPT, "p95", quiet, 0.05),
        trend.trend("staging", "GET /a", "p50", step, 0.05),
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: load_page.render(checked()),
        lambda: load_page.render(bare()),
        lambda: trend_page.render(drifted(), "shop"),
        lambda: trend_page.render([], "shop"),
    ],
    ids=["checked", "bare", "drifted", "nothing"],
)
def test_the_pages_are_well_formed_and_ask_nobody_for_anything(make: Callable[[], str]) -> None:
    html = make()
    found = Page(html)
    assert found.unbalanced == []
    assert found.open == []
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in found.elements:
        assert tag not in ("img", "iframe", "object", "embed", "form", "base")
        assert not {"src", "style", "action"} & attributes.keys()
        for name in ("aria-labelledby", "aria-describedby"):
            assert name not in attributes or attributes[name] in ids
    assert len(found.all("script")) == 1


def test_the_page_of_a_check_shows_all_that_was_measured() -> None:
    found = Page(load_page.render(checked()))
    for part in (
        "linux-x86_64-2cpu",
        "about 2,100 requests/s per core",
        "it is late",
        "Requests per second",
        "99",
        SCRIPT,
        "6,100 ms",
        "Not everything was measured: the process behind live cannot be seen from here.",
        "+1.5 MB",
    ):
        assert part in found.text
    charts = [attributes for attributes in found.all("svg") if attributes["class"] == "chart wide"]
    assert len(charts) == 8


def test_a_page_without_data_says_so() -> None:
    text = Page(load_page.render(bare())).text
    assert "too little to draw, nothing was measured" in text
    assert "No request was sent." in text
    assert "Nothing was compared." in text


def test_the_page_of_the_trend_puts_what_drifted_first() -> None:
    found = Page(trend_page.render(drifted(), "shop"))
    assert "SLOWER OVER TIME" in found.text
    assert "Response times of shop over releases" in found.text
    assert "p50 of GET /a: step of +22.1% with r4" in found.text
    assert re.search(
        r"p50 of GET /a in staging: [+]\d+[.]\d% [(]95% [+]\d+[.]\d to [+]\d+[.]\d[)] over", found.text
    )
    assert found.text.index("GET /a in staging") < found.text.index(f"{SCRIPT} in staging")


def test_too_few_releases_are_no_trend() -> None:
    few = [trend.trend("s", "GET /a", "p50", [("2026-01-01T00:00:00", "r1", 0.0, 0.01)], 0.05)]
    assert trend_page.verdict(few) is Verdict.INCONCLUSIVE
    assert trend_page.verdict([]) is Verdict.INCONCLUSIVE
    assert trend_page.verdict(drifted()) is Verdict.FAIL
    assert trend_page.verdict(drifted()[:1]) is Verdict.PASS


def test_a_chart_places_values_below_nothing_below_the_base_line() -> None:
    chart = Chart(
        key="k",
        title="t",
        quantity="q",
        lines=[Line("a", [(0.0, -5.0), (1.0, 0.0), (2.0, 5.0)])],
        say=lambda value: f"{value:g}",
        names=("r0", "r1", "r2"),
        marks=[Marked(2.0, "a step")],
        limit=6.0,
    )
    wide = lines.figure(chart).drawings[0]
    assert ">-5<" in wide
    assert "a step" in wide
    assert "limit 6" in wide
    assert "r2 · a 5 · a step" in wide.replace("&#34;", '"')


@pytest.mark.parametrize(
    ("failed", "said"), [(1, "1 request of the candidate failed"), (2, "2 requests of the")]
)
def test_failed_requests_are_counted_in_words(failed: int, said: str) -> None:
    document = checked()
    for point in document.series["throughput"]:
        point["failed"] = failed if point["t"] == 7 else 0
    assert said in Page(load_page.render(document)).text
