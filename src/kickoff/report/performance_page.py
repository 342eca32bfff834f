"""The frame of the pages about performance: one HTML file each, offline, complete without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kickoff.evidence import URGENCY, RuleResult, Verdict
from kickoff.report import assets, messages
from kickoff.report.charts.svg import Figure, Table

_KINDS = {Verdict.PASS: "pass", Verdict.FAIL: "fail", Verdict.INCONCLUSIVE: "doubt"}


@dataclass(frozen=True, slots=True)
class Content:
    """The parts of a page, from top to bottom."""

    verdict: Verdict
    title: str
    why: str
    subject: str = ""
    warnings: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    rules: Sequence[RuleResult] = ()
    sections: Sequence[tuple[str, Sequence[Figure]]] = ()
    tables: Sequence[tuple[str, Table]] = field(default=())


def render(content: Content) -> str:
    """Return the page."""
    text: str = assets.template("performance.html").render(
        **assets.parts(),
        verdict=content.verdict,
        kind=_KINDS.get(content.verdict, "none"),
        title=content.title,
        subject=content.subject,
        why=content.why,
        warnings=content.warnings,
        facts=content.facts,
        rules=sorted(content.rules, key=lambda rule: URGENCY.index(rule.verdict)),
        sections=content.sections,
        tables=content.tables,
        line=messages.line,
        count=messages.count,
    )
    return text
