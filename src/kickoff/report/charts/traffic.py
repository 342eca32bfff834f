"""Chart of the requests each release answered while traffic moved from one to the other."""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from kickoff.evidence import Evidence
from kickoff.report.charts.svg import (
    NARROW,
    Figure,
    Table,
    draw,
    label,
    marker,
    path,
    short_time,
    tag,
    ticks,
    time_ticks,
)
from kickoff.report.messages import count, duration, line, milliseconds, number, plural
from kickoff.report.run import fact

_MOST_RELEASES = 3
_STYLES = (("one", "circle"), ("two", "square"), ("three", "triangle"))


@dataclass(frozen=True, slots=True)
class _Point:
    t: float
    rps: float
    failed: float
    p95: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Line:
    """One release's share of the traffic; the promoted release is drawn first."""

    name: str
    kind: str
    shape: str
    points: Sequence[_Point]

    @property
    def requests(self) -> float:
        return sum(point.rps * point.seconds for point in self.points)


@dataclass(frozen=True, slots=True)
class _Cutover:
    lines: Sequence[_Line]
    weights: Sequence[tuple[float, float]]
    length: float
    decided: tuple[float, str] | None


def traffic(promote: Evidence | None, environment: str, most: int, table_rows: int) -> Figure:
    """Return the chart of the cutover.

    Args:
        promote: The promotion's evidence.
        environment: Where it happened.
        most: Most points a line may have.
        table_rows: Most rows of the table.
    """
    key = f"traffic-{environment}"
    if promote is None:
        return Figure(key, "No traffic was moved: nothing was promoted", "")
    lines = _lines(promote)
    table = _table(lines, table_rows)
    moments = {point.t for entry in lines for point in entry.points}
    if len(moments) < 3:
        measured = (
            "nothing was measured" if not moments else f"only {plural(len(moments), 'moment')} measured"
        )
        return Figure(key, f"Too little to draw the cutover: {measured}", "", table=table)
    if not any(entry.requests for entry in lines):
        title = "No request arrived while traffic was moved, so there is nothing to draw"
        return Figure(key, title, "", table=table)
    lines = [_thin(entry, most) for entry in lines]
    weights = _weights(promote)
    length = max([*moments, *(t for t, _ in weights)])
    cutover = _Cutover(lines, weights, length, _decision(promote, weights, length))
    title = _title(promote, lines, cutover)
    description = _description(cutover)

    def paint(width: int) -> tuple[float, list[Markup]]:
        return _Drawing(cutover, width).paint()

    def points(width: int) -> str:
        return _Drawing(cutover, width).readings()

    return Figure(key, title, description, draw(key, title, description, paint, points), table)


def _lines(promote: Evidence) -> list[_Line]:
    raw: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    names: dict[str, str] = {}
    for point in promote.series.get("traffic", []):
        release, colour = line(point.get("release"), 40), line(point.get("colour"), 12)
        if number(point.get("t")) is None or number(point.get("rps")) is None:
            continue
        raw[release].append(point)
        names[release] = f"{release or 'unknown release'} ({colour})" if colour else release
    candidate = line(promote.release, 40)
    order = sorted(raw, key=lambda release: (release != candidate, -len(raw[release])))[:_MOST_RELEASES]
    # The second style belongs to the release that served before, also when the candidate got no traffic.
    styles = _STYLES if candidate in order else _STYLES[1:]
    return [
        _Line(names[release], kind, shape, _points(raw[release]))
        for release, (kind, shape) in zip(order, styles, strict=False)
    ]


