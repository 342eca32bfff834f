"""The charts: what they find, and what they do with data nobody has checked."""

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest

from kickoff.evidence import Verdict
from kickoff.report import tables
from kickoff.report.charts import lines
from kickoff.report.charts.latency import distribution, percentiles
from kickoff.report.charts.lines import Chart, Line
from kickoff.report.charts.steps import steps
from kickoff.report.charts.svg import tag, ticks, time_ticks
from kickoff.report.charts.timeline import timeline
from kickoff.report.charts.traffic import traffic
from tests.unit.report import cases


def series(**points: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return points


def test_text_and_attributes_of_an_element_are_escaped() -> None:
    assert tag("text", '<b>"&', class_='"><x', aria_label="a", x=1.25) == (
        '<text class="&#34;&gt;&lt;x" aria-label="a" x="1.2">&lt;b&gt;&#34;&amp;</text>'
    )


@pytest.mark.parametrize("top", [0.0007, 0.9, 1, 3, 7.5, 100, 101, 99_999])
@pytest.mark.parametrize("most", [3, 4, 6])
def test_ticks_are_round_few_and_reach_the_top(top: float, most: int) -> None:
    found = ticks(top, most)
    assert found[0] == 0
    assert found[-1] >= top * 0.999999
    assert len(found) <= most + 1
    step = found[1]
    assert math.isclose(step / 10 ** math.floor(math.log10(step) + 1e-9) % 1, 0, abs_tol=1e-6)


@pytest.mark.parametrize("length", [0.3, 9, 66, 500, 86_400 * 30])
def test_times_on_an_axis_stay_within_it(length: float) -> None:
    found = time_ticks(length, 8)
    assert 1 <= len(found) <= 9
    assert found[-1] <= length * 1.000001


def test_the_timeline_names_the_longest_stage_or_the_failure() -> None:
    assert timeline(tables.stages(cases.released()), 60).title == "promote took longest: 1m 06s of 2m 34s"
    assert (
        timeline(tables.stages(cases.rejected_at_smoke()), 60).title
        == "smoke-candidate failed 54 s after the start"
    )


def test_an_abort_is_no_failure_of_its_own() -> None:
    found = tables.stages(cases.inconclusive())
    assert (found[-1].name, found[-1].verdict) == ("abort", Verdict.NOT_APPLICABLE)
    assert timeline(found, 60).title == "perf-baseline ended without a verdict 1m 25s after the start"


def test_a_timeline_of_one_stage_is_not_drawn() -> None:
    found = timeline(tables.stages(cases.run_of(cases.before()[0], planned=cases.plan())), 60)
    assert found.drawings == ()
    assert found.title == "Only validate left evidence: nothing to draw a timeline of"


def test_the_cutover_counts_failures_and_marks_the_decision() -> None:
    good = traffic(cases.released().of("staging")["promote"], "0", 200, 60)
    assert re.fullmatch(rf"0 of about [\d,]+ requests failed while traffic moved to {cases.NEW}", good.title)
    assert ">promoted<" in good.drawings[0]
    assert ">no failed request<" in good.drawings[0]
    back = traffic(cases.rolled_back_after_bake().of("staging")["promote"], "0", 200, 60)
    assert re.fullmatch(r"94 of about [\d,]+ requests failed until traffic was back", back.title)
    assert ">rolled back<" in back.drawings[0]
    assert back.drawings[0].count('class="failed"') == 15


def test_each_step_shows_how_it_was_judged() -> None:
    promote = cases.rolled_back_after_bake().of("staging")["promote"]
    found = traffic(promote, "0", 200, 60)
    assert "judged at 25%: pass; judged at 100%: fail; rolled back after 49 s" in found.description
    assert found.drawings[0].count('class="dot pass"') == 2
    table = steps(promote)
    assert table is not None
    assert ("25%", "error rate of users", "0.00% (0 of 940)", "limit 1%", "pass") in table.rows
    assert steps(replace(promote, series={})) is None


def test_a_rollback_is_marked_also_where_the_evidence_does_not_say_when() -> None:
    promote = cases.rolled_back_after_bake().of("staging")["promote"]
    weights = promote.series["weights"][:2]
    found = traffic(replace(promote, series=promote.series | {"weights": weights}), "0", 200, 60)
    assert ">rolled back<" in found.drawings[0]


def test_a_cutover_of_one_moment_is_drawn_for_its_steps() -> None:
    promote = cases.rolled_back_after_bake().of("staging")["promote"]
    points = [{"t": 1.9, "release": cases.NEW, "colour": "green", "rps": 9.0, "failed": 9}]
    steps_ = [{"t": t, "candidate_percent": percent} for t, percent in ((0.0, 0), (0.4, 25), (2.2, 0))]
    brief = replace(promote, series=series(traffic=points, weights=steps_))
    found = traffic(brief, "0", 200, 60)
    assert ">rolled back<" in found.drawings[0]
    assert "nan" not in found.drawings[0]
    assert traffic(replace(promote, series=series(traffic=points)), "0", 200, 60).drawings == ()


def test_the_words_of_a_failure_stand_at_its_own_cross() -> None:
    drawing = traffic(cases.rolled_back_after_bake().of("staging")["promote"], "0", 200, 60).drawings[0]
    stem = re.search(r'<line x1="([\d.]+)" x2="\1" [^>]*class="failed thin"', drawing)
    words = re.search(r'<text x="([\d.]+)"[^>]*>most at 43 s: 7 failed<', drawing)
    assert stem is not None
    assert words is not None
    assert abs(float(stem[1]) - float(words[1])) <= 4
    crosses = {float(x) + 3.8 for x in re.findall(r'd="M([\d.]+) [\d.]+l[^"]*" class="failed"', drawing)}
    assert min(abs(float(stem[1]) - cross) for cross in crosses) < 0.2


def test_time_runs_forward_whatever_order_the_points_have() -> None:
    points = [(0.0, 1.0), (5.0, 2.0), (4.0, 3.0), (9.0, 1.0)]
    found = lines.figure(Chart("k", "title", "CPU", [Line("candidate", points)], str))
    places = [
        float(x)
        for x in re.findall(
            r"[ML]([\d.]+) ", re.findall(r'd="(M[^"]+)" class="line one"', found.drawings[0])[-1]
        )
    ]
    assert places == sorted(places)


def test_releases_differ_in_more_than_colour() -> None:
    drawing = traffic(cases.released().of("staging")["promote"], "0", 200, 60).drawings[0]
    assert "<circle" in drawing
    assert 'class="mark two"' in drawing
    assert 'class="line two"' in drawing


def test_the_cross_hair_reads_the_values_within_the_drawing() -> None:
    drawing = traffic(cases.released().of("staging")["promote"], "0", 200, 60).drawings[0]
    attribute = re.search(r'data-points="([^"]*)"', drawing)
    assert attribute is not None
    points = json.loads(attribute[1].replace("&#34;", '"'))
    assert len(points) == 66
    assert all(0 <= x <= 840 for x, _ in points)
    assert points[40][1].startswith(f"40.0 s · new release 100% · {cases.NEW} (green) ")


def test_a_long_cutover_keeps_every_failure_and_both_releases_in_the_table() -> None:
    promote = cases.rolled_back_after_bake().of("staging")["promote"]
    found = traffic(promote, "0", 10, 20)
    assert found.title.startswith("94 of")
    assert found.table is not None
    assert {row[1] for row in found.table.rows} == {f"{cases.NEW} (green)", f"{cases.OLD} (blue)"}
    assert "the data file has all" in found.table.note


@pytest.mark.parametrize(
    "point",
    [
        {},
        {"t": "x", "rps": 1},
        {"t": float("nan"), "rps": 1},
        {"t": 1, "rps": float("inf")},
        {"t": True, "rps": 1},
        {"t": 1, "rps": None},
        {"t": [1], "rps": {}},
    ],
)
def test_points_that_are_none_are_left_out(point: dict[str, Any]) -> None:
    promote = replace(cases.promoted(), series=series(traffic=[point] * 9, weights=[point] * 9))
    found = traffic(promote, "0", 200, 60)
    assert found.drawings == ()
    assert found.title == "Too little to draw the cutover: nothing was measured"


@pytest.mark.parametrize("value", [0.0, -5.0])
def test_a_cutover_without_requests_is_not_drawn(value: float) -> None:
    points = [{"t": t, "release": cases.NEW, "rps": value, "failed": 0} for t in range(4)]
    found = traffic(replace(cases.promoted(), series=series(traffic=points)), "0", 200, 60)
    assert found.drawings == ()
    assert found.title.startswith("No request arrived while traffic was moved")


@pytest.mark.parametrize("value", [1e-9, 1e12])
def test_extreme_rates_draw_finite_places(value: float) -> None:
    points = [{"t": t, "release": cases.NEW, "rps": value, "failed": 0} for t in (-3, 0, 4)]
    drawing = traffic(replace(cases.promoted(), series=series(traffic=points)), "0", 200, 60).drawings[0]
    assert "nan" not in drawing
    assert "inf" not in drawing


def test_a_candidate_without_traffic_leaves_its_style_to_nobody() -> None:
    points = [{"t": t, "release": cases.OLD, "colour": "blue", "rps": 9} for t in range(5)]
    drawing = traffic(replace(cases.promoted(), series=series(traffic=points)), "0", 200, 60).drawings[0]
    assert "line two" in drawing
    assert "mark one" not in drawing


def test_the_distribution_states_its_percentiles_and_samples() -> None:
    found = distribution(cases.measured(), "0")
    half = re.fullmatch(r"Half of the requests took up to ([\d.]+) ms, 95% up to ([\d.]+) ms", found.title)
    assert half is not None
    assert 8 < float(half[1]) < 10
    assert 19 < float(half[2]) < 26
    assert ">candidate, n=2,405<" in found.drawings[0]
    assert ">live, n=2,400<" in found.drawings[0]
    assert found.note == ""


def test_few_requests_make_no_distribution() -> None:
    few = replace(cases.measured(), series=series(latency_histogram=[{"le_ms": 5, "count": 19}]))
    found = distribution(few, "0")
    assert (found.drawings, found.title) == ((), "Too little for a distribution: 19 requests succeeded")
    assert found.table is not None


@pytest.mark.parametrize(
    "buckets",
    [
        [{"le_ms": 5, "count": 40}],
        [{"le_ms": 0, "count": 40}, {"le_ms": 1, "count": 40}],
        [{"le_ms": 2, "count": 40}, {"le_ms": 2, "count": 40}],
        [{"le_ms": 9, "count": 40}, {"le_ms": 2, "count": -1}, {"le_ms": "x", "count": 3}],
        [{"le_ms": 1e-6, "count": 40}, {"le_ms": 1e9, "count": 40}],
    ],
)
def test_odd_buckets_draw_finite_places(buckets: list[dict[str, Any]]) -> None:
    found = distribution(replace(cases.measured(), series=series(latency_histogram=buckets)), "0")
    assert len(found.drawings) == 2
    assert "nan" not in found.drawings[0]
    assert "inf" not in found.drawings[0]


def test_percentiles_name_the_endpoint_that_moved_most() -> None:
    perf = cases.measured()
    found = percentiles(perf, tables.endpoints(perf), "0")
    assert found is not None
    assert found.title == (
        "No p95 is shown to be slower than live; slowest endpoint: POST /predictions with a p95 of 26.5 ms"
    )
    assert found.note == "The limit of 1,000 ms lies beyond the chart."
    first = cases.measured(compared=False)
    alone = percentiles(first, tables.endpoints(first), "0")
    assert alone is not None
    assert alone.title == "Slowest endpoint: POST /predictions with a p95 of 26.5 ms"
    assert "mark two" not in alone.drawings[0]


def test_a_limit_within_reach_is_drawn() -> None:
    perf = cases.measured()
    perf.facts["scenarios"] = [{"name": "smoke", "max_response_ms": 60.0}]
    found = percentiles(perf, tables.endpoints(perf), "0")
    assert found is not None
    assert ">limit 60.0 ms<" in found.drawings[0]


def test_endpoints_of_any_shape_give_rows() -> None:
    odd = replace(
        cases.measured(),
        facts={
            "endpoints": [{}, 5, None, {"name": ["x"], "p95_ms": "1", "requests": True}],
            "comparison": {"a": 1},
        },
    )
    found = tables.endpoints(odd)
    assert len(found) == 2
    assert percentiles(odd, found, "0") is None
    assert {endpoint.effect for endpoint in found} == {None}
