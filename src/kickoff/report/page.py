"""The report page: one HTML file, offline, complete without scripts. A pure function."""

import base64
import gzip
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kickoff import logs
from kickoff.evidence import Verdict
from kickoff.report import assets, judged, messages, next_steps, past, tables
from kickoff.report.charts.latency import distribution, percentiles
from kickoff.report.charts.releases import releases
from kickoff.report.charts.steps import steps
from kickoff.report.charts.svg import Figure, Table
from kickoff.report.charts.timeline import timeline
from kickoff.report.charts.traffic import traffic
from kickoff.report.language import ENGLISH, say, stage, using
from kickoff.report.outcome import Outcome, decide, each, shortened, whole_log
from kickoff.report.past import Past, meaning
from kickoff.report.run import Run

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
        kind=meaning(outcome.verdict, outcome.exit_code),
        good=not outcome.exit_code,
        address=messages.link(outcome.address),
        others=[entry for entry in each(run) if len(run.environments) > 1],
        facts=[(name, value, _link(run, name)) for name, value in tables.facts(run, _facts(run, outcome))],
        gates=tables.by_stage(found[: detail.rows]),
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
        releases=_releases(run, outcome),
        index=run.index,
        run_url=messages.link(run.run_url),
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
    steps: Table | None
    judged: judged.Judged | None
    latency: Sequence[Figure]
    page: str
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
        heading=say(" in {environment}", environment=messages.line(environment, 60))
        if len(run.environments) > 1
        else "",
        traffic=traffic(found.get("promote"), key, detail.points, detail.table),
        steps=steps(found.get("promote")),
        judged=judged.read(found.get("stage")),
        page=run.pages.get(environment, ""),
        latency=[figure for figure in figures if figure is not None],
        endpoints=endpoints,
        compared=any(endpoint.effect is not None for endpoint in endpoints),
    )


def _link(run: Run, name: str) -> str:
    """Return where a fact leads to."""
    return messages.link(run.commit_url) if name == say("commit") else ""


def _releases(run: Run, outcome: Outcome) -> Figure | None:
    """Return the chart of the last releases of the environment, this run the last one."""
    if not outcome.environment:
        return None
    before = past.of(run.past, outcome.environment)[1 - past.MOST :]
    this = Past(
        run=say("this"),
        environment=outcome.environment,
        verdict=outcome.verdict,
        exit_code=outcome.exit_code,
        release=outcome.release,
        finished=outcome.finished,
        seconds=outcome.seconds,
        p95_ms=outcome.p95_ms,
        why=outcome.why,
        page="",
    )
    return releases([*before, this], "releases", current=True)


def _facts(run: Run, outcome: Outcome) -> list[tuple[str, str]]:
    return [
        (say("service"), run.service),
        (say("release"), outcome.release),
        (say("previous"), outcome.previous),
        (say("environment"), outcome.environment),
        (say("took"), messages.duration(outcome.seconds)),
    ]


def _reproduce(run: Run, outcome: Outcome) -> str:
    commit = run.commit
    name = shlex.quote(outcome.environment)
    what = next_steps.shipping(run, name) if outcome.environment else "kickoff check"
    return f"git checkout {commit} && {what}" if re.fullmatch("[0-9a-f]{7,64}", commit) else ""


def _logs(run: Run, outcome: Outcome, detail: Detail) -> list[tuple[str, bool, str]]:
    """Return the logs: name, whether it explains the failure, text; the one that explains comes first."""
    found = []
    for document in run.evidence:
        if not document.log_tail:
            continue
        name = stage(document.stage)
        name += f" · {document.environment}" if document.environment else ""
        explains = document.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
        whole = whole_log(document, document.release or outcome.release)
        if explains:
            lines = logs.excerpt(document.log_tail, detail.log).text(whole)
        else:
            last = document.log_tail[-detail.log :]
            left = logs.Excerpt((), len(document.log_tail) - len(last))
            lines = [*left.text(whole), *last]
        shown = "\n".join(shortened(entry) for entry in lines).strip("\n")
        found.append((document.stage != outcome.log_of, name, explains, shown))
    found.sort(key=lambda entry: entry[0])
    return [(name, explains, shown) for _, name, explains, shown in found[:6]]


def _data(run: Run, outcome: Outcome, limit: int) -> tuple[str, str]:
    """Return everything the page is made of as a data address, and what was left out of it."""
    with using(ENGLISH):  # a program reads it
        said = decide(run, outcome.report).to_document()
    document: dict[str, Any] = {
        "plan": asdict(run.plan) if run.plan else None,
        "problems": run.problems,
        "outcome": said,
        "evidence": [asdict(entry) for entry in run.evidence],
    }
    for note in ("", say("Too long for the page, so the series of the charts are not part of it.")):
        if note:
            for entry in document["evidence"]:
                entry["series"] = {}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str)
        # No time of writing in the file: the same evidence gives the same page.
        packed = gzip.compress(text.encode(errors="replace"), mtime=0)
        if len(packed) * 4 / 3 <= limit:
            return f"data:application/gzip;base64,{base64.b64encode(packed).decode()}", note
    return "", say("The data is too long for the page; it is in the evidence folder of the run.")
