"""Chart of the last releases of an environment: verdict, duration and p95 of each, with the noise band."""

from collections.abc import Sequence

from markupsafe import Markup

from kickoff.report.charts.svg import NARROW, Figure, Table, draw, label, marker, path, tag, ticks
from kickoff.report.language import headings, marked, say, told
from kickoff.report.messages import DASH, columns_of, duration, milliseconds, minute, plural
from kickoff.report.past import FEWEST, Past, measured, noise

_SHAPES = {"pass": "circle", "none": "square", "doubt": "diamond", "fail": "cross"}
_WORDS = {
    "pass": marked("live"),
    "none": marked("unchanged"),
    "doubt": marked("unclear"),
    "fail": marked("failed"),
}
Band = tuple[float, float]


def releases(runs: Sequence[Past], key: str, *, current: bool) -> Figure:
    """Return the chart.

    Args:
        runs: The outcomes, oldest first.
        key: Unique within the page.
        current: Whether the last one is the run that the page is about.
    """
    if len(runs) < 2:
        nothing = say("No earlier releases to show: no run is kept here")
        only = say("No earlier releases to show: this run is the only one kept here")
        return Figure(key, only if runs else nothing, "")
    before = runs[:-1] if current else runs
    band, known = noise(before), len(measured(before))
    live = sum(entry.meaning == "pass" for entry in runs)
    title = say(
        "{live} of the last {runs} went live{this}",
        live=live,
        runs=plural(len(runs), "run"),
        this=_place(runs[-1], band, current),
    )
    said = "; ".join(
        f"{entry.run}: {told(entry.word)}, {duration(entry.seconds)}{_p95(entry)}" for entry in runs
    )
    description = say("One column for each run, the oldest first. {said}.", said=said)
    note = (
        say(
            "The band is where about 95 of 100 releases that went live lay: {low} to {high}, from {known}.",
            low=milliseconds(band[0]),
            high=milliseconds(band[1]),
            known=known,
        )
        if band
        else say(
            "No noise band: {known} of {fewest} releases with a p95 are kept here.",
            known=known,
            fewest=FEWEST,
        )
    )

    def paint(width: int) -> tuple[float, list[Markup]]:
        return _paint(runs[-12:] if width == NARROW else runs, band, width)

    return Figure(key, title, description, draw(key, title, description, paint), _table(runs), note)


def _place(last: Past, band: Band | None, current: bool) -> str:
    if not current or last.p95_ms is None:
        return ""
    p95 = milliseconds(last.p95_ms)
    if band is None:
        return say("; p95 of this one, {p95}, with too few before it to compare with", p95=p95)
    if last.p95_ms > band[1]:
        return say("; p95 of this one, {p95}, is above the noise of those before", p95=p95)
    if last.p95_ms < band[0]:
        return say("; p95 of this one, {p95}, is below the noise of those before", p95=p95)
    return say("; p95 of this one, {p95}, is within the noise of those before", p95=p95)


def _p95(entry: Past) -> str:
    return f", p95 {milliseconds(entry.p95_ms)}" if entry.p95_ms is not None else ""


def _table(runs: Sequence[Past]) -> Table:
    body = [
        (
            entry.run,
            minute(entry.finished) or DASH,
            entry.release or DASH,
            told(entry.word),
            duration(entry.seconds),
            milliseconds(entry.p95_ms),
            entry.why,
        )
        for entry in reversed(runs)
    ]
    return Table(
        headings("run", "ended (UTC)", "release", "outcome", "took", "p95", "why"),
        body,
        frozenset({4, 5}),
    )


def _paint(runs: Sequence[Past], band: Band | None, width: int) -> tuple[float, list[Markup]]:
    left, right = 78.0, 10.0
    step = (width - left - right) / len(runs)
    places = [left + step * (index + 0.5) for index in range(len(runs))]
    content: list[Markup] = [label(2, 38, say("outcome"), "quiet")]
    offset = 2.0
    for kind in dict.fromkeys(entry.meaning for entry in runs):
        content += [_mark(kind, offset + 6, 8), label(offset + 17, 12, say(_WORDS[kind]))]
        offset += 34 + 7.4 * columns_of(say(_WORDS[kind]))
    content += [_mark(entry.meaning, x, 34) for entry, x in zip(runs, places, strict=True)]
    longest = max(1.0, *(entry.seconds for entry in runs))
    content += [*_axis(say("took"), 52, 102, duration(longest), width - right, left)]
    content += [
        tag(
            "rect",
            x=x - min(step * 0.32, 9),
            y=102 - max(entry.seconds / longest * 50, 0.5),
            width=min(step * 0.64, 18),
            height=max(entry.seconds / longest * 50, 0.5),
            class_=f"bar {entry.meaning}",
        )
        for entry, x in zip(runs, places, strict=True)
    ]
    values = [entry.p95_ms for entry in runs if entry.p95_ms is not None]
    bottom = 102.0
    if values:
        bottom = 192.0
        content += _responses(runs, places, band, (126, bottom), width - right, left)
    every = -(-len(runs) // max(1, int((width - left) / 34)))
    content += [
        label(x, bottom + 16, entry.run, "axis", "middle")
        for index, (entry, x) in enumerate(zip(runs, places, strict=True))
        if (len(runs) - 1 - index) % every == 0
    ]
    return bottom + 22, content


def _responses(  # noqa: PLR0917
    runs: Sequence[Past], places: Sequence[float], band: Band | None, span: Band, end: float, left: float
) -> list[Markup]:
    top, bottom = span
    values = [entry.p95_ms for entry in runs if entry.p95_ms is not None]
    most = ticks(max([*values, *(band or ())]), 3)[-1]

    def y(value: float) -> float:
        return bottom - value / most * (bottom - top)

    content = _axis("p95", top, bottom, milliseconds(most), end, left)
    if band:
        high, low = y(band[1]), y(band[0])
        content.append(
            tag("rect", x=left, y=high, width=end - left, height=max(low - high, 1.0), class_="area two")
        )
    dots = [
        (x, y(entry.p95_ms), entry.meaning)
        for entry, x in zip(runs, places, strict=True)
        if entry.p95_ms is not None
    ]
    content.append(path([(x, height) for x, height, _ in dots], "line two thin"))
    content += [_mark(kind, x, height) for x, height, kind in dots]
    return content


def _axis(name: str, top: float, bottom: float, most: str, end: float, left: float) -> list[Markup]:  # noqa: PLR0917
    return [
        tag("line", x1=left, x2=end, y1=top, y2=top, class_="grid"),
        tag("line", x1=left, x2=end, y1=bottom, y2=bottom, class_="base"),
        label(2, (top + bottom) / 2 + 4, name, "quiet"),
        label(left - 6, top + 4, most, "axis", "end"),
        label(left - 6, bottom + 4, "0", "axis", "end"),
    ]


def _mark(kind: str, x: float, y: float) -> Markup:
    return marker(_SHAPES[kind], x, y, "failed" if kind == "fail" else f"dot {kind}", 4.2)
