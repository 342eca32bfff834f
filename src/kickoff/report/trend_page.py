"""The page of the trend over releases: drift of every endpoint, steps and creep marked. A pure function."""

import math
from collections.abc import Sequence

from kickoff.evidence import Verdict
from kickoff.performance.trend import DECISION, Alarm, Point, Trend
from kickoff.report import performance_page
from kickoff.report.charts import lines
from kickoff.report.charts.lines import Chart, Line, Marked
from kickoff.report.charts.svg import Figure, Table
from kickoff.report.language import headings, say, told
from kickoff.report.messages import line, minute, plural, signed
from kickoff.report.performance_page import Content
from kickoff.report.tables import interval

_MOST_FIGURES = 24
_NORMAL_95 = 1.959964
FEWEST = 3
"""Releases below which there is no trend to speak of."""


def verdict(trends: Sequence[Trend]) -> Verdict:
    """Return whether something drifted; too few releases are inconclusive."""
    if any(entry.alarms for entry in trends):
        return Verdict.FAIL
    enough = trends and max(len(entry.points) for entry in trends) >= FEWEST
    return Verdict.PASS if enough else Verdict.INCONCLUSIVE


def sentence(trends: Sequence[Trend]) -> str:
    """Return the finding in one sentence."""
    found = [(entry, alarm) for entry in trends for alarm in entry.alarms]
    if found:
        return "; ".join(
            say("{kind} of {endpoint}: {words}", kind=entry.kind, endpoint=entry.endpoint, words=words(alarm))
            for entry, alarm in found[:6]
        )
    most = max((len(entry.points) for entry in trends), default=0)
    if most < FEWEST:
        return say(
            "{most} compared so far; a trend needs {fewest}", most=plural(most, "release"), fewest=FEWEST
        )
    return say("no step and no creep over {most}", most=plural(most, "release"))


def words(alarm: Alarm) -> str:
    """Return an alarm in words."""
    rise = signed(alarm.rise * 100, 1)
    shape = told(alarm.shape)
    if alarm.since == alarm.seen:
        return say("{shape} of {rise} with {since}", shape=shape, rise=rise, since=alarm.since)
    return say(
        "{shape} of {rise} since {since}, certain with {seen}",
        shape=shape,
        rise=rise,
        since=alarm.since,
        seen=alarm.seen,
    )


def render(trends: Sequence[Trend], service: str) -> str:
    """Return the page of a service."""
    found = verdict(trends)
    titles = {Verdict.FAIL: say("SLOWER OVER TIME"), Verdict.PASS: say("STEADY")}
    # What drifted comes first, then what changed most.
    order = sorted(trends, key=lambda entry: (not entry.alarms, -abs(entry.points[-1].level)))
    return performance_page.render(
        Content(
            verdict=found,
            title=titles.get(found, say("TOO FEW RELEASES")),
            subject=say("Response times of {service} over releases", service=service),
            why=sentence(trends),
            sections=[
                (say("Drift since the first release"), [_figure(entry) for entry in order[:_MOST_FIGURES]])
            ],
            tables=[(say("All endpoints"), _table(order))],
        )
    )


def _figure(entry: Trend) -> Figure:
    where = say(" in {environment}", environment=line(entry.environment, 40)) if entry.environment else ""
    last = entry.points[-1]
    releases = [point.release for point in entry.points]
    moved = signed(math.expm1(last.level) * 100, 1)
    title = say(
        "{kind} of {endpoint}{where}: {moved} ({interval}) over {releases}",
        kind=entry.kind,
        endpoint=line(entry.endpoint, 80),
        where=where,
        moved=moved,
        interval=interval(*_bounds(last)),
        releases=plural(len(releases), "release"),
    )
    if entry.alarms:
        title += f"; {words(entry.alarms[-1])}"

    def percent(level: float) -> float:
        return math.expm1(level) * 100

    bounds = map(_bounds, entry.points)
    band = [(float(index), low * 100, high * 100) for index, (low, high) in enumerate(bounds)]
    chart = Chart(
        key=f"trend-{line(entry.environment, 40)}-{entry.kind}-{line(entry.endpoint, 80)}".replace(" ", "-"),
        title=title,
        quantity=say("Slower than the first release by"),
        lines=[Line(entry.kind, [(float(i), percent(p.level)) for i, p in enumerate(entry.points)], band)],
        say=lambda value: f"{value:+.3g}%" if value else "0",
        names=[release.partition("-")[0] for release in releases],
        marks=[Marked(float(releases.index(alarm.seen)), words(alarm)) for alarm in entry.alarms],
        unmarked=say("no step, no creep"),
    )
    body = [
        (
            line(point.release, 40),
            minute(point.at),
            signed(math.expm1(point.effect) * 100, 1),
            f"±{_NORMAL_95 * point.error * 100:.1f}%",
            signed(math.expm1(point.level) * 100, 1),
            f"{point.cusum:.1f}",
        )
        for point in entry.points
    ]
    columns = headings(
        "release", "compared at (UTC)", "against the one before", "95% interval", "drift", "cusum"
    )
    table = Table(
        columns,
        body,
        frozenset({2, 3, 4, 5}),
        say("An alarm needs a cusum above {decision:g}.", decision=DECISION),
    )
    return lines.figure(chart, table, say("The band is the 95% interval of the drift."))


def _bounds(point: Point) -> tuple[float, float]:
    """Return both ends of the 95 % interval of the drift up to a release; 0.1 is 10 %."""
    low, high = (math.expm1(point.level + sign * _NORMAL_95 * point.level_error) for sign in (-1, 1))
    return low, high


def _table(trends: Sequence[Trend]) -> Table:
    body = [
        (
            line(entry.endpoint, 100),
            entry.kind,
            line(entry.environment, 40),
            str(len(entry.points)),
            signed(math.expm1(entry.points[-1].level) * 100, 1),
            interval(*_bounds(entry.points[-1])),
            f"{max(point.cusum for point in entry.points):.1f}",
            "; ".join(words(alarm) for alarm in entry.alarms) or say("steady"),
        )
        for entry in trends
    ]
    columns = headings(
        "endpoint", "metric", "environment", "releases", "drift", "interval", "highest cusum", "finding"
    )
    left = len(trends) - _MOST_FIGURES
    note = (
        say("{left} more without a chart.", left=left)
        if left > 0
        else ""
        if body
        else say("Nothing was compared yet.")
    )
    return Table(columns, body, frozenset({3, 4, 5, 6}), note)
