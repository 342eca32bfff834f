"""The tables of a report as plain data, for Markdown and HTML alike. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kickoff.evidence import URGENCY, Evidence, RuleResult, Verdict, fields
from kickoff.evidence.stages import proving
from kickoff.report.judgement import missing_evidence
from kickoff.report.messages import DASH, change, duration, line, moment, number, signed
from kickoff.report.run import Run, fact

_MOST_IDENTITIES = 30


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule and the stage it belongs to."""

    stage: str
    rule: RuleResult


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage: when it began after the first one, how long it took, how it ended; seconds."""

    name: str
    environment: str
    verdict: Verdict
    summary: str
    begin: float
    length: float
    missing: bool = False

    @property
    def label(self) -> str:
        """Name, with the environment when the stage belongs to one."""
        return f"{self.name} · {self.environment}" if self.environment else self.name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the candidate beside the live release; times in milliseconds."""

    name: str
    scenario: str
    requests: float | None
    failures: float | None
    mean: float | None
    candidate: Mapping[str, float | None]
    live: Mapping[str, float | None]
    interval: str

    @property
    def change(self) -> str:
        """The change of the p95 against live, with the interval of the comparison if there was one."""
        before, after = self.live.get("p95"), self.candidate.get("p95")
        if before is None or after is None or before <= 0:
            return DASH
        return change(before, after)


def gates(run: Run) -> list[Gate]:
    """Return every rule of every stage, failures first, then doubts; otherwise in order of time."""
    several = len(run.environments) > 1
    found = [
        Gate(line(f"{d.stage} · {d.environment}", 36) if several and d.environment else d.stage, rule)
        for d in run.evidence
        for rule in d.rules
    ]
    return sorted(found, key=lambda gate: URGENCY.index(gate.rule.verdict))


def shown_verdict(document: Evidence) -> Verdict:
    """Return a stage's verdict; an abort that did what it was for has none of its own."""
    aborted = document.stage == "abort" and document.facts.get("outcome") == "aborted"
    return Verdict.NOT_APPLICABLE if aborted else document.verdict


def tally(found: Sequence[Gate]) -> str:
    """Return how the gates came out: ``1 failed, 17 passed, 3 not applicable``."""
    words = ("failed", "inconclusive", "passed", "not applicable")
    amounts = [sum(gate.rule.verdict is verdict for gate in found) for verdict in URGENCY]
    parts = [f"{amount:,} {word}" for amount, word in zip(amounts, words, strict=True) if amount]
    return ", ".join(parts) or "none"


def events(run: Run) -> list[tuple[str, str, str]]:
    """Return the journal in order of time: time, stage, and the event with its details."""
    found = []
    for document in run.evidence:
        for event in document.timeline:
            text = ", ".join([line(event.get("event"), 240), *_details(event)])
            found.append((line(event.get("at"))[:23], document.stage, text))
    return sorted(found, key=lambda entry: entry[0])


def _details(event: Mapping[str, Any]) -> list[str]:
    details = []
    for key, value in event.items():
        length = number(value)
        if key in ("at", "event", "step"):
            continue
        if key == "seconds" and length is not None:
            details.append(duration(length))
        elif isinstance(value, dict):
            details += [f"{line(name, 40)} {line(part, 40)}" for name, part in list(value.items())[:6]]
        else:
            details.append(f"{line(key, 40)} {line(value, 80)}")
    return details[:10]


def stages(run: Run) -> list[StageRow]:
    """Return every stage in order of time, and at the end those that should have left evidence."""
    begins = [time for d in run.evidence if (time := moment(d.started))]
    zero = min(begins) if begins else None
    several = len(run.environments) > 1

    def row(document: Evidence) -> StageRow:
        begin, end = moment(document.started), moment(document.finished)
        known = begin is not None and end is not None and zero is not None
        return StageRow(
            name=document.stage,
            environment=line(document.environment, 60) if several else "",
            verdict=shown_verdict(document),
            summary=line(document.summary),
            begin=(begin - zero).total_seconds() if known and begin and zero else 0.0,
            length=max((end - begin).total_seconds(), 0.0) if known and begin and end else 0.0,
        )

    rows = [row(document) for document in run.evidence]
    for environment in run.environments:
        for name in _expected(run, environment):
            if f"{name}.{environment}" in missing_evidence(run, environment) and name not in run.of(
                environment
            ):
                label = line(environment, 60) if several else ""
                rows.append(
                    StageRow(name, label, Verdict.INCONCLUSIVE, "left no evidence", 0.0, 0.0, missing=True)
                )
    return rows


