"""Charts of latency: the candidate's distribution and percentiles beside those of the live release."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from kickoff.evidence import Evidence, Verdict, fields
from kickoff.performance.samples import FEWEST, LIVE
from kickoff.report import measures
from kickoff.report.charts.svg import NARROW, Figure, Table, draw, label, marker, path, tag, ticks
from kickoff.report.language import headings, marked, say
from kickoff.report.messages import DASH, columns_of, count, milliseconds, number, plural
from kickoff.report.tables import Endpoint

_MOST_ENDPOINTS = 8
_RATIO = 10**0.1
_SHAPES = (("p50", "circle"), ("p95", "diamond"), ("p99", "triangle"))
Bucket = tuple[float, float, float]
"""Lower edge, upper edge (milliseconds) and share of the requests."""


def distribution(perf: Evidence | None, environment: str) -> Figure:
    """Return the chart of how response times are distributed, candidate and live."""
    key = f"latency-{environment}"
    if perf is None:
        return Figure(key, say("No response times: the performance check left no evidence"), "")
    candidate = _histogram(perf.series.get("latency_histogram", []))
    live = _histogram(perf.series.get("latency_histogram_live", []))
    total, total_live = (sum(n for _, _, n in side) for side in (candidate, live))
    table = _distribution_table(candidate, live) if candidate else None
    if total < FEWEST:
        found = plural(round(total), "request") if total else say("no request")
        return Figure(
            key, say("Too little for a distribution: {found} succeeded", found=found), "", table=table
        )
    half = measures.percentile(perf, "p50") or _quantile(candidate, 0.5)
    most = measures.percentile(perf, "p95") or _quantile(candidate, 0.95)
    title = say(
        "Half of the requests took up to {half}, 95% up to {most}",
        half=milliseconds(half),
        most=milliseconds(most),
    )
    sides = [("two", marked("live"), live)] if total_live >= FEWEST else []
    sides.append(("one", marked("candidate"), candidate))
    counts = say(" and ").join(
        say("{amount} of the {side}", amount=count(sum(n for *_, n in points)), side=say(name))
        for _, name, points in sides
    )
    description = say(
        "Share of the requests by response time on a logarithmic axis. Requests: {counts}. "
        "Candidate: median {half}, 95th percentile {most}.",
        counts=counts,
        half=milliseconds(half),
        most=milliseconds(most),
    )
    if len(sides) > 1:
        high = measures.percentile(perf, "p95", LIVE) or _quantile(live, 0.95)
        description += say(" Live: 95th percentile {high}.", high=milliseconds(high))
    why = (
        say("Live was down.")
        if perf.facts.get("live_down")
        else say("There was no live release to compare with.")
    )
    note = "" if len(sides) > 1 else why

    def paint(width: int) -> tuple[float, list[Markup]]:
        return _paint_distribution(sides, width)

    return Figure(key, title, description, draw(key, title, description, paint), table, note)


def percentiles(perf: Evidence | None, endpoints: Sequence[Endpoint], environment: str) -> Figure | None:
    """Return the chart of p50, p95 and p99 of each endpoint, candidate above live; ``None`` without data."""
    key = f"percentiles-{environment}"
    drawn = [e for e in endpoints if None not in e.candidate.values()][:_MOST_ENDPOINTS]
    if perf is None or not drawn:
        return None
    compared = [e for e in drawn if e.live.get("p95")]
    title = _finding(drawn)
    said = "; ".join(f"{e.name}: {_said(e)}" for e in drawn)
    description = say("Percentiles of the response time of each endpoint. {said}.", said=said)
    limit = _limit(perf)
    values = [v for e in drawn for side in (e.candidate, e.live) for v in side.values() if v is not None]
    top = max(values)
    within = limit is not None and limit <= top * 2.5
    notes = (
        []
        if within or limit is None
        else [say("The limit of {limit} lies beyond the chart.", limit=milliseconds(limit))]
    )
    if few := [e.name for e in endpoints if e.few]:
        notes.append(
            say(
                "Not drawn, with fewer than {fewest} requests: {names}.",
                fewest=FEWEST,
                names=", ".join(few[:6]),
            )
        )

    def paint(width: int) -> tuple[float, list[Markup]]:
        bound = max(top, limit) if within and limit is not None else top
        return _paint_percentiles(drawn, bool(compared), bound, limit if within else None, width)

    return Figure(key, title, description, draw(key, title, description, paint), note=" ".join(notes))


def _finding(drawn: Sequence[Endpoint]) -> str:
    worst = max(drawn, key=lambda e: e.candidate["p95"] or 0.0)
    slowest = say(
        "slowest endpoint: {name} with a p95 of {p95}",
        name=worst.name,
        p95=milliseconds(worst.candidate["p95"]),
    )
    effects = [(e, e.effect) for e in drawn if e.effect is not None]
    if not effects:
        return slowest[0].upper() + slowest[1:]
    slower = next(((e, found) for e, found in effects if found.verdict == Verdict.FAIL), None)
    if slower is not None:
        endpoint, found = slower
        return say(
            "p95 of {name} is slower than live: {size}, {basis} in {pairs} pairs",
            name=endpoint.name,
            size=found.size,
            basis=found.basis,
            pairs=found.pairs,
        )
    if all(found.verdict == Verdict.PASS for _, found in effects):
        return say("No p95 is shown to be slower than live; {slowest}", slowest=slowest)
    return say("Not every p95 could be told from live's; {slowest}", slowest=slowest)


def _said(endpoint: Endpoint) -> str:
    candidate = ", ".join(f"{name} {milliseconds(value)}" for name, value in endpoint.candidate.items())
    live = ", ".join(f"{name} {milliseconds(value)}" for name, value in endpoint.live.items() if value)
    return say("candidate {candidate}", candidate=candidate) + (
        say("; live {live}", live=live) if live else ""
    )


def _limit(perf: Evidence) -> float | None:
    """Return the limit of the p95 in milliseconds, when all scenarios have the same."""
    scenarios = fields.read(perf.facts, fields.Measured).get("scenarios", [])
    found = {number(scenario.get("max_response_ms")) for scenario in scenarios}
    return found.pop() if len(found) == 1 else None


def _histogram(points: Sequence[Mapping[str, object]]) -> list[Bucket]:
    edges = []
    for point in points[:500]:
        edge, amount = number(point.get("le_ms")), number(point.get("count"))
        if edge is not None and edge > 0 and amount is not None and amount >= 0:
            edges.append((edge, amount))
    edges.sort()
    lows = [edges[0][0] / _RATIO, *(edge for edge, _ in edges)] if edges else []
    return [
        (low, edge, amount) for low, (edge, amount) in zip(lows, edges, strict=False) if edge > low or amount
    ]


def _quantile(buckets: Sequence[Bucket], share: float) -> float:
    """Return a percentile, interpolated within its bucket on the logarithmic scale."""
    wanted = share * sum(n for *_, n in buckets)
    seen = 0.0
    for low, high, amount in buckets:
        if amount and seen + amount >= wanted:
            return float(low * (high / low) ** ((wanted - seen) / amount))
        seen += amount
    return buckets[-1][1]


def _distribution_table(candidate: Sequence[Bucket], live: Sequence[Bucket]) -> Table:
    sides: list[dict[float, float]] = [{high: n for _, high, n in side} for side in (candidate, live)]
    edges = sorted({edge for side in sides for edge in side})
    rows = [
        (milliseconds(edge), count(sides[0].get(edge, 0)), count(sides[1].get(edge, 0)) if live else DASH)
        for edge in edges
    ]
    return Table(headings("up to", "candidate", "live"), rows[:200], frozenset({0, 1, 2}))


def _paint_distribution(
    sides: Sequence[tuple[str, str, Sequence[Bucket]]], width: int
) -> tuple[float, list[Markup]]:
    left, right, top, bottom = 72.0, 12.0, 40.0, 40.0 + (120 if width == NARROW else 150)
    low = min(side[0][0] for *_, side in sides)
    high = max(side[-1][1] for *_, side in sides)
    span = math.log(high / low) or 1.0
    shares = {name: [(a, b, n / sum(m for *_, m in side)) for a, b, n in side] for _, name, side in sides}
    levels = ticks(max(n for side in shares.values() for *_, n in side) * 100, 3)

    def x(value: float) -> float:
        return left + math.log(value / low) / span * (width - left - right)

    def y(share: float) -> float:
        return bottom - share * 100 / levels[-1] * (bottom - top)

    content = []
    for value in levels:
        place = y(value / 100)
        kind = "base" if value == 0 else "grid"
        content.append(tag("line", x1=left, x2=width - right, y1=place, y2=place, class_=kind))
        content.append(label(left - 6, place + 4, f"{value:g}%", "axis", "end"))
    last = -100.0
    for value in _round_times(low, high):
        anchor = "end" if x(value) > width - right - 16 else "middle"
        if x(value) - last > (66 if anchor == "end" else 44):
            last = x(value)
            content.append(tag("line", x1=last, x2=last, y1=bottom, y2=bottom + 4, class_="base"))
            content.append(label(last, bottom + 18, say("{value:g} ms", value=value), "axis", anchor))
    offset = 2.0
    legend, marks = [], []
    for kind, name, side in reversed(sides):
        text = f"{say(name)}, n={count(sum(n for *_, n in side))}"
        legend += [_swatch(offset, kind), label(offset + 24, 12, text)]
        offset += 46 + 6.8 * columns_of(text)
    for index, (kind, name, side) in enumerate(sides):
        outline = [(x(side[0][0]), bottom)]
        for a, b, share in shares[name]:
            outline += [(x(a), y(share)), (x(b), y(share))]
        outline.append((x(side[-1][1]), bottom))
        content.append(path(outline, f"area {kind}", close=True))
        content.append(path(outline, f"line {kind} thin"))
        row = bottom + 38 + 18 * (len(sides) - 1 - index)
        marks.append(label(2, row + 4, say(name), "small"))
        marks.append(tag("line", x1=left, x2=width - right, y1=row, y2=row, class_="grid"))
        for word, shape in _SHAPES:
            place = x(_quantile(side, int(word[1:]) / 100))
            marks.append(marker(shape, place, row, f"mark {kind}", 4.2))
    end = bottom + 38 + 18 * len(sides)
    return end + 16, [*legend, *content, *marks, *_shape_legend(2, end + 8)]


def _paint_percentiles(
    drawn: Sequence[Endpoint], compared: bool, top: float, limit: float | None, width: int
) -> tuple[float, list[Markup]]:
    narrow = width == NARROW
    left = 4.0 if narrow else min(16 + 7.2 * max(len(e.name[:34]) for e in drawn), 300.0)
    right = 20.0
    lanes = (("one", True), ("two", False)) if compared else (("one", True),)
    step = (24.0 if narrow else 12.0) + 16.0 * len(lanes)
    begin = 30.0
    bottom = begin + step * len(drawn)
    levels = ticks(top, 3 if narrow else 6)
    scale = (width - left - right) / levels[-1]
    content = []
    offset = 2.0
    for kind, first in lanes:
        word = say("candidate") if first else say("live")
        content += [_swatch(offset, kind), label(offset + 24, 12, word)]
        offset += 46 + 6.8 * columns_of(word)
    for value in levels:
        place = left + value * scale
        content.append(tag("line", x1=place, x2=place, y1=begin - 6, y2=bottom, class_="grid"))
        anchor = "start" if narrow and not value else "end" if place > width - 24 else "middle"
        content.append(
            label(place, bottom + 16, say("{value:,.10g} ms", value=value) if value else "0", "axis", anchor)
        )
    if limit is not None:
        place = left + limit * scale
        late = place > width * 0.75
        content.append(tag("line", x1=place, x2=place, y1=begin - 10, y2=bottom, class_="limit"))
        words = say("limit {limit}", limit=milliseconds(limit))
        content.append(
            label(
                place + (-6 if late else 6), begin - 6, words, "fail-text small", "end" if late else "start"
            )
        )
    for index, endpoint in enumerate(drawn):
        y = begin + step * index
        content.append(
            label(
                2 if narrow else 0,
                y + (12 if narrow else step / 2 + 4),
                endpoint.name[: 44 if narrow else 34],
            )
        )
        y += 24 if narrow else 6
        for lane, (kind, first) in enumerate(lanes):
            side = endpoint.candidate if first else endpoint.live
            places = [left + value * scale for value in side.values() if value is not None]
            row = y + 16 * lane + 8
            if len(places) < len(_SHAPES):
                continue
            content.append(path([(places[0], row), (places[-1], row)], f"line {kind} thin"))
            content += [
                marker(shape, place, row, f"mark {kind}", 4.2)
                for place, (_, shape) in zip(places, _SHAPES, strict=True)
            ]
    return bottom + 40, [*content, *_shape_legend(2, bottom + 34)]


def _swatch(x: float, kind: str) -> Markup:
    return tag("rect", x=x, y=3, width=17, height=10, rx=2, class_=f"swatch {kind}")


def _shape_legend(x: float, y: float) -> list[Markup]:
    content = []
    for word, shape in _SHAPES:
        content += [marker(shape, x + 6, y - 4, "mark plain", 4.2), label(x + 17, y, word, "small")]
        x += 58
    return content


def _round_times(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of each power of ten between two times."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0**p for p in powers for f in (1, 2, 5) if low <= f * 10.0**p <= high]
