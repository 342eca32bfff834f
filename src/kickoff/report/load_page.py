"""The page of a performance check: verdict, rules, charts of the run, endpoints. A pure function."""

from collections.abc import Mapping, Sequence
from typing import Any

from kickoff.evidence import Evidence, Verdict
from kickoff.performance.samples import FEWEST
from kickoff.report import performance_page, tables
from kickoff.report.charts import lines
from kickoff.report.charts.latency import distribution, percentiles
from kickoff.report.charts.lines import Chart, Line, Marked
from kickoff.report.charts.svg import Figure, Table
from kickoff.report.language import headings, marked, say, told
from kickoff.report.messages import (
    DASH,
    count,
    duration,
    line,
    milliseconds,
    moment,
    number,
    plural,
    second,
    signed,
    significant,
)
from kickoff.report.performance_page import Content
from kickoff.report.serving import live_down

_TITLES = {
    Verdict.PASS: marked("PASSED"),
    Verdict.FAIL: marked("REJECTED"),
    Verdict.INCONCLUSIVE: marked("INCONCLUSIVE"),
    Verdict.NOT_APPLICABLE: marked("NOT APPLICABLE"),
}
_MOST_POINTS = 300
_MOST_MARKS = 60
_SIDES = (marked("candidate"), marked("live"))


def render(evidence: Evidence) -> str:
    """Return the page of one performance check."""
    facts = evidence.facts
    generator = _mapping(facts.get("generator"))
    endpoints = tables.endpoints(evidence)
    latency = [distribution(evidence, "load"), percentiles(evidence, endpoints, "load")]
    names = [line(entry.get("name"), 40) for entry in _mappings(facts.get("scenarios"))]
    where = (
        say(" in {environment}", environment=line(evidence.environment, 40)) if evidence.environment else ""
    )
    return performance_page.render(
        Content(
            verdict=evidence.verdict,
            title=say(_TITLES[evidence.verdict]),
            subject=say(
                "{scenarios} on {service}{where}",
                scenarios=", ".join(names),
                service=line(evidence.service, 60),
                where=where,
            ),
            why=told(line(evidence.summary, 600)),
            warnings=[
                line(generator.get(key)) for key in ("saturated", "near_ceiling") if generator.get(key)
            ],
            facts=_facts(evidence, generator),
            rules=evidence.rules,
            sections=[
                (say("Over time"), _over_time(evidence)),
                (say("Response times"), [figure for figure in latency if figure is not None]),
                (say("The service's resources"), _resources(evidence)),
            ],
            tables=[
                (say("Endpoints"), _endpoints(evidence)),
                (say("Comparison with live"), _comparison(evidence)),
                (say("Errors"), _errors(evidence)),
                (say("Slow requests"), _slow(evidence)),
            ],
        )
    )


def _facts(evidence: Evidence, generator: Mapping[str, Any]) -> list[tuple[str, str]]:
    runner = _mapping(evidence.facts.get("runner"))
    begun, ended = moment(evidence.started), moment(evidence.finished)
    took = duration((ended - begun).total_seconds()) if begun and ended else ""
    able, load = number(generator.get("requests_per_core")), number(runner.get("load"))
    found = [
        (say("release"), evidence.release),
        (say("address"), evidence.inputs.get("host")),
        (say("compared with"), evidence.inputs.get("against")),
        (say("live"), live_down([evidence])),
        (say("started"), second(evidence.started)),
        (say("took"), took),
        (say("runner"), runner.get("class")),
        (
            say("load average"),
            say("{load:g} on {processors} processors", load=load, processors=runner.get("processors"))
            if load is not None
            else "",
        ),
        (say("processor"), runner.get("processor")),
        (say("load generators"), generator.get("processes")),
        (
            say("generator's processor"),
            say("{cpu:.0f}% of a core", cpu=(number(generator.get("cpu")) or 0.0) * 100),
        ),
        (say("generator's lag, p95"), milliseconds(number(generator.get("lag_p95_ms")))),
        (
            say("generator's ceiling"),
            say("about {able} requests/s per core", able=count(able)) if able else "",
        ),
        (say("raw samples"), evidence.facts.get("samples_file")),
    ]
    return [(name, line(value, 200)) for name, value in found if value]


