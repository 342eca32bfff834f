"""The page of a performance check: verdict, rules, charts of the run, endpoints. A pure function."""

from collections.abc import Mapping, Sequence
from typing import Any

from kickoff.evidence import Evidence, Verdict
from kickoff.report import performance_page, tables
from kickoff.report.charts import lines
from kickoff.report.charts.latency import distribution, percentiles
from kickoff.report.charts.lines import Chart, Line, Marked
from kickoff.report.charts.svg import Figure, Table
from kickoff.report.messages import DASH, count, duration, line, milliseconds, moment, number, signed
from kickoff.report.performance_page import Content
from kickoff.report.serving import live_down

_TITLES = {Verdict.PASS: "PASSED", Verdict.FAIL: "REJECTED"}
_MOST_POINTS = 300
_MOST_MARKS = 60
_SIDES = ("candidate", "live")


def render(evidence: Evidence) -> str:
    """Return the page of one performance check."""
    facts = evidence.facts
    generator = _mapping(facts.get("generator"))
    endpoints = tables.endpoints(evidence)
    latency = [distribution(evidence, "load"), percentiles(evidence, endpoints, "load")]
    names = [line(entry.get("name"), 40) for entry in _mappings(facts.get("scenarios"))]
    where = f" in {line(evidence.environment, 40)}" if evidence.environment else ""
    return performance_page.render(
        Content(
            verdict=evidence.verdict,
            title=_TITLES.get(evidence.verdict, evidence.verdict.word.upper()),
            subject=f"{', '.join(names)} on {line(evidence.service, 60)}{where}",
            why=line(evidence.summary, 600),
            warnings=[
                line(generator.get(key)) for key in ("saturated", "near_ceiling") if generator.get(key)
            ],
            facts=_facts(evidence, generator),
            rules=evidence.rules,
            sections=[
                ("Over time", _over_time(evidence)),
                ("Response times", [figure for figure in latency if figure is not None]),
                ("The service's resources", _resources(evidence)),
            ],
            tables=[
                ("Endpoints", _endpoints(evidence)),
                ("Comparison with live", _comparison(evidence)),
                ("Errors", _errors(evidence)),
                ("Slow requests", _slow(evidence)),
            ],
        )
    )


def _facts(evidence: Evidence, generator: Mapping[str, Any]) -> list[tuple[str, str]]:
    runner = _mapping(evidence.facts.get("runner"))
    begun, ended = moment(evidence.started), moment(evidence.finished)
    took = duration((ended - begun).total_seconds()) if begun and ended else ""
    able = number(generator.get("requests_per_core"))
    found = [
        ("release", evidence.release),
        ("address", evidence.inputs.get("host")),
        ("compared with", evidence.inputs.get("against")),
        ("live", live_down([evidence])),
        ("started", f"{evidence.started.replace('T', ' ')[:19]} UTC"),
        ("took", took),
        ("runner", runner.get("class")),
        ("processor", runner.get("processor")),
        ("load generators", generator.get("processes")),
        ("generator's processor", f"{(number(generator.get('cpu')) or 0.0) * 100:.0f}% of a core"),
        ("generator's lag, p95", milliseconds(number(generator.get("lag_p95_ms")))),
        ("generator's ceiling", f"about {count(able)} requests/s per core" if able else ""),
        ("raw samples", evidence.facts.get("samples_file")),
    ]
    return [(name, line(value, 200)) for name, value in found if value]


def _over_time(evidence: Evidence) -> list[Figure]:
    candidate, live = (
        _thin(_mappings(evidence.series.get(name))) for name in ("throughput", "throughput_live")
    )
    both = [(name, points) for name, points in zip(_SIDES, (candidate, live), strict=True) if points]
    failed = [
        Marked(number(point.get("t")) or 0.0, f"{count(number(point.get('failed')))} failed")
        for point in candidate
        if number(point.get("failed"))
    ]
    total = sum(number(point.get("failed")) or 0.0 for point in _mappings(evidence.series.get("throughput")))
    rate = Chart(
        key="rate",
        title=f"{count(total)} requests of the candidate failed" if total else "No request failed",
        quantity="Requests per second",
        lines=[Line(name, _values(points, "rps")) for name, points in both],
        say=lambda value: f"{value:,.10g}" if value == round(value) else f"{value:,.1f}",
        marks=failed[:_MOST_MARKS],
        unmarked="no failed request",
    )
    slow = Chart(
        key="percentiles-time",
        title="Response times of the candidate over time",
        quantity="Response time",
        lines=[Line(name, _values(candidate, f"{name}_ms")) for name in ("p99", "p95", "p50")],
        say=milliseconds,
    )
    figures = [lines.figure(rate, _time_table(candidate)), lines.figure(slow)]
    if live:
        against = Chart(
            key="p95-time",
            title="95th percentile of candidate and live over time",
            quantity="p95",
            lines=[Line(name, _values(points, "p95_ms")) for name, points in both],
            say=milliseconds,
        )
        figures.append(lines.figure(against))
    return figures


