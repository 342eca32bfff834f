"""Lines over time, or over releases: values, an optional band around one of them, and marked moments."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

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
from kickoff.report.language import say
from kickoff.report.messages import columns_of

_STYLES = (("one", "circle"), ("two", "square"), ("three", "triangle"))
MOST_LINES = len(_STYLES)
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of ``(x, y)``; ``band`` holds ``(x, low, high)`` of an interval around it."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, slots=True)
class Marked:
    """A moment worth a mark: where, and in which words."""

    x: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The content of a chart.

    Attributes:
        key: Unique within the page.
        title: The finding, as a sentence.
        quantity: What the vertical axis shows, with its unit.
        lines: At most :data:`MOST_LINES`.
        say: Words for a value.
        names: Labels of the places 0, 1, … on the horizontal axis; seconds when empty.
        marks: Failures, steps, drifts.
        unmarked: What stands in the marks' row when there is none; empty for no such row.
        limit: A value that must not be exceeded, where there is one.
    """

    key: str
    title: str
    quantity: str
    lines: Sequence[Line]
    say: Callable[[float], str]
    names: Sequence[str] = ()
    marks: Sequence[Marked] = ()
    unmarked: str = ""
    limit: float | None = None


def figure(chart: Chart, table: Table | None = None, note: str = "") -> Figure:
    """Return the chart, or a sentence where there is too little to draw."""
    # Time runs forward, in whatever order the points came.
    drawn = [replace(line, points=sorted(line.points)) for line in chart.lines if line.points]
    moments = {x for line in drawn for x, _ in line.points}
    if len(moments) < _FEWEST:
        found = (
            say("nothing was measured")
            if not moments
            else say("only {moments} measured", moments=len(moments))
        )
        return Figure(
            chart.key,
            say("{quantity}: too little to draw, {found}", quantity=chart.quantity, found=found),
            "",
            table=table,
            note=note,
        )
    description = f"{chart.quantity}. {'; '.join(_said(line, chart.say) for line in drawn)}."
    if chart.marks:
        description += say(" Marked: {marks}.", marks="; ".join(mark.words for mark in chart.marks[:20]))

    def paint(width: int) -> tuple[float, list[Markup]]:
        return _Drawing(chart, drawn, width).paint()

    def points(width: int) -> str:
        return _Drawing(chart, drawn, width).readings()

    drawings = draw(chart.key, chart.title, description, paint, points)
    return Figure(chart.key, chart.title, description, drawings, table, note)


def _said(line: Line, words: Callable[[float], str]) -> str:
    values = [y for _, y in line.points]
    return say(
        "{name} from {least} to {most}, {last} at the end",
        name=line.name,
        least=words(min(values)),
        most=words(max(values)),
        last=words(values[-1]),
    )


