"""The verdict of a whole run. Everything that is not known to be good is not good."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from kickoff import logs, naming
from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, Verdict, fields
from kickoff.evidence.stages import DEPLOYING
from kickoff.report import judged, measures, next_steps
from kickoff.report.judgement import Judgement, judge, stopped
from kickoff.report.language import marked, named, say, told
from kickoff.report.messages import clean, duration, headline, line, moment, number, plural
from kickoff.report.run import Run, fact
from kickoff.report.serving import NOBODY_SAID, Serving, live_down, serving_now
from kickoff.report.verdicts import GOOD, RunVerdict

LOG_LINES = 19
"""Lines of a log that a failure is explained by; the page holds more."""
_MOST = 2000
"""Characters of one line of a log: a whole message, and no flood."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run in words: what the terminal, the summary and the page all say.

    Attributes:
        verdict: How the run ended.
        exit_code: What the report exits with.
        service: Name of the service.
        environment: Where to; empty when nothing was deployed.
        release: The release concerned.
        at: Where a rejected release was stopped.
        why: The reason in one sentence; empty when all is well.
        cause: What the log behind it says went wrong, in one sentence; empty when it says nothing.
        fix: What to do about it, when the failed stage knows.
        serving: Who serves now.
        live_down: That live was down when the release was made, since when and why; empty when it was not.
        previous: Who served before, when it is kept for a rollback.
        address: Public address of the service.
        seconds: From the first stage's begin to the last one's end.
        finished: When the last stage ended, ISO 8601; empty without one.
        missing: Evidence that should be there, as ``stage.environment``.
        users: What users met of a release that did not stay.
        judged: By which other rules than the release before it was judged; empty where they are the same.
        measures: Response time and errors with their limits.
        p95_ms: The p95 of all requests that the performance check sent; ``None`` where it was not measured.
        verified: What shows that a rollback worked.
        undo: Command that takes the release back.
        next: Commands that make sense now.
        log_of: Stage that stopped the run, and whose log is in ``log_tail``; empty when it had not begun.
        log_tail: The lines of its log that explain the failure, and where the others are.
        report: Where the page is.
    """

    verdict: RunVerdict
    exit_code: int
    service: str = ""
    environment: str = ""
    release: str = ""
    at: str = ""
    why: str = ""
    cause: str = ""
    fix: str = ""
    serving: Serving = NOBODY_SAID
    live_down: str = ""
    previous: str = ""
    address: str = ""
    seconds: float = 0.0
    finished: str = ""
    missing: tuple[str, ...] = ()
    users: str = ""
    judged: str = ""
    measures: str = ""
    p95_ms: float | None = None
    verified: str = ""
    undo: str = ""
    next: tuple[str, ...] = ()
    log_of: str = ""
    log_tail: tuple[str, ...] = ()
    report: str = ""

    @property
    def title(self) -> str:
        """The verdict's word, and where it fell."""
        return say("{verdict} {at}", verdict=self.verdict.word, at=self.at) if self.at else self.verdict.word

    @property
    def subject(self) -> str:
        """The action, its release and its environment in one line."""
        what = " ".join(part for part in (self.service, self.release) if part)
        if self.verdict is RunVerdict.ROLLED_BACK and self.serving.release:
            return f"{self.environment} {self.release or say('a release')} → {self.serving.release}"
        if not self.environment:
            return say("{what}, nothing deployed", what=what) if self.verdict is RunVerdict.CHECKED else what
        if self.verdict is RunVerdict.UNCHANGED:
            return say("{what} in {environment}", what=what, environment=self.environment)
        return f"{what} → {self.environment}"

    @property
    def headline(self) -> str:
        """The first line of the closing block: as much as one row holds of what the rows below do not say."""
        verdict, took = f"{self.verdict.icon} {self.title}", f"   {duration(self.seconds)}"
        # Who serves after a rollback has a row of its own.
        briefly = self.subject.partition(" → ")[0] if self.verdict is RunVerdict.ROLLED_BACK else self.subject
        forms = (self.subject + took, briefly + took, briefly)
        return headline(*(f"{verdict}  {form}" for form in forms))

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form that ``outcome.json`` holds and ``closing_block`` reads."""
        return {
            "version": 1,
            "verdict": self.verdict.value,
            "exit_code": int(self.exit_code),
            "headline": self.headline,
            "why": self.why,
            "cause": self.cause,
            "fix": self.fix,
            "service": self.service,
            "environment": self.environment,
            "release": self.release,
            "serving": str(self.serving) if self.environment else "",
            "serving_release": self.serving.release if self.environment else "",
            "serving_asked": self.serving.asked,
            "serving_share": self.serving.share,
            "live_down": self.live_down,
            "previous": self.previous,
            "address": self.address,
            "seconds": round(self.seconds, 3),
            "finished": self.finished,
            "missing": list(self.missing),
            "users": self.users,
            "judged": self.judged,
            "measures": self.measures,
            "p95_ms": self.p95_ms,
            "verified": self.verified,
            "undo": self.undo,
            "next": "   ·   ".join(self.next),
            "report": self.report,
            "log_of": self.log_of,
            "log_tail": list(self.log_tail),
        }


def decide(run: Run, report: str = "") -> Outcome:
    """Return the outcome of a run: that of its most urgent deployment.

    Args:
        run: What the run left behind.
        report: Where the page will be, for the closing block.
    """
    outcomes = each(run)
    worst = min(outcomes, key=lambda outcome: (list(RunVerdict).index(outcome.verdict), -outcome.exit_code))
    where, taken_back = worst.environment.split(", ")[0], worst.verdict is RunVerdict.TAKEN_BACK
    steps = next_steps.commands(
        run,
        where,
        code=worst.exit_code,
        stage=worst.log_of,
        taken_back=taken_back,
        of_environment=worst.verdict is RunVerdict.INVALID and ".env:" in f"{worst.why} {worst.fix}",
        down=worst.serving.down,
        logged=bool(worst.log_tail),
    )
    finished = max((document.finished for document in run.evidence), default="")
    return replace(worst, report=report, next=steps, finished=finished)


def each(run: Run) -> list[Outcome]:
    """Return the outcome of every deployment, or the one of a run that deploys nothing."""
    if not run.evidence and stopped(run, {}) is None:
        nothing = say("no stage left any evidence, and no data is never a pass")
        why = "; ".join([nothing, *_broken(run)[:1], *map(line, run.problems[:3])])
        missing = tuple(f"stage.{name}" for name in run.environments)
        return [
            Outcome(
                RunVerdict.INCONCLUSIVE,
                ExitCode.INCONCLUSIVE,
                service=run.service,
                environment=", ".join(run.environments),
                why=why,
                missing=missing,
            )
        ]
    found = [_deployment(run, name) for name in run.environments] or [_checks_only(run)]
    return [_doubt(run, outcome) for outcome in found]


def seconds(documents: Sequence[Evidence]) -> float:
    """Return the time from the first begin to the last end, in seconds."""
    begins = [time for d in documents if (time := moment(d.started))]
    ends = [time for d in documents if (time := moment(d.finished))]
    return max((max(ends) - min(begins)).total_seconds(), 0.0) if begins and ends else 0.0


def _deployment(run: Run, environment: str) -> Outcome:
    found = run.of(environment)
    documents = list(found.values())
    judgement = judge(run, environment)
    verdict = judgement.verdict
    serving = serving_now(documents)
    untouched = not any(document.stage in DEPLOYING for document in documents)
    if untouched and (judgement.stage or judgement.at or verdict is RunVerdict.INTERRUPTED):
        serving = Serving(
            known=False, note=marked("as before: this run did not get as far as the environment")
        )
    if verdict is RunVerdict.TAKEN_BACK:
        serving = Serving(known=False, note=marked("what the other run brings back"))
    begun = not _refused_at_once(judgement.stage)
    if not begun and not serving.release:
        serving = Serving(known=False, note=marked("as before: this run changed nothing"))
    release = line(_release(found), 80)
    stayed = verdict in (RunVerdict.RELEASED, RunVerdict.UNCHANGED)
    if not release and run.plan:
        release = line(run.plan.commit, 200)[:7]
    previous = line(fact(documents, "previous"), 80)
    return Outcome(
        verdict=verdict,
        exit_code=judgement.exit_code,
        service=run.service,
        environment=line(environment, 60),
        release=release,
        at=judgement.at,
        why=judgement.why,
        cause=_cause(judgement, [*run.shared, *documents]),
        fix=judgement.fix,
        serving=serving,
        live_down=live_down(documents),
        previous=previous if verdict is RunVerdict.RELEASED and previous != serving.release else "",
        address=line(fact(documents, "address"), 200),
        seconds=seconds([*run.shared, *documents]),
        missing=judgement.missing,
        users="" if stayed or not begun or "stage" not in found else _users(found),
        judged=judged.sentence(found.get("stage")),
        measures=measures.headline(found.get("perf-baseline")) if stayed else "",
        p95_ms=measures.p95(found.get("perf-baseline")),
        verified=verified(found) if verdict is RunVerdict.ROLLED_BACK else "",
        undo=_undo(run, environment) if verdict is RunVerdict.RELEASED and previous else "",
        log_of=judgement.stage.stage if judgement.stage and begun else "",
        log_tail=_log(judgement.stage, [*run.shared, *documents], release),
    )


def _refused_at_once(stage: Evidence | None) -> bool:
    """Return whether a stage was refused before there was a candidate."""
    return stage is not None and stage.stage == "stage" and stage.facts.get("outcome") == "refused"


def _checks_only(run: Run) -> Outcome:
    judgement = stopped(run, {}) or Judgement(RunVerdict.CHECKED)
    stage = judgement.stage
    return Outcome(
        verdict=judgement.verdict,
        exit_code=judgement.exit_code,
        service=run.service,
        release=line(run.plan.commit, 200)[:7] if run.plan else line(fact(run.evidence, "commit"), 7),
        at=judgement.at,
        why=judgement.why,
        cause=_cause(judgement, run.evidence),
        fix=judgement.fix,
        seconds=seconds(run.evidence),
        log_of=stage.stage if stage else "",
        log_tail=_log(stage, run.evidence, ""),
    )


def _doubt(run: Run, outcome: Outcome) -> Outcome:
    """Take a good verdict back when a job failed or a document cannot be read."""
    if outcome.verdict not in GOOD:
        return outcome
    reasons = [*map(line, run.problems), *_broken(run)]
    if not reasons:
        return outcome
    was = {
        "released": say("the release is live, but {reasons}"),
        "unchanged": say("the release was live already, but {reasons}"),
    }
    return replace(
        outcome,
        verdict=RunVerdict.INCONCLUSIVE,
        exit_code=ExitCode.INCONCLUSIVE,
        why=was.get(outcome.verdict, "{reasons}").format(reasons="; ".join(reasons[:3])),
    )


def _release(found: Mapping[str, Evidence]) -> str:
    for name in ("promote", "stage"):
        if name in found and found[name].release:
            return found[name].release
    rollback = found.get("rollback")
    if rollback is not None:
        # A requested rollback is about the release that was taken out of service.
        return fields.read(rollback.facts, fields.RolledBack).get("previous") or rollback.release
    return next((d.release for d in found.values() if d.release), "")


def candidate_requests(promote: Evidence | None) -> float | None:
    """Return about how many requests the promoted release answered during the cutover."""
    if promote is None:
        return None
    points = [p for p in promote.series.get("traffic", []) if p.get("release") == promote.release]
    rates = ((number(point.get("t")), number(point.get("rps"))) for point in points)
    pairs = sorted((t, rate) for t, rate in rates if t is not None and rate is not None)
    gaps = sorted(b[0] - a[0] for a, b in pairwise(pairs) if b[0] > a[0])
    width = gaps[len(gaps) // 2] if gaps else 1.0
    return sum(rate for _, rate in pairs) * width if pairs else None


def _users(found: Mapping[str, Evidence]) -> str:
    requests = candidate_requests(found.get("promote"))
    if requests:
        return say("about {requests} reached the candidate", requests=plural(round(requests), "request"))
    return "" if "promote" in found else say("no user met the candidate")


def verified(found: Mapping[str, Evidence]) -> str:
    """Return what shows that a rollback worked; empty when nothing does."""
    shows = {
        "rollback": ("release.public-address", "rollback.withdrawn"),
        "watch": ("rollback.verified", "rollback.withdrawn"),
        "promote": ("rollback.verified",),
    }
    for name, identities in shows.items():
        for rule in found[name].rules if name in found else ():
            if rule.id in identities and rule.verdict is Verdict.PASS:
                return f"{named(line(rule.rule), rule.id)}: {told(line(rule.measured))}"
    return ""


def _source(stage: Evidence, documents: Sequence[Evidence]) -> Evidence:
    """Return the evidence whose log explains what a stage found: its own, or that of an earlier one."""
    return stage if stage.log_tail else next((d for d in documents if d.log_tail), stage)


def _cause(judgement: Judgement, documents: Sequence[Evidence]) -> str:
    """Return what the log behind a failure says in one sentence, unless the reason says so already."""
    if judgement.stage is None:
        return ""
    said = line(logs.essence(_source(judgement.stage, documents).log_tail), _MOST)
    return "" if said in judgement.why else said


def _log(stage: Evidence | None, documents: Sequence[Evidence], release: str) -> tuple[str, ...]:
    """Return the log behind a failure as people read it, with the place of what is left out."""
    if stage is None:
        return ()
    source = _source(stage, documents)
    found = logs.excerpt(source.log_tail, LOG_LINES).text(whole_log(source, release))
    return tuple(shortened(entry.replace("\n", " ").expandtabs(4)) for entry in found)


def whole_log(source: Evidence, release: str) -> str:
    """Return where the whole log is that a stage kept a part of; empty where there is no more than that."""
    if not source.rules:
        return ""
    if source.stage not in DEPLOYING and source.stage != "smoke-candidate":
        return f"logs/{source.stage}-*.log of the evidence"
    live = source.stage in ("smoke-live", "watch")
    process = "" if live else f" --process {shlex.quote(release) if '-' in release else 'candidate'}"
    return f"kickoff logs --env {shlex.quote(line(source.environment, 60))}{process}"


def shortened(entry: str) -> str:
    """Return one line of a log, made safe to show; a flood ends with how much of it is left out."""
    text = clean(entry).rstrip()
    left = len(text) - _MOST
    return text if left <= 0 else f"{text[:_MOST]} … {plural(left, 'more character')}"


def _broken(run: Run) -> list[str]:
    """Return a sentence for each job that did not end well."""
    jobs = run.plan.jobs if run.plan else {}
    fine = ("success", "skipped")
    return [
        say("the job {name} ended with {result}", name=line(name, 80), result=told(line(result, 40)))
        for name, result in jobs.items()
        if result not in fine
    ]


def _undo(run: Run, environment: str) -> str:
    workflow = naming.file("rollback", run.label)
    if run.run_url and workflow in run.workflows:
        return f"gh workflow run {workflow} -f environment={shlex.quote(line(environment, 60))}"
    return f"kickoff rollback --env {shlex.quote(line(environment, 60))}"
