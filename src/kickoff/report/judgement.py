"""Judging one deployment from its evidence, most urgent finding first. Pure functions."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, RuleResult, Verdict, promoted_before
from kickoff.evidence.stages import proving
from kickoff.report.language import named, say, told
from kickoff.report.messages import line, moment, number, plural
from kickoff.report.run import Run, fact
from kickoff.report.verdicts import STOPPED, RunVerdict

_WITHOUT_CHANGE = ("aborted", "refused", "interrupted")


def _advice(stage: Evidence | None) -> str:
    """Return what a stage advises, about its own environment: its commands run as they are printed."""
    if stage is None:
        return ""
    hint, name = told(line(stage.facts.get("hint"), 300)), shlex.quote(line(stage.environment, 60))
    return hint.replace("--env NAME", f"--env {name}") if stage.environment else hint


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a deployment: why, where it stopped, and the document that says so.

    Attributes:
        verdict: The outcome.
        why: The reason in one sentence.
        at: Where, or by whom, it was stopped.
        stage: The evidence that decided.
        missing: Evidence that should be there.
        fix: What to do about it, when the decisive evidence knows.
        requested: Whether it was asked for, which makes a rollback a success.
    """

    verdict: RunVerdict
    why: str = ""
    at: str = ""
    stage: Evidence | None = None
    missing: tuple[str, ...] = ()
    fix: str = ""
    requested: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the run."""
        return ExitCode.PASS if self.requested else self.verdict.exit_code


def judge(run: Run, environment: str) -> Judgement:
    """Return what became of one deployment. Without a reason for better, the answer is not good."""
    found = run.of(environment)
    return (
        _undone(run, environment, found)
        or stopped(run, found)
        or _incomplete(run, environment, found)
        or Judgement(_good(found))
    )


def _undone(run: Run, environment: str, found: Mapping[str, Evidence]) -> Judgement | None:
    """Return the judgement of a run in which something was rolled back, or should have been."""
    promote, rollback, live = found.get("promote"), found.get("rollback"), found.get("smoke-live")
    later = _taken_back_by(found.get("watch")) or _taken_back_by(found.get("resume"))
    if later is not None:
        return later
    if rollback is not None:
        return _rolled_back(run, environment, found, rollback)
    taken_back = _taken_back_by(promote) or _taken_back_by(found.get("abort"))
    interrupted = _interrupted(run, found)
    if taken_back is not None and taken_back.stage is not promote and interrupted is not None:
        return replace(taken_back, why=interrupted[1].why)
    if taken_back is not None or promote is None:
        return taken_back
    if promote.verdict is Verdict.PASS and live is not None and live.verdict is Verdict.FAIL:
        why = say(
            "{problem}; the release is live and nothing shows that it was rolled back",
            problem=first_problem(live),
        )
        return _needs_a_person(why, live)
    return None


def _taken_back_by(stage: Evidence | None) -> Judgement | None:
    """Return the judgement of a stage that took its release back by itself, or failed to."""
    outcome = stage.facts.get("outcome") if stage is not None else ""
    failed = stage is not None and stage.facts.get("exit_code") == ExitCode.ROLLBACK_FAILED
    if stage is None or not (failed or outcome in ("rolled-back", "rollback-failed")):
        return None
    why, place = first_problem(stage), _place(stage)
    if failed or outcome == "rollback-failed":
        return _needs_a_person(why, stage)
    at = say("at {place}", place=place) if place != "promote" else ""
    return Judgement(RunVerdict.ROLLED_BACK, why, at, stage, fix=_advice(stage))


def _rolled_back(run: Run, environment: str, found: Mapping[str, Evidence], rollback: Evidence) -> Judgement:
    promote, live = found.get("promote"), found.get("smoke-live")
    planned = run.plan is not None and environment in run.plan.deployments
    requested = promote is None and "stage" not in found and not planned
    changed = rollback.facts.get("outcome") not in _WITHOUT_CHANGE
    if requested and rollback.verdict is not Verdict.PASS and not changed:
        # Refused, or undone before it changed anything: who served before serves now.
        return _by_exit_code(rollback)
    if rollback.verdict is not Verdict.PASS:
        return _needs_a_person(first_problem(rollback), rollback)
    # A smoke test that ran after the rollback judges what was rolled back to.
    if live is not None and live.started >= rollback.started and live.verdict is not Verdict.PASS:
        return _needs_a_person(say("after the rollback: {problem}", problem=first_problem(live)), live)
    if requested:
        return Judgement(RunVerdict.ROLLED_BACK, told(line(fact([rollback], "reason"))), requested=True)
    cause = next((d for d in (promote, live) if d and d.verdict is not Verdict.PASS), None)
    unseen = say("what should have shown that the release works left no evidence")
    interrupted = _interrupted(run, found)
    why = first_problem(cause) if cause else interrupted[1].why if interrupted else unseen
    return Judgement(RunVerdict.ROLLED_BACK, why, stage=cause, fix=_advice(cause))


def _needs_a_person(why: str, stage: Evidence) -> Judgement:
    return Judgement(RunVerdict.ROLLBACK_FAILED, why, stage=stage, fix=_advice(stage))


def stopped(run: Run, found: Mapping[str, Evidence]) -> Judgement | None:
    """Return the judgement of a run that a stage stopped, or somebody.

    What a stage found after somebody had intervened may be the work of the intervention, and does not count.
    """
    # An abort is what another stage led to, and says so by a failing verdict of its own.
    gates = [d for d in (*run.shared, *found.values()) if d.stage != "abort"]
    intervened = _taken_back_by_another(found) or _interrupted(run, found)
    moment_of, judgement = intervened or ("", None)
    counted = [d for d in gates if not moment_of or d.finished <= moment_of]
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        bad = next((d for d in counted if d.verdict is verdict), None)
        if bad is not None:
            return _by_exit_code(bad)
        if verdict is Verdict.FAIL and judgement is not None:
            return judgement
    promote = found.get("promote")
    if "abort" in found and (promote is None or promote.verdict is not Verdict.PASS):
        aborted = found["abort"]
        return Judgement(
            RunVerdict.REJECTED,
            told(line(aborted.summary)),
            say("before promotion"),
            aborted,
            fix=_advice(aborted),
        )
    return None


def _by_exit_code(stage: Evidence) -> Judgement:
    """Return the judgement of the stage that stopped the run: a held lock is no bad release."""
    code = stage.facts.get("exit_code")
    known = isinstance(code, int) and not isinstance(code, bool)
    default = RunVerdict.INCONCLUSIVE if stage.verdict is Verdict.INCONCLUSIVE else RunVerdict.REJECTED
    verdict = STOPPED.get(ExitCode(code), default) if known and code in set(ExitCode) else default
    why, fix = first_problem(stage), _advice(stage)
    findings = stage.facts.get("findings")
    if isinstance(findings, list) and findings:
        why, fix = _findings(findings)
    at = "" if stage.stage == "preflight" else say("at {place}", place=_place(stage))
    return Judgement(verdict, why, at, stage, fix=fix)


def _findings(found: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return what is wrong with the environment files, and what to write instead."""
    first, more = found[0], len(found) - 1
    place = f"{line(first.get('file'))}:{line(first.get('line'))}:{line(first.get('column'))}"
    others = say(" (and {problems})", problems=plural(more, "more problem")) if more else ""
    why = f"{place}: {line(first.get('rule'))}: {told(line(first.get('message')))}{others}"
    return why, told(line(first.get("fix")))


