"""The tables of a report as plain data, for Markdown and HTML alike. Pure functions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kickoff.evidence import URGENCY, Evidence, RuleResult, Verdict, fields
from kickoff.evidence.stages import proving
from kickoff.performance.samples import FEWEST
from kickoff.report.judgement import missing_evidence
from kickoff.report.language import headings, say, stage, told
from kickoff.report.messages import DASH, count, duration, line, milliseconds, moment, number, second, signed
from kickoff.report.run import Run

_MOST_IDENTITIES = 30


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule and the stage it belongs to; ``place`` is the stage's in order of time."""

    stage: str
    rule: RuleResult
    place: int = 0


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
        name = stage(self.name)
        return f"{name} · {self.environment}" if self.environment else name


@dataclass(frozen=True, slots=True)
class Effect:
    """One compared figure of an endpoint: its size, what that follows from, its interval, and the outcome."""

    size: str
    basis: str
    interval: str
    pairs: str
    word: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the candidate; times in milliseconds, over all of its requests.

    Percentiles of fewer than :data:`FEWEST` successes are ``None``, and ``few`` is true. The effect on the
    p95 is that of the comparison: what two plain percentiles differ by is another number.
    """

    name: str
    scenario: str
    requests: float | None
    failures: float | None
    mean: float | None
    few: bool
    candidate: Mapping[str, float | None]
    live: Mapping[str, float | None]
    effect: Effect | None

    def percentile(self, name: str) -> str:
        """Return a percentile of the candidate in words."""
        return f"n < {FEWEST}" if self.few else milliseconds(self.candidate[name])


def gates(run: Run) -> list[Gate]:
    """Return every rule of every stage, failures first, then doubts; otherwise in order of time."""
    several = len(run.environments) > 1
    found = [
        Gate(_of_stage(d, several), rule, place) for place, d in enumerate(run.evidence) for rule in d.rules
    ]
    # Findings of their own come before the plain passes.
    return sorted(found, key=lambda gate: (URGENCY.index(gate.rule.verdict), not gate.rule.finding))


def _of_stage(document: Evidence, several: bool) -> str:
    name = stage(document.stage)
    return line(f"{name} · {document.environment}", 60) if several and document.environment else name


@dataclass(frozen=True, slots=True)
class Group:
    """The gates of one stage; ``key`` is unique within the page."""

    key: str
    stage: str
    gates: Sequence[Gate]

    @property
    def verdict(self) -> Verdict:
        """The most urgent verdict among them."""
        return min((gate.rule.verdict for gate in self.gates), key=URGENCY.index)

    @property
    def urgency(self) -> int:
        """The place of its verdict among all."""
        return URGENCY.index(self.verdict)

    @property
    def open(self) -> bool:
        """True when a reader must see them: one failed, or nobody knows."""
        return self.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)

    @property
    def tally(self) -> str:
        """How they came out."""
        return tally(self.gates)


def by_stage(found: Sequence[Gate]) -> list[Group]:
    """Return gates by their stage: those with a failure first, otherwise in the order that they have."""
    stages: dict[str, list[Gate]] = {}
    for gate in found:
        stages.setdefault(gate.stage, []).append(gate)
    groups = [Group(f"gates-{of[0].place + 1}", stage, of) for stage, of in stages.items()]
    return sorted(
        groups, key=lambda group: (not group.open, group.open and group.urgency, group.gates[0].place)
    )


def shown_verdict(document: Evidence) -> Verdict:
    """Return a stage's verdict; an abort that did what it was for has none of its own."""
    aborted = document.stage == "abort" and document.facts.get("outcome") == "aborted"
    return Verdict.NOT_APPLICABLE if aborted else document.verdict


def tally(found: Sequence[Gate]) -> str:
    """Return how the gates came out: ``1 failed, 17 passed, 3 not applicable``."""
    words = headings("{amount} failed", "{amount} inconclusive", "{amount} passed", "{amount} not applicable")
    plain = [gate.rule for gate in found if not gate.rule.finding]
    amounts = {
        word: sum(rule.verdict is verdict for rule in plain)
        for verdict, word in zip(URGENCY, words, strict=True)
    }
    findings = Counter(told(line(gate.rule.finding, 40)) for gate in found if gate.rule.finding)
    amounts |= {say("{amount} {finding}", amount="{amount}", finding=word): n for word, n in findings.items()}
    said = [word.replace("{amount}", f"{n:,}") for word, n in amounts.items() if n]
    return say(", ").join(said) or say("none")


