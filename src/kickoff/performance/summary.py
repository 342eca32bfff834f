"""The check's Markdown and CSV, rendered from its evidence. Pure functions."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from kickoff.evidence import URGENCY, Evidence
from kickoff.performance.samples import FEWEST

FEW = f"n < {FEWEST}"
"""Stands for a percentile of too few requests."""
_FIGURES = ("requests", "failures", "p50_ms", "p95_ms", "p99_ms", "mean_ms", "max_ms")
_PERCENTILES = frozenset({"p50_ms", "p95_ms", "p99_ms"})


def markdown(evidence: Evidence) -> str:
    """Return the verdict, every rule beside its measured value, and the endpoints' figures."""
    lines = [f"## {evidence.verdict.sign} {evidence.verdict.word}: {_cell(evidence.summary)}", ""]
    lines += ["| result | rule | measured | limit | samples |", "|---|---|---|---|---:|"]
    for rule in sorted(evidence.rules, key=lambda rule: URGENCY.index(rule.verdict)):
        reason = f"<br>{_cell(rule.reason)}" if rule.reason else ""
        lines.append(
            f"| {rule.sign} {rule.word} | {_cell(rule.rule)}{reason} "
            f"| {_cell(rule.measured)} | {_cell(rule.threshold)} | {rule.samples} |"
        )
    heads = " | ".join(name.replace("_", " ") for name in _FIGURES)
    lines += ["", f"| scenario | endpoint | side | {heads} |", "|---|---|---|" + "---:|" * len(_FIGURES)]
    for row in _rows(evidence):
        figures = " | ".join(_figure(row, name) for name in _FIGURES)
        lines.append(
            f"| {_cell(row.get('scenario', ''))} | {_cell(row['name'])} | {row['arm']} | {figures} |"
        )
    lines += ["", *_machine(evidence)]
    lines += [f"**Warning:** {_cell(warning)}." for warning in warnings(evidence)]
    return "\n".join(lines) + "\n"


def _figure(row: Mapping[str, Any], name: str) -> str:
    if name in _PERCENTILES and _few(row):
        return FEW
    return "none" if row[name] is None else f"{row[name]:g}"


def _few(row: Mapping[str, Any]) -> bool:
    return bool(row["requests"] - row["failures"] < FEWEST)


def warnings(evidence: Evidence) -> list[str]:
    """Return why the figures may be the load generator's own instead of the service's."""
    generator = evidence.facts["generator"]
    found = []
    if generator["saturated"]:
        found.append(f"{generator['saturated']}; times and throughput are the generator's, not the service's")
    if generator["near_ceiling"]:
        found.append(generator["near_ceiling"])
    return found


def _machine(evidence: Evidence) -> list[str]:
    generator, resources = evidence.facts["generator"], evidence.facts["resources"]
    able = f"; one core could send about {generator['requests_per_core']}/s" * bool(
        generator["requests_per_core"]
    )
    lines = [f"Load generator: {generator['cpu']:.0%} of one processor{able}.  "]
    for side in resources["sides"]:
        lines.append(
            f"Service ({side['arm']}): processor {side['cpu_mean']:.0%} of a core on average, "
            f"{side['cpu_max']:.0%} at most; memory {side['memory_max_mb']:.0f} MB at most, "
            f"{side['memory_growth_mb']:+.1f} MB over the run; {side['answers_mb']:.1f} MB of answers.  "
        )
    if resources["unmeasured"]:
        lines.append(f"Service's processor and memory: not measured, {_cell(resources['unmeasured'])}.  ")
    return lines


def aggregates_csv(evidence: Evidence) -> str:
    """Return a line per scenario, endpoint and side; ``note`` says where percentiles are of few requests."""
    text = io.StringIO()
    columns = ("scenario", "name", "arm", *_FIGURES, "note")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in _rows(evidence):
        writer.writerow({**row, "note": f"fewer than {FEWEST} successes" if _few(row) else ""})
    return text.getvalue()


def _rows(evidence: Evidence) -> list[Mapping[str, Any]]:
    return [*evidence.facts["endpoints"], *evidence.facts["endpoints_live"]]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
