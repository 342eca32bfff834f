"""The judgements at each share of the traffic, from a promotion's evidence."""

from dataclasses import dataclass

from kickoff.evidence import URGENCY, Evidence, Verdict
from kickoff.report.charts.svg import Table
from kickoff.report.language import headings, named, told
from kickoff.report.messages import line, number


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgement at one share of the traffic; its verdict is the worst of its rules."""

    t: float
    percent: float
    verdict: Verdict


def steps(promote: Evidence | None) -> Table | None:
    """Return what was judged at each share of the traffic; ``None`` where the evidence does not tell."""
    body = [
        (
            f"{number(row.get('candidate_percent')) or 0:g}%",
            named(line(row.get("rule"), 80)),
            told(line(row.get("measured"), 80)),
            told(line(row.get("limit"), 80)),
            told(line(row.get("verdict"), 20)),
        )
        for row in (promote.series.get("judged", []) if promote else [])[:200]
    ]
    return Table(headings("share", "rule", "measured", "limit", "result"), body) if body else None


def judged(promote: Evidence) -> list[Judged]:
    """Return when each share was judged, and how; the worst rule of a share counts."""
    found: dict[float, Judged] = {}
    for row in promote.series.get("judged", [])[:1000]:
        t, percent = number(row.get("t")), number(row.get("candidate_percent"))
        verdict = next((known for known in URGENCY if known == row.get("verdict")), None)
        if t is None or percent is None or verdict is None:
            continue
        before = found.get(percent)
        if before is not None:
            verdict = min(verdict, before.verdict, key=URGENCY.index)
        found[percent] = Judged(max(t, 0.0), min(max(percent, 0.0), 100.0), verdict)
    return sorted(found.values(), key=lambda step: step.t)
