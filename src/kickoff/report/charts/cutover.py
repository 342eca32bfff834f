"""What happened while traffic moved from one release to the other, read from a promotion's evidence."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kickoff.evidence import Evidence
from kickoff.report.charts.steps import Judged
from kickoff.report.language import marked, say
from kickoff.report.messages import line, number
from kickoff.report.run import fact

_MOST_RELEASES = 3
ROLLED_BACK, PROMOTED = marked("rolled back"), marked("promoted")
_STYLES = (("one", "circle"), ("two", "square"), ("three", "triangle"))


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of a release: requests and failures, p95 in milliseconds, and the seconds it stands for."""

    t: float
    rps: float
    failed: float
    p95: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """One release's share of the traffic; the promoted release is drawn first."""

    name: str
    kind: str
    shape: str
    points: Sequence[Point]

    @property
    def requests(self) -> float:
        """About how many requests it answered."""
        return sum(point.rps * point.seconds for point in self.points)


@dataclass(frozen=True, slots=True)
class Cutover:
    """All that was measured while traffic moved, what was judged, and when it was decided."""

    lines: Sequence[Line]
    weights: Sequence[tuple[float, float]]
    length: float
    decided: tuple[float, str] | None
    judged: Sequence[Judged]


def lines_of(promote: Evidence) -> list[Line]:
    """Return what each release answered, the promoted one first."""
    raw: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    names: dict[str, str] = {}
    for point in promote.series.get("traffic", []):
        release, colour = line(point.get("release"), 40), line(point.get("colour"), 12)
        if number(point.get("t")) is None or number(point.get("rps")) is None:
            continue
        raw[release].append(point)
        names[release] = f"{release or say('unknown release')} ({colour})" if colour else release
    candidate = line(promote.release, 40)
    order = sorted(raw, key=lambda release: (release != candidate, -len(raw[release])))[:_MOST_RELEASES]
    # The second style belongs to the release that served before, also when the candidate got no traffic.
    styles = _STYLES if candidate in order else _STYLES[1:]
    return [
        Line(names[release], kind, shape, _points(raw[release]))
        for release, (kind, shape) in zip(order, styles, strict=False)
    ]


def _points(raw: Sequence[Mapping[str, object]]) -> list[Point]:
    found = sorted(raw, key=lambda point: number(point.get("t")) or 0.0)
    times = [number(point.get("t")) or 0.0 for point in found]
    gaps = sorted(b - a for a, b in pairwise(times) if b > a)
    width = gaps[len(gaps) // 2] if gaps else 1.0
    return [
        Point(
            t=t,
            rps=max(number(point.get("rps")) or 0.0, 0.0),
            failed=max(number(point.get("failed")) or 0.0, 0.0),
            p95=number(point.get("p95_ms")),
            seconds=width,
        )
        for t, point in zip(times, found, strict=True)
    ]


def thin(entry: Line, most: int) -> Line:
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
            Point(
                group[0].t,
                sum(point.rps * point.seconds for point in group) / span,
                sum(point.failed for point in group),
                max(p95) if p95 else None,
                span,
            )
        )
    return Line(entry.name, entry.kind, entry.shape, merged)


def weights_of(promote: Evidence) -> list[tuple[float, float]]:
    """Return when the new release got which share of the traffic, in percent."""
    found = []
    for point in promote.series.get("weights", []):
        t, percent = number(point.get("t")), number(point.get("candidate_percent"))
        if t is not None and percent is not None:
            found.append((max(t, 0.0), min(max(percent, 0.0), 100.0)))
    return sorted(found)[:200]


def decision(
    promote: Evidence, weights: Sequence[tuple[float, float]], length: float
) -> tuple[float, str] | None:
    """Return when the last change of weight was made, and what it decided."""
    changes = [b for a, b in pairwise(weights) if a[1] != b[1]]
    if not changes and not weights:
        return None
    t, percent = changes[-1] if changes else weights[0]
    if fact([promote], "outcome") == "rolled-back":
        # Evidence that does not say when the traffic was back has its last point there.
        return (min(t, length) if percent == 0 else length), ROLLED_BACK
    return (min(t, length), ROLLED_BACK if percent == 0 else PROMOTED) if percent in (0, 100) else None