def _points(raw: Sequence[Mapping[str, object]]) -> list[_Point]:
    found = sorted(raw, key=lambda point: number(point.get("t")) or 0.0)
    times = [number(point.get("t")) or 0.0 for point in found]
    gaps = sorted(b - a for a, b in pairwise(times) if b > a)
    width = gaps[len(gaps) // 2] if gaps else 1.0
    return [
        _Point(
            t=t,
            rps=max(number(point.get("rps")) or 0.0, 0.0),
            failed=max(number(point.get("failed")) or 0.0, 0.0),
            p95=number(point.get("p95_ms")),
            seconds=width,
        )
        for t, point in zip(times, found, strict=True)
    ]


def _thin(entry: _Line, most: int) -> _Line:
    """Merge neighbours until at most ``most`` points remain; failures are added up, never lost."""
    size = -(-len(entry.points) // most)
    if size <= 1:
        return entry
    merged = []
    for start in range(0, len(entry.points), size):
        group = entry.points[start : start + size]
        p95 = [point.p95 for point in group if point.p95 is not None]
        span = sum(point.seconds for point in group)
        merged.append(
            _Point(
                group[0].t,
                sum(point.rps * point.seconds for point in group) / span,
                sum(point.failed for point in group),
                max(p95) if p95 else None,
                span,
            )
        )
    return _Line(entry.name, entry.kind, entry.shape, merged)


def _weights(promote: Evidence) -> list[tuple[float, float]]:
    found = []
    for point in promote.series.get("weights", []):
        t, percent = number(point.get("t")), number(point.get("candidate_percent"))
        if t is not None and percent is not None:
            found.append((max(t, 0.0), min(max(percent, 0.0), 100.0)))
    return sorted(found)[:200]


def _decision(
    promote: Evidence, weights: Sequence[tuple[float, float]], length: float
) -> tuple[float, str] | None:
    """Return when the last change of weight was made, and what it decided."""
    changes = [b for a, b in pairwise(weights) if a[1] != b[1]]
    if not changes and not weights:
        return None
    t, percent = changes[-1] if changes else weights[0]
    undone = percent == 0 or fact([promote], "outcome") == "rolled-back"
    return (min(t, length), "rolled back" if undone else "promoted") if percent in (0, 100) else None


def _title(promote: Evidence, lines: Sequence[_Line], cutover: _Cutover) -> str:
    failed = sum(point.failed for entry in lines for point in entry.points)
    total = sum(entry.requests for entry in lines)
    moved = "while traffic moved"
    if cutover.decided and cutover.decided[1] == "rolled back":
        moved = "until traffic was back"
    moved += f" to {line(promote.release, 40)}" if promote.release and moved.endswith("moved") else ""
    return f"{count(failed)} of about {count(total)} requests failed {moved}"


def _description(cutover: _Cutover) -> str:
    said = []
    for entry in cutover.lines:
        failed = sum(point.failed for point in entry.points)
        said.append(f"{entry.name}: about {count(entry.requests)} requests, {count(failed)} failed")
    steps = ", ".join(f"{percent:g}% after {duration(t)}" for t, percent in cutover.weights[:20])
    if steps:
        said.append(f"share of the new release: {steps}")
    if cutover.decided:
        said.append(f"{cutover.decided[1]} after {duration(cutover.decided[0])}")
    return f"Requests per second of each release over {duration(cutover.length)}. {'; '.join(said)}."


def _table(lines: Sequence[_Line], most: int) -> Table | None:
    rows = [
        (point.t, entry.name, f"{point.rps:,.1f}", count(point.failed), milliseconds(point.p95))
        for entry in lines
        for point in entry.points
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: row[0])
    moments = sorted({row[0] for row in rows})
    shown = set(moments[:: -(-len(rows) // most)])
    # Moments with failures matter most, so thinning takes them away last.
    kept = [row for row in rows if row[0] in shown or row[3] != "0"][: most * 2]
    note = "" if len(kept) == len(rows) else f"{len(kept)} of {len(rows):,} rows; the data file has all."
    body = [(f"{t:.1f} s", *rest) for t, *rest in kept]
    return Table(("time", "release", "requests/s", "failed", "p95"), body, frozenset({0, 2, 3, 4}), note)


class _Drawing:
    """One drawing of a cutover: share of the new release, requests per second, failures, time."""

    def __init__(self, cutover: _Cutover, width: int) -> None:
        self.cutover, self.width = cutover, width
        self.narrow = width == NARROW
        top = max((point.rps for entry in cutover.lines for point in entry.points), default=0.0)
        self.levels = ticks(top, 4)
        self.left = 14.0 + 7.2 * max(4, *(len(f"{value:,.10g}") for value in self.levels))
        self.right = 10.0
        self.scale = (width - self.left - self.right) / (cutover.length or 1.0)
        legend = 22.0 * (len(cutover.lines) if self.narrow else 1)
        self.share = (legend + 34, legend + 70) if cutover.weights else (legend, legend)
        self.rates = (self.share[1] + 38, self.share[1] + 38 + (130 if self.narrow else 160))
        self.fails = self.rates[1] + 18
        self.axis = self.fails + 14

    def x(self, t: float) -> float:
        """Return the horizontal place of a time in seconds."""
        return self.left + min(max(t, 0.0), self.cutover.length) * self.scale

    def y(self, rate: float) -> float:
        """Return the vertical place of a rate in requests per second."""
        top, bottom = self.rates
        return bottom - rate / self.levels[-1] * (bottom - top)

    def paint(self) -> tuple[float, list[Markup]]:
        """Return the height and the content."""
        content = [*self._legend(), *self._share(), *self._grid(), *self._decided()]
        # The promoted release is drawn last, on top.
        for entry in reversed(self.cutover.lines):
            content += self._line(entry)
        return self.axis + 22, [*content, *self._failures()]

    def readings(self) -> str:
        """Return what the cross-hair says at each moment, as JSON ``[[x, text], …]``."""
        rows: dict[float, list[str]] = defaultdict(list)
        for entry in self.cutover.lines:
            for point in entry.points:
                failed = f", {count(point.failed)} failed" if point.failed else ""
                rows[point.t].append(f"{entry.name} {point.rps:,.1f}/s{failed}")
        steps = [t for t, _ in self.cutover.weights]
        found = []
        for t, texts in sorted(rows.items()):
            at = bisect_left(steps, t + 1e-9) - 1
            share = f" · new release {self.cutover.weights[at][1]:g}%" if at >= 0 else ""
            found.append([round(self.x(t), 1), f"{t:.1f} s{share} · {' · '.join(texts)}"])
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    def _legend(self) -> list[Markup]:
        content, x, y = [], 2.0, 12.0
        for entry in self.cutover.lines:
            content += [
                path([(x, y - 4), (x + 26, y - 4)], f"line {entry.kind}"),
                marker(entry.shape, x + 13, y - 4, f"mark {entry.kind}", 3.5),
                label(x + 33, y, entry.name),
            ]
            if self.narrow:
                y += 22
            else:
                x += 52 + 7.2 * len(entry.name)
        return content

    def _share(self) -> list[Markup]:
        weights = self.cutover.weights
        if not weights:
            return []
        top, bottom = self.share
        steps = [(self.x(weights[0][0]), bottom)]
        for (t, percent), following in zip(weights, [*weights[1:], None], strict=True):
            height = bottom - percent / 100 * (bottom - top)
            steps += [
                (self.x(t), height),
                (self.x(following[0] if following else self.cutover.length), height),
            ]
        area = [*steps, (steps[-1][0], bottom)]
        content = [
            label(2, top - 9, "Share of the new release", "quiet"),
            tag("line", x1=self.left, x2=self.width - self.right, y1=top, y2=top, class_="grid"),
            tag("line", x1=self.left, x2=self.width - self.right, y1=bottom, y2=bottom, class_="base"),
            label(self.left - 6, top + 4, "100%", "axis", "end"),
            label(self.left - 6, bottom + 4, "0", "axis", "end"),
            path(area, "area one", close=True),
            path(steps, "line one thin"),
        ]
        last = -100.0
        for t, percent in weights:
            x = self.x(t)
            # Labels of steps between the ends, where there is room for them.
            if 0 < percent < 100 and x - last > 34:
                height = bottom - percent / 100 * (bottom - top)
                content.append(label(x + 4, height - 4, f"{percent:g}%", "small"))
                last = x
        return content

    def _grid(self) -> list[Markup]:
        content = [label(2, self.rates[0] - 11, "Requests per second", "quiet")]
        for value in self.levels:
            y = self.y(value)
            kind = "base" if value == 0 else "grid"
            content.append(tag("line", x1=self.left, x2=self.width - self.right, y1=y, y2=y, class_=kind))
            content.append(label(self.left - 6, y + 4, f"{value:,.10g}", "axis", "end"))
        for value in time_ticks(self.cutover.length, 4 if self.narrow else 8):
            content.append(label(self.x(value), self.axis + 14, short_time(value), "axis", "middle"))
        return content

    def _line(self, entry: _Line) -> list[Markup]:
        places = [(self.x(point.t), self.y(point.rps)) for point in entry.points]
        content = [path(places, f"line {entry.kind}")]
        every = max(1, len(places) // (6 if self.narrow else 12))
        content += [marker(entry.shape, x, y, f"mark {entry.kind}", 3.2) for x, y in places[::every]]
        return content

    def _decided(self) -> list[Markup]:
        if self.cutover.decided is None:
            return []
        t, word = self.cutover.decided
        x = self.x(t)
        top = self.share[0] - 6 if self.cutover.weights else self.rates[0] - 6
        late = x > self.width * 0.7
        return [
            tag("line", x1=x, x2=x, y1=top, y2=self.axis, class_="decided"),
            marker("diamond", x, top, "decided-mark", 4.5),
            label(x + (-9 if late else 9), top + 2, word, "strong", "end" if late else "start"),
        ]

    def _failures(self) -> list[Markup]:
        marks: dict[float, float] = defaultdict(float)
        for entry in self.cutover.lines:
            for point in entry.points:
                if point.failed:
                    marks[point.t] += point.failed
        line_y = self.fails
        if not marks:
            return [label(self.left, line_y + 3, "no failed request", "quiet")]
        content = [marker("cross", self.x(t), line_y, "failed", 3.8) for t in sorted(marks)]
        worst = max(marks, key=lambda t: marks[t])
        x = self.x(worst)
        late = x > self.width * 0.7
        words = f"most at {short_time(round(worst, 1))}: {count(marks[worst])} failed"
        last = self.x(max(marks)) if not late else self.x(min(marks))
        content.append(
            label(last + (-12 if late else 12), line_y + 4, words, "fail-text", "end" if late else "start")
        )
        return content