class _Drawing:
    """One drawing of a chart."""

    def __init__(self, chart: Chart, lines: Sequence[Line], width: int) -> None:
        self.chart, self.lines, self.width = chart, lines, width
        self.narrow = width == NARROW
        values = [y for line in lines for _, y in line.points]
        values += [bound for line in lines for _, *bounds in line.band for bound in bounds]
        if chart.limit is not None:
            values.append(chart.limit)
        # A change may be negative; everything else starts at nothing.
        low, high = min(0.0, *values), max(0.0, *values)
        step = ticks(high - low, 4)[1]
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        self.levels = [step * index for index in range(first, max(last, first + 1) + 1)]
        self.left = 14.0 + 7.2 * max(columns_of(chart.say(value)) for value in self.levels)
        self.right = 10.0
        self.begin = min(x for line in lines for x, _ in line.points)
        self.length = max(x for line in lines for x, _ in line.points) - self.begin or 1.0
        self.top = 22.0 * (len(lines) if self.narrow else 1) + 26
        self.bottom = self.top + (130 if self.narrow else 170)
        self.row = self.bottom + 18
        self.axis = self.row + 14 if chart.marks or chart.unmarked else self.bottom + 4

    def x(self, value: float) -> float:
        """Return the horizontal place of a moment."""
        share = min(max((value - self.begin) / self.length, 0.0), 1.0)
        return self.left + share * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Return the vertical place of a value."""
        low, high = self.levels[0], self.levels[-1]
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def paint(self) -> tuple[float, list[Markup]]:
        """Return the height and the content."""
        content = [*self._legend(), *self._grid()]
        styled = list(zip(self.lines, _STYLES, strict=False))
        for line, (kind, _) in styled:
            if line.band:
                outline = [(self.x(x), self.y(high)) for x, _, high in line.band]
                outline += [(self.x(x), self.y(low)) for x, low, _ in reversed(line.band)]
                content.append(path(outline, f"area {kind}", close=True))
        # The first line matters most, so it is drawn last, on top.
        for line, (kind, shape) in reversed(styled):
            places = [(self.x(x), self.y(y)) for x, y in line.points]
            content.append(path(places, f"line {kind}"))
            every = max(1, len(places) // (6 if self.narrow else 12))
            content += [marker(shape, x, y, f"mark {kind}", 3.2) for x, y in places[::every]]
        return self.axis + 22, [*content, *self._marks()]

    def readings(self) -> str:
        """Return what the cross-hair says at each moment, as JSON ``[[x, text], …]``."""
        rows: dict[float, list[str]] = defaultdict(list)
        for line in self.lines:
            for x, y in line.points:
                rows[x].append(f"{line.name} {self.chart.say(y)}")
        for mark in self.chart.marks:
            rows[mark.x].append(mark.words)
        found = [
            [round(self.x(x), 1), f"{self._place(x)} · {' · '.join(said)}"]
            for x, said in sorted(rows.items())
        ]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    def _place(self, x: float) -> str:
        names = self.chart.names
        return (
            say("{seconds:.0f} s", seconds=x) if not names else names[min(max(round(x), 0), len(names) - 1)]
        )

    def _legend(self) -> list[Markup]:
        content, x, y = [], 2.0, 12.0
        for line, (kind, shape) in zip(self.lines, _STYLES, strict=False):
            content += [
                path([(x, y - 4), (x + 26, y - 4)], f"line {kind}"),
                marker(shape, x + 13, y - 4, f"mark {kind}", 3.5),
                label(x + 33, y, line.name),
            ]
            if self.narrow:
                y += 22
            else:
                x += 52 + 7.2 * columns_of(line.name)
        return content

    def _grid(self) -> list[Markup]:
        content = [label(2, self.top - 11, self.chart.quantity, "quiet")]
        for value in self.levels:
            y = self.y(value)
            kind = "base" if value == 0 else "grid"
            content.append(tag("line", x1=self.left, x2=self.width - self.right, y1=y, y2=y, class_=kind))
            content.append(label(self.left - 6, y + 4, self.chart.say(value), "axis", "end"))
        if self.chart.limit is not None:
            y = self.y(self.chart.limit)
            content.append(tag("line", x1=self.left, x2=self.width - self.right, y1=y, y2=y, class_="limit"))
            words = say("limit {limit}", limit=self.chart.say(self.chart.limit))
            content.append(label(self.width - self.right, y - 5, words, "fail-text small", "end"))
        most = 3 if self.narrow else 8
        if not self.chart.names:
            for value in time_ticks(self.length, most):
                place = self.x(self.begin + value)
                content.append(label(place, self.axis + 14, short_time(value), "axis", "middle"))
            return content
        every = max(1, -(-len(self.chart.names) // most))
        for index in range(0, len(self.chart.names), every):
            place = self.x(index)
            anchor = "start" if index == 0 else "end" if place > self.width - 40 else "middle"
            content.append(label(place, self.axis + 14, self.chart.names[index], "axis", anchor))
        return content

    def _marks(self) -> list[Markup]:
        if not self.chart.marks:
            return (
                [label(self.left, self.row + 3, self.chart.unmarked, "quiet")] if self.chart.unmarked else []
            )
        content = [marker("cross", self.x(mark.x), self.row, "failed", 3.8) for mark in self.chart.marks]
        last = max(self.chart.marks, key=lambda mark: mark.x)
        # Words that would run out of the drawing go to the left of the first mark.
        late = self.x(last.x) + 12 + 6.6 * columns_of(last.words) > self.width
        first = min(self.chart.marks, key=lambda mark: mark.x)
        place = self.x(first.x) - 12 if late else self.x(last.x) + 12
        content.append(
            label(
                place, self.row + 4, (first if late else last).words, "fail-text", "end" if late else "start"
            )
        )
        return content