def _time_table(points: Sequence[Mapping[str, Any]]) -> Table:
    body = [
        (
            f"{number(point.get('t')) or 0.0:.0f} s",
            line(point.get("scenario"), 40),
            f"{number(point.get('rps')) or 0.0:,.1f}",
            count(number(point.get("failed"))),
            *(milliseconds(number(point.get(f"{name}_ms"))) for name in ("p50", "p95", "p99")),
        )
        for point in points[:: -(-len(points) // 60) or 1]
    ]
    columns = ("time", "scenario", "requests/s", "failed", "p50", "p95", "p99")
    return Table(columns, body, frozenset({0, 2, 3, 4, 5, 6}))


def _resources(evidence: Evidence) -> list[Figure]:
    fact = _mapping(evidence.facts.get("resources"))
    points = _mappings(evidence.series.get("resources"))
    note = line(fact.get("unmeasured"), 200)
    note = f"Not everything was measured: {note}." if note else ""
    sides = {name: _thin([point for point in points if point.get("arm") == name]) for name in _SIDES}
    found = [(name, entry) for name, entry in sides.items() if entry]
    table = Table(
        ("side", "processor, mean", "processor, most", "memory, most", "memory, growth", "answers"),
        [
            (
                line(side.get("arm"), 20),
                *(f"{(number(side.get(key)) or 0.0) * 100:.0f}%" for key in ("cpu_mean", "cpu_max")),
                f"{number(side.get('memory_max_mb')) or 0.0:.1f} MB",
                f"{number(side.get('memory_growth_mb')) or 0.0:+.1f} MB",
                f"{number(side.get('answers_mb')) or 0.0:.2f} MB",
            )
            for side in _mappings(fact.get("sides"))
        ],
        frozenset({1, 2, 3, 4, 5}),
    )
    processor = Chart(
        key="processor",
        title="Processor that the service used",
        quantity="Processor, share of one core",
        lines=[Line(name, [(x, y * 100) for x, y in _values(entry, "cpu")]) for name, entry in found],
        say=lambda value: f"{value:.0f}%",
    )
    memory = Chart(
        key="memory",
        title="Memory that the service held",
        quantity="Resident memory",
        lines=[Line(name, _values(entry, "memory_mb")) for name, entry in found],
        say=lambda value: f"{value:,.0f} MB",
    )
    traffic = [("throughput", "candidate"), ("throughput_live", "live")]
    network = Chart(
        key="network",
        title="Network: answers that the load generator received",
        quantity="Bodies of answers, kB per second",
        lines=[
            Line(
                name,
                [(x, y / 1000) for x, y in _values(_thin(_mappings(evidence.series.get(key))), "received")],
            )
            for key, name in traffic
            if evidence.series.get(key)
        ],
        say=lambda value: f"{value:,.1f}",
    )
    return [lines.figure(processor, table, note), lines.figure(memory), lines.figure(network)]


def _endpoints(evidence: Evidence) -> Table:
    found = [
        *(("candidate", row) for row in _mappings(evidence.facts.get("endpoints"))),
        *(("live", row) for row in _mappings(evidence.facts.get("endpoints_live"))),
    ]
    body = [
        (
            line(row.get("name"), 100),
            line(row.get("scenario"), 40),
            side,
            count(number(row.get("requests"))),
            count(number(row.get("failures"))),
            *(milliseconds(number(row.get(f"{name}_ms"))) for name in ("mean", "p50", "p95", "p99", "max")),
        )
        for side, row in found
    ]
    columns = ("endpoint", "scenario", "side", "requests", "failed", "mean", "p50", "p95", "p99", "slowest")
    note = "" if body else "No request was sent."
    return Table(columns, body, frozenset(range(3, 10)), note)


def _comparison(evidence: Evidence) -> Table:
    body = [
        (
            line(row.get("endpoint"), 100),
            line(row.get("kind"), 20),
            count(number(row.get("pairs"))),
            _percent(row.get("effect")),
            f"{_percent(row.get('low'))} … {_percent(row.get('high'))}",
            f"{number(row.get('p_value')) or 0.0:.2g}",
            _percent(row.get("detectable")),
            line(row.get("verdict"), 20),
        )
        for row in _mappings(evidence.facts.get("comparison"))
    ]
    columns = ("endpoint", "metric", "pairs", "effect", "95% interval", "p", "would show", "result")
    note = (
        "Effect of the candidate against live: relative for times, points for shares. The column before the "
        "last one is the smallest effect that so many pairs would have shown."
        if body
        else f"Nothing was compared{f': live {down}' if (down := live_down([evidence])) else ''}."
    )
    return Table(columns, body, frozenset({2, 3, 4, 5, 6}), note)


def _errors(evidence: Evidence) -> Table:
    body = [
        (
            line(row.get("endpoint"), 100),
            line(row.get("arm"), 20),
            line(row.get("error"), 200),
            count(number(row.get("count"))),
        )
        for row in _mappings(evidence.facts.get("errors"))
    ]
    return Table(
        ("endpoint", "side", "error", "requests"), body, frozenset({3}), "" if body else "No request failed."
    )


def _slow(evidence: Evidence) -> Table:
    body = [
        (
            line(row.get("endpoint"), 100),
            line(row.get("arm"), 20),
            milliseconds(number(row.get("ms"))),
            line(row.get("status"), 10),
            line(row.get("error"), 120),
        )
        for row in _mappings(evidence.facts.get("slow_requests"))
    ]
    note = "" if body else "No request took longer than 5 seconds."
    return Table(("endpoint", "side", "time", "status", "error"), body, frozenset({2, 3}), note)


def _percent(value: object) -> str:
    found = number(value)
    return DASH if found is None else signed(found * 100, 1)


def _values(points: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    pairs = ((number(point.get("t")), number(point.get(key))) for point in points)
    return [(t, value) for t, value in pairs if t is not None and value is not None]


def _thin(points: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Leave out points that a chart could not show, but none that tells of a failure."""
    every = -(-len(points) // _MOST_POINTS) or 1
    return [point for index, point in enumerate(points) if index % every == 0 or point.get("failed")]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