def _over_time(evidence: Evidence) -> list[Figure]:
    candidate, live = (
        _thin(_mappings(evidence.series.get(name))) for name in ("throughput", "throughput_live")
    )
    both = [(name, points) for name, points in zip(_SIDES, (candidate, live), strict=True) if points]
    failed = [
        Marked(
            number(point.get("t")) or 0.0, say("{failed} failed", failed=count(number(point.get("failed"))))
        )
        for point in candidate
        if number(point.get("failed"))
    ]
    total = sum(number(point.get("failed")) or 0.0 for point in _mappings(evidence.series.get("throughput")))
    rate = Chart(
        key="rate",
        title=say("{requests} of the candidate failed", requests=plural(round(total), "request"))
        if total
        else say("No request failed"),
        quantity=say("Requests per second"),
        lines=[Line(say(name), _values(points, "rps")) for name, points in both],
        say=lambda value: f"{value:,.10g}" if value == round(value) else f"{value:,.1f}",
        marks=failed[:_MOST_MARKS],
        unmarked=say("no failed request"),
    )
    slow = Chart(
        key="percentiles-time",
        title=say(
            "Response times of the candidate over time, each of its last {fewest} requests or more",
            fewest=FEWEST,
        ),
        quantity=say("Response time"),
        lines=[Line(name, _values(candidate, f"{name}_ms")) for name in ("p99", "p95", "p50")],
        say=milliseconds,
    )
    figures = [lines.figure(rate, _time_table(candidate)), lines.figure(slow)]
    if live:
        against = Chart(
            key="p95-time",
            title=say(
                "p95 of candidate and live over time, each of the last {fewest} requests or more",
                fewest=FEWEST,
            ),
            quantity="p95",
            lines=[Line(say(name), _values(points, "p95_ms")) for name, points in both],
            say=milliseconds,
        )
        figures.append(lines.figure(against))
    return figures


