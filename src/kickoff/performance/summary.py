"""The check's Markdown and CSV, rendered from its evidence. Pure functions."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from kickoff.evidence import Evidence, Verdict

_WORDS = {
    Verdict.PASS: "✓ pass",
    Verdict.FAIL: "✗ fail",
    Verdict.INCONCLUSIVE: "? inconclusive",
    Verdict.NOT_APPLICABLE: "not applicable",
}
_FIGURES = ("requests", "failures", "p50_ms", "p95_ms", "p99_ms", "mean_ms", "max_ms")


def markdown(evidence: Evidence) -> str:
    """Return the verdict, every rule beside its measured value, and the endpoints' figures."""
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE]
    lines = [f"## {_WORDS[evidence.verdict]}: {_cell(evidence.summary)}", ""]
    lines += ["| result | rule | measured | limit | samples |", "|---|---|---|---|---:|"]
    for rule in sorted(evidence.rules, key=lambda rule: order.index(rule.verdict)):
        reason = f"<br>{_cell(rule.reason)}" if rule.reason else ""
        lines.append(
            f"| {_WORDS[rule.verdict]} | {_cell(rule.rule)}{reason} | {_cell(rule.measured)} "
            f"| {_cell(rule.threshold)} | {rule.samples} |"
        )
    lines += ["", "| endpoint | side | " + " | ".join(name.replace("_", " ") for name in _FIGURES) + " |"]
    lines.append("|---|---|" + "---:|" * len(_FIGURES))
    for row in _rows(evidence):
        figures = " | ".join("none" if row[name] is None else f"{row[name]:g}" for name in _FIGURES)
        lines.append(f"| {_cell(row['name'])} | {row['arm']} | {figures} |")
    generator = evidence.facts["generator"]
    lines += ["", f"Load generator: {generator['cpu']:.0%} of one processor."]
    if generator["saturated"]:
        lines.append(f"**Warning:** {generator['saturated']}; the figures may be the generator's own.")
    return "\n".join(lines) + "\n"


def aggregates_csv(evidence: Evidence) -> str:
    """Return one line per endpoint and side."""
    text = io.StringIO()
    columns = ("name", "arm", *_FIGURES)
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(evidence))
    return text.getvalue()


def _rows(evidence: Evidence) -> list[Mapping[str, Any]]:
    return [*evidence.facts["endpoints"], *evidence.facts["endpoints_live"]]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
