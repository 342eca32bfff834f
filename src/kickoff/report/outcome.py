"""The verdict of a whole run. Everything that is not known to be good is not good."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, Verdict, fields
from kickoff.evidence.stages import BEFORE_A_DEPLOYMENT
from kickoff.report.judgement import GOOD, RunVerdict, first_problem, judge
from kickoff.report.messages import clean, duration, line, moment, number, plural
from kickoff.report.run import Run, fact
from kickoff.report.serving import NOBODY_SAID, Serving, live_down, serving_now


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
        fix: What to do about it, when the failed stage knows.
        serving: Who serves now.
        live_down: That live was down when the release was made, since when and why; empty when it was not.
        previous: Who served before, when it is kept for a rollback.
        address: Public address of the service.
        seconds: From the first stage's begin to the last one's end.
        missing: Evidence that should be there, as ``stage.environment``.
        users: What users met of a release that did not stay.
        measures: Response time and errors with their limits.
        verified: What shows that a rollback worked.
        undo: Command that takes the release back.
        next: Commands that make sense now.
        log_of: Stage whose log is in ``log_tail``.
        log_tail: Last lines of the log that explains a failure.
        report: Where the page is.
    """

    verdict: RunVerdict
    exit_code: int
    service: str = ""
    environment: str = ""
    release: str = ""
    at: str = ""
    why: str = ""
    fix: str = ""
    serving: Serving = NOBODY_SAID
    live_down: str = ""
    previous: str = ""
    address: str = ""
    seconds: float = 0.0
    missing: tuple[str, ...] = ()
    users: str = ""
    measures: str = ""
    verified: str = ""
    undo: str = ""
    next: tuple[str, ...] = ()
    log_of: str = ""
    log_tail: tuple[str, ...] = ()
    report: str = ""

    @property
    def title(self) -> str:
        """The verdict's word, and where it fell."""
        return f"{self.verdict.word} {self.at}" if self.at else self.verdict.word

    @property
    def subject(self) -> str:
        """The action, its release and its environment in one line."""
        what = " ".join(part for part in (self.service, self.release) if part)
        if self.verdict is RunVerdict.ROLLED_BACK and self.serving.release:
            return f"{self.environment} {self.release or 'a release'} → {self.serving.release}"
        if not self.environment:
            return f"{what}, nothing deployed" if self.verdict is RunVerdict.CHECKED else what
        if self.verdict is RunVerdict.UNCHANGED:
            return f"{what} in {self.environment}"
        return f"{what} → {self.environment}"

    @property
    def headline(self) -> str:
        """The first line of every form of the report."""
        return f"{self.verdict.icon} {self.title}  {self.subject}   {duration(self.seconds)}"

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form that ``outcome.json`` holds and ``closing_block`` reads."""
        return {
            "version": 1,
            "verdict": self.verdict.value,
            "exit_code": int(self.exit_code),
            "headline": self.headline,
            "why": self.why,
            "fix": self.fix,
            "service": self.service,
            "environment": self.environment,
            "release": self.release,
            "serving": str(self.serving) if self.environment else "",
            "serving_release": self.serving.release if self.environment else "",
            "serving_asked": self.serving.asked,
            "live_down": self.live_down,
            "previous": self.previous,
            "address": self.address,
            "seconds": round(self.seconds, 3),
            "missing": list(self.missing),
            "users": self.users,
            "measures": self.measures,
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
    return replace(worst, report=report)


def each(run: Run) -> list[Outcome]:
    """Return the outcome of every deployment, or the one of a run that deploys nothing."""
    if not run.evidence:
        nothing = "no stage left any evidence, and no data is never a pass"
        why = "; ".join([nothing, *_broken(run)[:1], *map(line, run.problems[:3])])
        missing = tuple(f"stage.{name}" for name in run.environments)
        return [
            Outcome(
                RunVerdict.INCONCLUSIVE,
                ExitCode.REJECTED,
                service=run.service,
                environment=", ".join(run.environments),
                why=why,
                missing=missing,
                next=_next(run, RunVerdict.INCONCLUSIVE, next(iter(run.environments), ""), ""),
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
    if not documents and (judgement.stage or judgement.at):
        serving = Serving(known=False, note="as before: this run did not get as far as the environment")
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
        fix=line(judgement.stage.facts.get("hint"), 300) if judgement.stage else "",
        serving=serving,
        live_down=live_down(documents),
        previous=previous if verdict is RunVerdict.RELEASED and previous != serving.release else "",
        address=line(fact(documents, "address"), 200),
        seconds=seconds([*run.shared, *documents]),
        missing=judgement.missing,
        users="" if stayed or "stage" not in found else _users(found),
        measures=_measures(found) if stayed else "",
        verified=_verified(found) if verdict is RunVerdict.ROLLED_BACK else "",
        undo=_undo(run, environment) if verdict is RunVerdict.RELEASED and previous else "",
        next=_next(run, verdict, environment, judgement.stage.stage if judgement.stage else ""),
        log_of=judgement.stage.stage if judgement.stage else "",
        log_tail=_log(judgement.stage, [*run.shared, *documents]),
    )


def _checks_only(run: Run) -> Outcome:
    failed = next((d for d in run.evidence if d.verdict is Verdict.FAIL), None)
    doubtful = next((d for d in run.evidence if d.verdict is Verdict.INCONCLUSIVE), None)
    commit = line(run.plan.commit, 200)[:7] if run.plan else line(fact(run.evidence, "commit"), 7)
    base = Outcome(
        RunVerdict.CHECKED,
        ExitCode.PASS,
        service=run.service,
        release=commit,
        seconds=seconds(run.evidence),
        log_tail=_log(failed or doubtful, run.evidence),
    )
    if failed is not None:
        verdict, code, stage = RunVerdict.REJECTED, ExitCode.REJECTED, failed
    elif doubtful is not None:
        verdict, code, stage = RunVerdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE, doubtful
    else:
        return base
    return replace(
        base,
        verdict=verdict,
        exit_code=code,
        at=f"at {stage.stage}",
        why=first_problem(stage),
        log_of=stage.stage,
        next=_next(run, verdict, "", stage.stage),
    )


def _doubt(run: Run, outcome: Outcome) -> Outcome:
    """Take a good verdict back when a job failed or a document cannot be read."""
    if outcome.verdict not in GOOD:
        return outcome
    reasons = [*map(line, run.problems), *_broken(run)]
    if not reasons:
        return outcome
    was = {"released": "the release is live, but ", "unchanged": "the release was live already, but "}
    return replace(
        outcome,
        verdict=RunVerdict.INCONCLUSIVE,
        exit_code=ExitCode.REJECTED,
        why=was.get(outcome.verdict, "") + "; ".join(reasons[:3]),
        next=_next(run, RunVerdict.INCONCLUSIVE, outcome.environment, ""),
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
        return f"about {plural(round(requests), 'request')} reached the candidate"
    return "" if "promote" in found else "no request reached the candidate"


def _measures(found: Mapping[str, Evidence]) -> str:
    perf = found.get("perf-baseline")
    if perf is None:
        return ""
    parts = []
    for identity, label in (("perf.p95", "p95"), ("perf.error-rate", "errors")):
        rule = next((r for r in perf.rules if r.id == identity and r.verdict is Verdict.PASS), None)
        if rule:
            parts.append(f"{label} {line(rule.measured, 60)} ({line(rule.limit)})")
    return "   ".join(parts)


def _verified(found: Mapping[str, Evidence]) -> str:
    shows = {"rollback": ("release.public-address", "rollback.withdrawn"), "promote": ("rollback.verified",)}
    for name, identities in shows.items():
        for rule in found[name].rules if name in found else ():
            if rule.id in identities and rule.verdict is Verdict.PASS:
                return f"{line(rule.rule)}: {line(rule.measured)}"
    return ""


def _log(stage: Evidence | None, documents: Sequence[Evidence]) -> tuple[str, ...]:
    if stage is None:
        return ()
    source = stage if stage.log_tail else next((d for d in documents if d.log_tail), stage)
    text = clean("\n".join(entry[:2000] for entry in source.log_tail[-200:])).strip("\n")
    return tuple(entry.rstrip().expandtabs(4)[:400] for entry in text.split("\n"))[-200:] if text else ()


def _broken(run: Run) -> list[str]:
    """Return a sentence for each job that did not end well."""
    jobs = run.plan.jobs if run.plan else {}
    fine = ("success", "skipped")
    return [
        f"the job {line(name, 80)} ended with {line(result, 40)}"
        for name, result in jobs.items()
        if result not in fine
    ]


def _undo(run: Run, environment: str) -> str:
    if run.run_url and "rollback.yml" in run.workflows:
        return f"gh workflow run rollback.yml -f environment={shlex.quote(line(environment, 60))}"
    return f"kickoff rollback --env {shlex.quote(line(environment, 60))}"


def _next(run: Run, verdict: RunVerdict, environment: str, stage: str) -> tuple[str, ...]:
    name = shlex.quote(line(environment, 60))
    status, again = f"kickoff status --env {name}", "kickoff check"
    if environment:
        again = f"kickoff {'deploy' if 'cd.yml' in run.workflows else 'release'} --env {name}"
    if run.run_url:
        again = f"gh run rerun {run.run_url.rstrip('/').rpartition('/')[2]}"
    if verdict is RunVerdict.ROLLBACK_FAILED:
        return (status, f"kickoff resume --env {name}")
    if verdict is RunVerdict.INCONCLUSIVE:
        return (status, again) if environment else (again,)
    if verdict is RunVerdict.REJECTED and (not stage or stage in BEFORE_A_DEPLOYMENT):
        return (again,)
    if verdict in (RunVerdict.REJECTED, RunVerdict.ROLLED_BACK):
        logs = f"kickoff logs --env {name} --process candidate"
        return (logs, again) if stage else (status,)
    return ()
