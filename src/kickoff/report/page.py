"""The report page: one HTML file, offline, complete without scripts. A pure function."""

import base64
import gzip
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kickoff.evidence import Verdict
from kickoff.report import assets, messages, tables
from kickoff.report.charts.latency import distribution, percentiles
from kickoff.report.charts.svg import Figure
from kickoff.report.charts.timeline import timeline
from kickoff.report.charts.traffic import traffic
from kickoff.report.judgement import GOOD, RunVerdict
from kickoff.report.outcome import Outcome, each
from kickoff.report.run import Run, fact

LIMIT = 300_000
"""Bytes the page may have."""


@dataclass(frozen=True, slots=True)
class Detail:
    """Most rows of a long list that are shown; everything is in the data file.

    Attributes:
        points: Points of a line in a chart.
        rows: Rows of the tables of gates and stages.
        table: Rows of the table behind a chart.
        log: Lines of the log.
        events: Events of the journal.
        data: Bytes of the embedded data.
    """

    points: int
    rows: int
    table: int
    log: int
    events: int
    data: int


LEVELS = (
    Detail(points=200, rows=300, table=60, log=200, events=200, data=80_000),
    Detail(points=120, rows=120, table=40, log=100, events=60, data=50_000),
    Detail(points=60, rows=60, table=20, log=40, events=30, data=30_000),
    Detail(points=30, rows=25, table=10, log=20, events=10, data=0),
)


def render(run: Run, outcome: Outcome, limit: int = LIMIT) -> str:
    """Return the page with as much detail as its limit in bytes allows.

    Args:
        run: What the run left behind.
        outcome: Its outcome.
        limit: Most bytes the page may have.
    """
    page = ""
    for detail in LEVELS:
        page = _render(run, outcome, detail)
        if len(page.encode()) <= limit:
            break
    return page


def _render(run: Run, outcome: Outcome, detail: Detail) -> str:
    found = tables.gates(run)
    stages = tables.stages(run)
    jobs = run.plan.jobs if run.plan else {}
    data, data_note = _data(run, outcome, detail.data)
    text: str = assets.template("page.html").render(
        **assets.parts(),
        outcome=outcome,
        kind=_kind(outcome),
        good=outcome.verdict in GOOD,
        others=[entry for entry in each(run) if len(run.environments) > 1],
        facts=tables.facts(run, _facts(run, outcome)),
        gates=found[: detail.rows],
        gates_left=max(0, len(found) - detail.rows),
        tally=tables.tally(found),
        stages=stages[: detail.rows],
        stages_left=max(0, len(stages) - detail.rows),
        timeline=timeline(stages, min(detail.rows, 60)),
        deployments=[_deployment(run, name, detail) for name in run.environments[:4]],
        logs=_logs(run, outcome, detail),
        events=[(at[11:], *rest) for at, *rest in tables.events(run)[-detail.events :]],
        jobs=[(messages.line(job, 80), messages.line(end, 40)) for job, end in jobs.items()],
        problems=[messages.line(problem) for problem in run.problems[:20]],
        identities=tables.identities(run, run.evidence),
        reproduce=_reproduce(run, outcome),
        run_url=run.run_url if run.run_url.startswith("https://") else "",
        data=data,
        data_note=data_note,
        stage_length=tables.stage_length,
        duration=messages.duration,
        milliseconds=messages.milliseconds,
        count=messages.count,
        line=messages.line,
    )
    return text


@dataclass(frozen=True, slots=True)
class _Shown:
    """One deployment as the page shows it."""

    environment: str
    heading: str
    traffic: Figure
    latency: Sequence[Figure]
    endpoints: Sequence[tables.Endpoint]
    compared: bool


def _deployment(run: Run, environment: str, detail: Detail) -> _Shown:
    found = run.of(environment)
    perf = found.get("perf-baseline")
    endpoints = tables.endpoints(perf)[: detail.rows]
    key = f"{run.environments.index(environment)}"
    figures = [distribution(perf, key), percentiles(perf, endpoints, key)]
    return _Shown(
        environment=messages.line(environment, 60),
        heading=f" in {messages.line(environment, 60)}" if len(run.environments) > 1 else "",
        traffic=traffic(found.get("promote"), key, detail.points, detail.table),
        latency=[figure for figure in figures if figure is not None],
        endpoints=endpoints,
        compared=any(endpoint.live["p95"] is not None for endpoint in endpoints),
    )


def _kind(outcome: Outcome) -> str:
    if outcome.verdict in (RunVerdict.REJECTED, RunVerdict.ROLLBACK_FAILED):
        return "fail"
    if outcome.verdict in (RunVerdict.ROLLED_BACK, RunVerdict.INCONCLUSIVE):
        return "doubt"
    return "none" if outcome.verdict is RunVerdict.UNCHANGED else "pass"


def _facts(run: Run, outcome: Outcome) -> list[tuple[str, str]]:
    return [
        ("service", run.service),
        ("release", outcome.release),
        ("previous", outcome.previous),
        ("environment", outcome.environment),
        ("took", messages.duration(outcome.seconds)),
    ]


def _reproduce(run: Run, outcome: Outcome) -> str:
    commit = run.plan.commit if run.plan else messages.line(fact(run.evidence, "commit"), 64)
    name = shlex.quote(outcome.environment)
    what = f"kickoff deploy --env {name}" if outcome.environment else "kickoff check"
    return f"git checkout {commit} && {what}" if re.fullmatch("[0-9a-f]{7,64}", commit) else ""


def _logs(run: Run, outcome: Outcome, detail: Detail) -> list[tuple[str, bool, str]]:
    """Return the logs: name, whether it explains the failure, text; the one that explains comes first."""
    found = []
    for document in run.evidence:
        if not document.log_tail:
            continue
        name = f"{document.stage} · {document.environment}" if document.environment else document.stage
        explains = document.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
        text = messages.clean("\n".join(entry[:2000] for entry in document.log_tail[-detail.log :])).strip(
            "\n"
        )
        shown = "\n".join(entry.rstrip()[:400] for entry in text.split("\n")[-detail.log :])
        found.append((document.stage != outcome.log_of, name, explains, shown))
    found.sort(key=lambda entry: entry[0])
    return [(name, explains, shown) for _, name, explains, shown in found[:6]]


def _data(run: Run, outcome: Outcome, limit: int) -> tuple[str, str]:
    """Return everything the page is made of as a data address, and what was left out of it."""
    document: dict[str, Any] = {
        "plan": asdict(run.plan) if run.plan else None,
        "problems": run.problems,
        "outcome": outcome.to_document(),
        "evidence": [asdict(entry) for entry in run.evidence],
    }
    for note in ("", "Too long for the page, so the series of the charts are not part of it."):
        if note:
            for entry in document["evidence"]:
                entry["series"] = {}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str)
        # No time of writing in the file: the same evidence gives the same page.
        packed = gzip.compress(text.encode(errors="replace"), mtime=0)
        if len(packed) * 4 / 3 <= limit:
            return f"data:application/gzip;base64,{base64.b64encode(packed).decode()}", note
    return "", "The data is too long for the page; it is in the evidence folder of the run."