def _expected(run: Run, environment: str) -> Sequence[str]:
    """Return the stages whose absence nothing that happened before explains."""
    found = run.of(environment)
    before = [*run.shared, *found.values()]
    if any(d.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) for d in before) or "abort" in found:
        return ()
    return proving(run.required(environment))


def endpoints(perf: Evidence | None) -> list[Endpoint]:
    """Return the endpoints of the performance check, the slowest first."""
    if perf is None:
        return []
    live = {line(row.get("name"), 120): row for row in _mappings(perf.facts.get("endpoints_live"))}
    intervals = {
        line(row.get("endpoint"), 120): _interval(row)
        for row in _mappings(perf.facts.get("comparison"))
        if row.get("kind") == "p95"
    }
    found = []
    for row in _mappings(perf.facts.get("endpoints")):
        name = line(row.get("name"), 120)
        found.append(
            Endpoint(
                name=name,
                scenario=line(row.get("scenario"), 60),
                requests=number(row.get("requests")),
                failures=number(row.get("failures")),
                mean=number(row.get("mean_ms")),
                candidate=_percentiles(row),
                live=_percentiles(live.get(name, {})),
                interval=intervals.get(name, ""),
            )
        )
    return sorted(found, key=lambda endpoint: -(endpoint.candidate["p95"] or 0.0))


def identities(run: Run, documents: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Return what tells exactly what was shipped: digests, hashes, revisions; each value once."""
    found: dict[str, str] = {}
    if run.plan and run.plan.commit:
        found["commit"] = line(run.plan.commit, 64)
    for document in documents:
        for label, value in fields.identities(document.stage, document.facts):
            if value not in found.values():
                found.setdefault(label, line(value, 100))
    return list(found.items())[:_MOST_IDENTITIES]


def facts(run: Run, outcome_facts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the run's own facts after those of its outcome, without the empty ones."""
    documents = run.evidence
    begins = sorted(d.started for d in documents)
    plan = run.plan
    where = "GitHub" if run.run_url else "this machine"
    rows = [
        *outcome_facts,
        ("commit", (plan.commit if plan and plan.commit else line(fact(documents, "commit"), 64))[:12]),
        ("started by", run.actor),
        ("event", " on ".join(part for part in (plan.event, plan.ref) if part) if plan else ""),
        ("because", plan.reason if plan else ""),
        *_shown(documents),
        ("ran on", where),
        ("started", line(begins[0].replace("T", " ")[:19] + " UTC", 40) if begins else ""),
    ]
    return [(name, line(value)) for name, value in rows if value]


def _shown(documents: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Return the facts that their types mark as shown; of several stages' the last counts."""
    found: dict[str, str] = {}
    for document in documents:
        for mark, value in fields.shown(document.stage, document.facts):
            length = number(value) if mark.unit == "s" else None
            text = value
            if isinstance(value, list):
                text = ", ".join(str(one[mark.key] if mark.key else one) for one in value)
            found[mark.label] = duration(length) if length is not None else line(text, 200)
    return list(found.items())


def stage_length(row: StageRow) -> str:
    """Return how long a stage took, or a dash when it left no evidence."""
    return DASH if row.missing else duration(row.length)


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _percentiles(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: number(row.get(f"{name}_ms")) for name in ("p50", "p95", "p99")}


def _interval(row: Mapping[str, Any]) -> str:
    low, high = number(row.get("low")), number(row.get("high"))
    return "" if low is None or high is None else f"{signed(low * 100)} … {signed(high * 100)}"