def _taken_back_by_another(found: Mapping[str, Evidence]) -> tuple[str, Judgement] | None:
    """Return when another run took this one's release back, and the judgement that says so."""
    stage = next((d for d in found.values() if d.facts.get("taken_by")), None)
    if stage is None:
        return None
    by, at = line(stage.facts["taken_by"], 120), line(stage.facts.get("taken_at"), 40)
    why = say(
        "{by} took {release} back{at}, while this run was at it",
        by=by,
        release=line(_concerned(found), 80),
        at=_clock(at),
    )
    return at, Judgement(
        RunVerdict.TAKEN_BACK,
        say("{why}; this run changed nothing more", why=why),
        say("by {by}", by=by),
        stage,
    )


def _concerned(found: Mapping[str, Evidence]) -> str:
    return next((d.release for d in found.values() if d.release), say("the release"))


def _interrupted(run: Run, found: Mapping[str, Evidence]) -> tuple[str, Judgement] | None:
    """Return when somebody stopped the run, and the judgement that says so."""
    if run.plan is None:
        return None
    how = run.plan.interrupted
    cancelled = next((name for name, end in run.plan.jobs.items() if end == "cancelled"), "")
    stage = next((d for d in found.values() if d.facts.get("exit_code") == ExitCode.INTERRUPTED), None)
    if not (how or cancelled or stage):
        return None
    at, during = how.get("at", ""), how.get("during") or cancelled or (stage.stage if stage else "")
    by = how.get("by", "")
    who = (
        say("{by} stopped the run{at}", by=by, at=_clock(at))
        if by
        else say("the run was cancelled, or ran out of time")
    )
    why = say("{who}; {left}", who=who, left=_left(found))
    return at, Judgement(
        RunVerdict.INTERRUPTED, why, say("during {during}", during=during) if during else "", stage
    )


