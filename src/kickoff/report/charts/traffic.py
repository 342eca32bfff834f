"""Chart of the requests each release answered while traffic moved from one to the other."""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from kickoff.evidence import Evidence, Verdict
from kickoff.report.charts.cutover import ROLLED_BACK, Cutover, Line, decision, lines_of, thin, weights_of
from kickoff.report.charts.steps import judged
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
from kickoff.report.language import headings, say, told
from kickoff.report.messages import columns_of, count, duration, line, milliseconds, plural


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
        return Figure(key, say("No traffic was moved: nothing was promoted"), "")
    lines = lines_of(promote)
    table = _table(lines, table_rows)
    moments = {point.t for entry in lines for point in entry.points}
    weights = weights_of(promote)
    # A cutover that was judged and taken back within seconds is drawn: its steps say more than its rates.
    if not moments or (len(moments) < 3 and len(weights) < 3):
        measured = (
            say("nothing was measured")
            if not moments
            else say("only {moments} measured", moments=plural(len(moments), "moment"))
        )
        return Figure(
            key, say("Too little to draw the cutover: {measured}", measured=measured), "", table=table
        )
    if not any(entry.requests for entry in lines):
        title = say("No request arrived while traffic was moved, so there is nothing to draw")
        return Figure(key, title, "", table=table)
    lines = [thin(entry, most) for entry in lines]
    judged_at = judged(promote)
    length = max([*moments, *(t for t, _ in weights), *(step.t for step in judged_at)])
    cutover = Cutover(lines, weights, length, decision(promote, weights, length), judged_at)
    title = _title(promote, lines, cutover)
    description = _description(cutover)

    def paint(width: int) -> tuple[float, list[Markup]]:
        return _Drawing(cutover, width).paint()

    def points(width: int) -> str:
        return _Drawing(cutover, width).readings()

    return Figure(key, title, description, draw(key, title, description, paint, points), table)


def _title(promote: Evidence, lines: Sequence[Line], cutover: Cutover) -> str:
    failed = sum(point.failed for entry in lines for point in entry.points)
    total = sum(entry.requests for entry in lines)
    release, amounts = line(promote.release, 40), {"failed": count(failed), "total": count(total)}
    if cutover.decided and cutover.decided[1] == ROLLED_BACK:
        return say("{failed} of about {total} requests failed until traffic was back", **amounts)
    if not release:
        return say("{failed} of about {total} requests failed while traffic moved", **amounts)
    return say(
        "{failed} of about {total} requests failed while traffic moved to {release}",
        release=release,
        **amounts,
    )


def _description(cutover: Cutover) -> str:
    said = []
    for entry in cutover.lines:
        failed = sum(point.failed for point in entry.points)
        said.append(
            say(
                "{name}: about {requests} requests, {failed} failed",
                name=entry.name,
                requests=count(entry.requests),
                failed=count(failed),
            )
        )
    steps = ", ".join(
        say("{percent:g}% after {time}", percent=percent, time=duration(t))
        for t, percent in cutover.weights[:20]
    )
    if steps:
        said.append(say("share of the new release: {steps}", steps=steps))
    said += [
        say("judged at {percent:g}%: {word}", percent=step.percent, word=told(step.verdict.word))
        for step in cutover.judged
    ]
    if cutover.decided:
        said.append(
            say("{what} after {time}", what=say(cutover.decided[1]), time=duration(cutover.decided[0]))
        )
    return say(
        "Requests per second of each release over {length}. {said}.",
        length=duration(cutover.length),
        said="; ".join(said),
    )


def _table(lines: Sequence[Line], most: int) -> Table | None:
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
    note = (
        ""
        if len(kept) == len(rows)
        else say("{kept} of {rows:,} rows; the data file has all.", kept=len(kept), rows=len(rows))
    )
    body = [(say("{seconds:.1f} s", seconds=t), *rest) for t, *rest in kept]
    return Table(
        headings("time", "release", "requests/s", "failed", "p95"),
        body,
        frozenset({0, 2, 3, 4}),
        note,
    )


class _Drawing:
    """One drawing of a cutover: share of the new release, requests per second, failures, time."""

    def __init__(self, cutover: Cutover, width: int) -> None:
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
        failed = any(point.failed for entry in cutover.lines for point in entry.points)
        self.axis = self.fails + (32 if failed else 14)

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
                failed = say(", {failed} failed", failed=count(point.failed)) if point.failed else ""
                rows[point.t].append(f"{entry.name} {point.rps:,.1f}/s{failed}")
        steps = [t for t, _ in self.cutover.weights]
        found = []
        for t, texts in sorted(rows.items()):
            at = bisect_left(steps, t + 1e-9) - 1
            share = say(" · new release {percent:g}%", percent=self.cutover.weights[at][1]) if at >= 0 else ""
            found.append(
                [round(self.x(t), 1), f"{say('{seconds:.1f} s', seconds=t)}{share} · {' · '.join(texts)}"]
            )
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
                x += 52 + 7.2 * columns_of(entry.name)
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
            label(2, top - 9, say("Share of the new release"), "quiet"),
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
        for step in self.cutover.judged:
            kind = {Verdict.PASS: "dot pass", Verdict.FAIL: "failed judged"}.get(step.verdict, "dot doubt")
            place = (self.x(step.t), bottom - step.percent / 100 * (bottom - top))
            content.append(marker("cross" if step.verdict is Verdict.FAIL else "circle", *place, kind, 4.5))
        return content

    def _grid(self) -> list[Markup]:
        content = [label(2, self.rates[0] - 11, say("Requests per second"), "quiet")]
        for value in self.levels:
            y = self.y(value)
            kind = "base" if value == 0 else "grid"
            content.append(tag("line", x1=self.left, x2=self.width - self.right, y1=y, y2=y, class_=kind))
            content.append(label(self.left - 6, y + 4, f"{value:,.10g}", "axis", "end"))
        for value in time_ticks(self.cutover.length, 4 if self.narrow else 8):
            content.append(label(self.x(value), self.axis + 14, short_time(value), "axis", "middle"))
        return content

    def _line(self, entry: Line) -> list[Markup]:
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
            label(x + (-9 if late else 9), top + 2, say(word), "strong", "end" if late else "start"),
        ]

    def _failures(self) -> list[Markup]:
        marks: dict[float, float] = defaultdict(float)
        for entry in self.cutover.lines:
            for point in entry.points:
                if point.failed:
                    marks[point.t] += point.failed
        line_y = self.fails
        if not marks:
            return [label(self.left, line_y + 3, say("no failed request"), "quiet")]
        content = [marker("cross", self.x(t), line_y, "failed", 3.8) for t in sorted(marks)]
        worst = max(marks, key=lambda t: marks[t])
        x = self.x(worst)
        words = say(
            "most at {time}: {failed} failed", time=short_time(round(worst, 1)), failed=count(marks[worst])
        )
        # Under the cross that it is about, which a line leads to.
        late = x + 8 + 6.6 * columns_of(words) > self.width
        place = (x + (-4 if late else 4), line_y + 20)
        return [
            *content,
            tag("line", x1=x, x2=x, y1=line_y + 6, y2=line_y + 22, class_="failed thin"),
            label(*place, words, "fail-text", "end" if late else "start"),
        ]