def events(run: Run) -> list[tuple[str, str, str]]:
    """Return the journal in order of time: time, stage, and the event with its details."""
    found = []
    for document in run.evidence:
        for event in document.timeline:
            text = ", ".join([told(line(event.get("event"), 240)), *_details(event)])
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
            summary=told(line(document.summary)),
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
                    StageRow(
                        name, label, Verdict.INCONCLUSIVE, say("left no evidence"), 0.0, 0.0, missing=True
                    )
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
    live = {_place(row, "name"): row for row in _mappings(perf.facts.get("endpoints_live"))}
    effects = {
        _place(row, "endpoint"): effect(row)
        for row in _mappings(perf.facts.get("comparison"))
        if row.get("kind") == "p95"
    }
    found = []
    for row in _mappings(perf.facts.get("endpoints")):
        name, scenario = place = _place(row, "name")
        found.append(
            Endpoint(
                name=name,
                scenario=scenario,
                requests=number(row.get("requests")),
                failures=number(row.get("failures")),
                mean=number(row.get("mean_ms")),
                few=few(row),
                candidate=_percentiles(row),
                live=_percentiles(live.get(place, {})),
                effect=effects.get(place) or effects.get((name, "")),
            )
        )
    return sorted(found, key=lambda endpoint: -(endpoint.candidate["p95"] or 0.0))


def identities(run: Run, documents: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Return what tells exactly what was shipped: digests, hashes, revisions; each value once."""
    found: dict[str, str] = {}
    if run.plan and run.plan.commit:
        found[say("commit")] = line(run.plan.commit, 64)
    for document in documents:
        for label, value in fields.identities(document.stage, document.facts):
            if value not in found.values():
                found.setdefault(say(label), line(value, 100))
    return list(found.items())[:_MOST_IDENTITIES]


def facts(run: Run, outcome_facts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the run's own facts after those of its outcome, without the empty ones."""
    documents = run.evidence
    begins = sorted(d.started for d in documents)
    plan = run.plan
    where = "GitHub" if run.run_url else say("this machine")
    rows = [
        *outcome_facts,
        (say("commit"), " ".join(part for part in (run.commit[:12], run.subject) if part)),
        (say("author"), run.author),
        (say("started by"), run.actor),
        (say("event"), say(" on ").join(part for part in (plan.event, plan.ref) if part) if plan else ""),
        (say("because"), told(plan.reason) if plan else ""),
        *_shown(documents),
        (say("ran on"), where),
        (say("started"), line(second(begins[0]), 40) if begins else ""),
    ]
    return [(name, line(value)) for name, value in rows if value]


def _shown(documents: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Return the facts that their types mark as shown; of several stages' the last counts."""
    found: dict[str, str] = {}
    for document in documents:
        for mark, value in fields.shown(document.stage, document.facts):
            length = number(value) if mark.unit == "s" else None
            text = second(value) if mark.unit == "time" else value
            if isinstance(value, list):
                text = ", ".join(str(one[mark.key] if mark.key else one) for one in value)
            if isinstance(value, int) and not isinstance(value, bool):
                text = f"{value:,}"
            found[say(mark.label)] = duration(length) if length is not None else told(line(text, 200))
    return list(found.items())


def stage_length(row: StageRow) -> str:
    """Return how long a stage took, or a dash when it left no evidence."""
    return DASH if row.missing else duration(row.length)


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _place(row: Mapping[str, Any], key: str) -> tuple[str, str]:
    return line(row.get(key), 120), line(row.get("scenario"), 60)


def few(row: Mapping[str, Any]) -> bool:
    """Return whether an endpoint's figures are of too few successes for percentiles."""
    requests = number(row.get("requests"))
    return requests is not None and requests - (number(row.get("failures")) or 0) < FEWEST


def _percentiles(row: Mapping[str, Any]) -> dict[str, float | None]:
    enough = not few(row)
    return {name: number(row.get(f"{name}_ms")) if enough else None for name in ("p50", "p95", "p99")}


def interval(low: float, high: float) -> str:
    """Return both ends of a 95 % interval in percent; 0.1 is 10 %."""
    return say("95% {low} to {high}", low=signed(low * 100, 1)[:-1], high=signed(high * 100, 1)[:-1])


def effect(row: Mapping[str, Any]) -> Effect | None:
    """Return a compared figure in words, ``None`` when nothing was measured.

    The effect on the p50 is a mean within pairs, and no two figures give it; the others follow from theirs.
    """
    size, low, high = (number(row.get(key)) for key in ("effect", "low", "high"))
    if size is None:
        return None
    live, candidate = number(row.get("live")), number(row.get("candidate"))
    kind, pairs = line(row.get("kind"), 20), count(number(row.get("pairs")))
    relative = kind in ("p50", "p95")
    basis = say("within pairs")
    if kind != "p50" and live is not None and candidate is not None:
        basis = f"{live:.2f} → {candidate:.2f} ms" if relative else f"{live:.2%} → {candidate:.2%}"
    return Effect(
        size=signed(size * 100, 1) if relative else say("{size} points", size=signed(size * 100, 2)[:-1]),
        basis=basis,
        interval=interval(low, high) if low is not None and high is not None else "",
        pairs=pairs,
        word=told(line(row.get("finding") or str(row.get("verdict") or "").replace("-", " "), 40)),
        verdict=line(row.get("verdict"), 20),
    )