def _clock(at: str) -> str:
    time = moment(at)
    return say(" at {time:%H:%M:%S} UTC", time=time) if time else ""


def _left(found: Mapping[str, Evidence]) -> str:
    """Return what an interruption left changed: nothing, as far as the evidence can show it."""
    promote = found.get("promote")
    if "rollback" in found:
        return say("the release was live, and was rolled back")
    if promote is not None and promote.verdict is Verdict.PASS:
        return say("the release is live")
    outcomes = {d.facts.get("outcome") for d in found.values()}
    if outcomes & {"rolled-back", "rollback-failed"}:
        return say("users had met the candidate")
    if "aborted" in outcomes:
        return say("the candidate was stopped again, and no user had met it")
    begun = found.get("stage") or promote
    if begun is not None:
        return say(
            "what it had begun is undone by `kickoff resume --env {environment}`",
            environment=line(begun.environment, 60),
        )
    return say("nothing was changed")


def _good(found: Mapping[str, Evidence]) -> RunVerdict:
    return RunVerdict.RELEASED if "promote" in found else RunVerdict.UNCHANGED


def missing_evidence(run: Run, environment: str) -> tuple[str, ...]:
    """Return the names of the passing documents a deployment should have left and did not.

    A release that was promoted before went through its checks then; only its health is news.
    """
    found = run.of(environment)
    if "rollback" in found and "promote" not in found and "stage" not in found:
        return ()
    unchanged = promoted_before(found.get("stage")) is not None and "promote" not in found
    needed = proving(run.required(environment), promoted_before=unchanged)
    return tuple(
        f"{name}.{environment}"
        for name in needed
        if name not in found or found[name].verdict is not Verdict.PASS
    )


def _incomplete(run: Run, environment: str, found: Mapping[str, Evidence]) -> Judgement | None:
    """Return the judgement of a run that lacks evidence, or has that of another commit."""
    missing = missing_evidence(run, environment)
    if not missing:
        other = _of_another_commit(run, found)
        return Judgement(RunVerdict.INCONCLUSIVE, other) if other else None
    jobs = run.plan.jobs if run.plan else {}
    broken = next((name for name, result in jobs.items() if result in ("failure", "cancelled")), "")
    lacking = say("no passing evidence of {names}", names=", ".join(line(name, 100) for name in missing))
    if not broken:
        why = say("{lacking}, and a run is never green for having deployed nothing", lacking=lacking)
        return Judgement(RunVerdict.INCONCLUSIVE, why, missing=missing)
    why = say(
        "the job {job} ended with {result}; {lacking}", job=broken, result=told(jobs[broken]), lacking=lacking
    )
    untouched = not found and jobs.get(f"deploy-{environment}", "skipped") == "skipped"
    verdict, at = (
        (RunVerdict.REJECTED, say("at {place}", place=broken)) if untouched else (RunVerdict.INCONCLUSIVE, "")
    )
    return Judgement(verdict, why, at, missing=missing)


def _of_another_commit(run: Run, found: Mapping[str, Evidence]) -> str:
    commit = run.plan.commit if run.plan else ""
    for name in ("stage", "promote"):
        release = found[name].release if name in found else ""
        if commit and release and not release.startswith(commit[:7]):
            return say(
                "the evidence of {name} is of release {release}, not of commit {commit}",
                name=name,
                release=line(release, 80),
                commit=commit[:7],
            )
    return ""


def _place(document: Evidence) -> str:
    if document.stage != "promote":
        return document.stage
    percents = [number(point.get("candidate_percent")) for point in document.series.get("weights", [])]
    most = max((value for value in percents if value is not None), default=0.0)
    return say("canary {most:g}%", most=most) if 0 < most < 100 else document.stage


def first_problem(document: Evidence) -> str:
    """Return the sentence that explains a stage: its worst rule with value and limit, else its summary."""
    worst = worst_rule(document)
    return rule_sentence(worst) if worst else told(line(document.summary))


def worst_rule(document: Evidence) -> RuleResult | None:
    """Return the first rule with the stage's own verdict, unless the stage passed."""
    if document.verdict is Verdict.PASS:
        return None
    return next((rule for rule in document.rules if rule.verdict is document.verdict), None)


def rule_sentence(rule: RuleResult) -> str:
    """Return a rule that did not pass with its value, its limit and its reason."""
    text = say(
        "{rule}: {measured} ({limit})",
        rule=named(line(rule.rule), rule.id),
        measured=told(line(rule.measured)),
        limit=told(line(rule.limit)),
    )
    text += say(", n={samples:,}", samples=rule.samples) if rule.samples > 1 else ""
    return say("{sentence}; {reason}", sentence=text, reason=told(line(rule.reason))) if rule.reason else text