def _time_table(points: Sequence[Mapping[str, Any]]) -> Table:
    body = [
        (
            say("{seconds:.0f} s", seconds=number(point.get("t")) or 0.0),
            line(point.get("scenario"), 40),
            f"{number(point.get('rps')) or 0.0:,.1f}",
            count(number(point.get("failed"))),
            *(milliseconds(number(point.get(f"{name}_ms"))) for name in ("p50", "p95", "p99")),
        )
        for point in points[:: -(-len(points) // 60) or 1]
    ]
    columns = headings("time", "scenario", "requests/s", "failed", "p50", "p95", "p99")
    return Table(columns, body, frozenset({0, 2, 3, 4, 5, 6}))


def _resources(evidence: Evidence) -> list[Figure]:
    fact = _mapping(evidence.facts.get("resources"))
    points = _mappings(evidence.series.get("resources"))
    note = told(line(fact.get("unmeasured"), 200))
    note = say("Not everything was measured: {note}.", note=note) if note else ""
    sides = {name: _thin([point for point in points if point.get("arm") == name]) for name in _SIDES}
    found = [(name, entry) for name, entry in sides.items() if entry]
    table = Table(
        headings("side", "processor, mean", "processor, most", "memory, most", "memory, growth", "answers"),
        [
            (
                told(line(side.get("arm"), 20)),
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
        title=say("Processor that the service used"),
        quantity=say("Processor, share of one core"),
        lines=[Line(say(name), [(x, y * 100) for x, y in _values(entry, "cpu")]) for name, entry in found],
        say=lambda value: f"{significant(value)}%",
    )
    memory = Chart(
        key="memory",
        title=say("Memory that the service held"),
        quantity=say("Resident memory"),
        lines=[Line(say(name), _values(entry, "memory_mb")) for name, entry in found],
        say=lambda value: f"{significant(value)} MB",
    )
    traffic = [("throughput", "candidate"), ("throughput_live", "live")]
    network = Chart(
        key="network",
        title=say("Network: answers that the load generator received"),
        quantity=say("Bodies of answers, kB per second"),
        lines=[
            Line(
                say(name),
                [(x, y / 1000) for x, y in _values(_thin(_mappings(evidence.series.get(key))), "received")],
            )
            for key, name in traffic
            if evidence.series.get(key)
        ],
        say=significant,
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
            say(side),
            count(number(row.get("requests"))),
            count(number(row.get("failures"))),
            milliseconds(number(row.get("mean_ms"))),
            *(
                f"n < {FEWEST}" if tables.few(row) else milliseconds(number(row.get(f"{name}_ms")))
                for name in ("p50", "p95", "p99")
            ),
            milliseconds(number(row.get("max_ms"))),
        )
        for side, row in found
    ]
    columns = headings(
        "endpoint", "scenario", "side", "requests", "failed", "mean", "p50", "p95", "p99", "slowest"
    )
    note = (
        say("Fewer than {fewest} requests make no percentile.", fewest=FEWEST)
        if body
        else say("No request was sent.")
    )
    return Table(columns, body, frozenset(range(3, 10)), note)


def _comparison(evidence: Evidence) -> Table:
    body = [
        (
            told(line(row.get("endpoint"), 100)),
            told(line(row.get("kind"), 20)),
            count(number(row.get("pairs"))),
            found.size if found else DASH,
            found.basis if found else DASH,
            found.interval if found else DASH,
            f"{number(row.get('p_value')) or 0.0:.2g}",
            _percent(row.get("detectable")),
            found.word if found else told(line(row.get("verdict"), 20).replace("-", " ")),
        )
        for row in _mappings(evidence.facts.get("comparison"))
        for found in [tables.effect(row)]
    ]
    columns = headings(
        "endpoint", "metric", "pairs", "effect", "from", "interval", "p", "would show", "result"
    )
    note = (
        say(
            "Effect of the candidate against live: relative for times, points for shares. That on the p50 is "
            "a mean within pairs, which the medians of both sides need not agree with. The column before the "
            "last one is the smallest effect that so many pairs would have shown."
        )
        if body
        else say("Nothing was compared: live {state}.", state=down)
        if (down := live_down([evidence]))
        else say("Nothing was compared.")
    )
    return Table(columns, body, frozenset(range(2, 8)), note)


def _errors(evidence: Evidence) -> Table:
    body = [
        (
            line(row.get("endpoint"), 100),
            told(line(row.get("arm"), 20)),
            line(row.get("error"), 200),
            count(number(row.get("count"))),
        )
        for row in _mappings(evidence.facts.get("errors"))
    ]
    return Table(
        headings("endpoint", "side", "error", "requests"),
        body,
        frozenset({3}),
        "" if body else say("No request failed."),
    )


def _slow(evidence: Evidence) -> Table:
    body = [
        (
            line(row.get("endpoint"), 100),
            told(line(row.get("arm"), 20)),
            milliseconds(number(row.get("ms"))),
            line(row.get("status"), 10),
            line(row.get("error"), 120),
        )
        for row in _mappings(evidence.facts.get("slow_requests"))
    ]
    note = "" if body else say("No request took longer than 5 seconds.")
    return Table(
        headings("endpoint", "side", "time", "status", "error"),
        body,
        frozenset({2, 3}),
        note,
    )


def _percent(value: object) -> str:
    found = number(value)
    return DASH if found is None else signed(found * 100, 1)


def _values(points: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    pairs = ((number(point.get("t")), number(point.get(key))) for point in points)
    return sorted((t, value) for t, value in pairs if t is not None and value is not None)


def _thin(points: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Leave out points that a chart could not show, but none that tells of a failure."""
    every = -(-len(points) // _MOST_POINTS) or 1
    return [point for index, point in enumerate(points) if index % every == 0 or point.get("failed")]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
