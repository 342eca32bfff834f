"""Chart of the stages: begin and length of each."""

from collections.abc import Sequence

from markupsafe import Markup

from kickoff.evidence import Verdict
from kickoff.report.charts.svg import NARROW, Figure, Table, draw, label, short_time, tag, time_ticks
from kickoff.report.language import headings, say, told
from kickoff.report.messages import DASH, columns_of, duration
from kickoff.report.tables import StageRow

_KIND = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.INCONCLUSIVE: "doubt",
    Verdict.NOT_APPLICABLE: "none",
}


def timeline(rows: Sequence[StageRow], most: int) -> Figure:
    """Return the chart of the stages; rows without evidence are left to the table.

    Args:
        rows: The stages.
        most: Most rows to draw.
    """
    ran = [row for row in rows if not row.missing][:most]
    key, total = "stages", max((row.begin + row.length for row in ran), default=0.0)
    table = Table(
        headings("stage", "began after", "took", "result"),
        [
            (row.label, DASH, DASH, say("left no evidence"))
            if row.missing
            else (row.label, duration(row.begin), duration(row.length), told(row.verdict.word))
            for row in rows[: most * 2]
        ],
        frozenset({1, 2}),
    )
    if len(ran) < 2 or total <= 0:
        only = say("No stage left evidence: nothing to draw a timeline of")
        if ran:
            only = say("Only {label} left evidence: nothing to draw a timeline of", label=ran[0].label)
        return Figure(key, only, "", table=table if rows else None)
    longest = max(ran, key=lambda row: row.length)
    title = say(
        "{label} took longest: {length} of {total}",
        label=longest.label,
        length=duration(longest.length),
        total=duration(total),
    )
    failed = next((row for row in ran if row.verdict is Verdict.FAIL), None)
    if failed is not None:
        title = say(
            "{label} failed {time} after the start",
            label=failed.label,
            time=duration(failed.begin + failed.length),
        )
    doubtful = next((row for row in ran if row.verdict is Verdict.INCONCLUSIVE), None)
    if failed is None and doubtful is not None:
        title = say(
            "{label} ended without a verdict {time} after the start",
            label=doubtful.label,
            time=duration(doubtful.begin + doubtful.length),
        )
    said = "; ".join(f"{row.label}: {duration(row.length)}, {told(row.verdict.word)}" for row in ran[:30])
    description = say("One bar for each stage from its begin to its end. {said}.", said=said)

    def paint(width: int) -> tuple[float, list[Markup]]:
        return _narrow(ran, total, width) if width == NARROW else _wide(ran, total, width)

    return Figure(key, title, description, draw(key, title, description, paint), table)


def _wide(rows: Sequence[StageRow], total: float, width: int) -> tuple[float, list[Markup]]:
    left, right, step = 40 + 7.2 * max(columns_of(row.label[:30]) for row in rows), 70.0, 27.0
    bottom = 8 + step * len(rows)
    scale = (width - left - right) / total
    content = _axis(total, left, scale, (8, bottom), 8)
    for index, row in enumerate(rows):
        y = 8 + step * index
        x, length = left + row.begin * scale, max(row.length * scale, 3.0)
        content += [
            label(2, y + 17.5, row.verdict.sign, f"icon {_KIND[row.verdict]}-text"),
            label(22, y + 17.5, row.label[:30]),
            tag("rect", x=x, y=y + 6, width=length, height=15, rx=3, class_=f"bar {_KIND[row.verdict]}"),
            label(x + length + 6, y + 17.5, duration(row.length), "quiet num"),
        ]
    return bottom + 24, content


def _narrow(rows: Sequence[StageRow], total: float, width: int) -> tuple[float, list[Markup]]:
    step = 36.0
    bottom = 4 + step * len(rows)
    scale = (width - 12) / total
    content = _axis(total, 2, scale, (4, bottom), 4)
    for index, row in enumerate(rows):
        y = 4 + step * index
        content += [
            label(0, y + 13, row.verdict.sign, f"icon {_KIND[row.verdict]}-text"),
            label(18, y + 13, row.label[:30]),
            label(width - 2, y + 13, duration(row.length), "quiet num", "end"),
            tag(
                "rect",
                x=2 + row.begin * scale,
                y=y + 19,
                width=max(row.length * scale, 3.0),
                height=10,
                rx=3,
                class_=f"bar {_KIND[row.verdict]}",
            ),
        ]
    return bottom + 24, content


def _axis(total: float, left: float, scale: float, span: tuple[float, float], most: int) -> list[Markup]:
    content: list[Markup] = []
    top, bottom = span
    for value in time_ticks(total, most):
        x = left + value * scale
        content.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        anchor = "start" if value == 0 and left < 10 else "middle"
        content.append(label(x, bottom + 16, short_time(value), "axis", anchor))
    return content
