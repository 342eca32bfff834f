"""Judging one deployment from its evidence, most urgent finding first. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, RuleResult, Verdict, promoted_before
from kickoff.evidence.stages import proving
from kickoff.report.messages import line, number
from kickoff.report.run import Run, fact


class RunVerdict(StrEnum):
    """Outcomes of a run, the most urgent first."""

    ROLLBACK_FAILED = "rollback-failed"
    ROLLED_BACK = "rolled-back"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    RELEASED = "released"
    UNCHANGED = "unchanged"
    CHECKED = "checked"

    @property
    def icon(self) -> str:
        """One character that says the same as the word."""
        return {"rollback-failed": "✗", "rolled-back": "↶", "rejected": "✗", "inconclusive": "?"}.get(
            self, "◇" if self is RunVerdict.UNCHANGED else "✓"
        )

    @property
    def word(self) -> str:
        """The verdict in capitals."""
        return self.replace("-", " ").upper()


GOOD = frozenset({RunVerdict.RELEASED, RunVerdict.UNCHANGED, RunVerdict.CHECKED})


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a deployment: why, where it stopped, and the document that says so."""

    verdict: RunVerdict
    exit_code: int
    why: str = ""
    at: str = ""
    stage: Evidence | None = None
    missing: tuple[str, ...] = ()


def judge(run: Run, environment: str) -> Judgement:
    """Return what became of one deployment. Without a reason for better, the answer is not good."""
    found = run.of(environment)
    return (
        _undone(run, environment, found)
        or _stopped(run, found)
        or _incomplete(run, environment, found)
        or Judgement(_good(found), ExitCode.PASS)
    )


def _undone(run: Run, environment: str, found: Mapping[str, Evidence]) -> Judgement | None:
    """Return the judgement of a run in which something was rolled back, or should have been."""
    promote, rollback, live = found.get("promote"), found.get("rollback"), found.get("smoke-live")
    watched = _taken_back_by(found.get("watch"))
    if watched is not None or (rollback is None and promote is None):
        return watched
    if rollback is not None:
        return _rolled_back(run, environment, found, rollback)
    taken_back = _taken_back_by(promote)
    if taken_back is not None or promote is None:
        return taken_back
    if promote.verdict is Verdict.PASS and live is not None and live.verdict is Verdict.FAIL:
        why = f"{first_problem(live)}; the release is live and nothing shows that it was rolled back"
        return _needs_a_person(why, live)
    return None


def _taken_back_by(stage: Evidence | None) -> Judgement | None:
    """Return the judgement of a stage that took its release back by itself, or failed to."""
    outcome = stage.facts.get("outcome") if stage is not None else ""
    if stage is None or outcome not in ("rolled-back", "rollback-failed"):
        return None
    why, place = first_problem(stage), _place(stage)
    if outcome == "rollback-failed":
        return _needs_a_person(why, stage)
    at = f"at {place}" if place != "promote" else ""
    return Judgement(RunVerdict.ROLLED_BACK, ExitCode.ROLLED_BACK, why, at, stage)


def _rolled_back(run: Run, environment: str, found: Mapping[str, Evidence], rollback: Evidence) -> Judgement:
    promote, live = found.get("promote"), found.get("smoke-live")
    planned = run.plan is not None and environment in run.plan.deployments
    requested = promote is None and "stage" not in found and not planned
    if requested and rollback.verdict is not Verdict.PASS and rollback.facts.get("outcome") == "aborted":
        # Refused or undone before it changed anything: who served before serves now.
        return Judgement(RunVerdict.REJECTED, ExitCode.REJECTED, first_problem(rollback), "", rollback)
    if rollback.verdict is not Verdict.PASS:
        return _needs_a_person(first_problem(rollback), rollback)
    # A smoke test that ran after the rollback judges what was rolled back to.
    if live is not None and live.started >= rollback.started and live.verdict is not Verdict.PASS:
        return _needs_a_person(f"after the rollback: {first_problem(live)}", live)
    if requested:
        return Judgement(RunVerdict.ROLLED_BACK, ExitCode.PASS, line(fact([rollback], "reason")))
    cause = next((d for d in (promote, live) if d and d.verdict is not Verdict.PASS), None)
    why = first_problem(cause) if cause else "what should have shown that the release works left no evidence"
    return Judgement(RunVerdict.ROLLED_BACK, ExitCode.ROLLED_BACK, why, stage=cause)


def _needs_a_person(why: str, stage: Evidence) -> Judgement:
    return Judgement(RunVerdict.ROLLBACK_FAILED, ExitCode.ROLLBACK_FAILED, why, stage=stage)


def _stopped(run: Run, found: Mapping[str, Evidence]) -> Judgement | None:
    """Return the judgement of a run in which a stage did not pass, or that was aborted."""
    # An abort is what another stage led to, and says so by a failing verdict of its own.
    gates = [d for d in (*run.shared, *found.values()) if d.stage != "abort"]
    promote = found.get("promote")
    failed = next((d for d in gates if d.verdict is Verdict.FAIL), None)
    if failed is not None:
        why = first_problem(failed)
        return Judgement(RunVerdict.REJECTED, _exit_code(failed), why, f"at {_place(failed)}", failed)
    doubtful = next((d for d in gates if d.verdict is Verdict.INCONCLUSIVE), None)
    if doubtful is not None:
        why, at = first_problem(doubtful), f"at {_place(doubtful)}"
        return Judgement(RunVerdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE, why, at, doubtful)
    if "abort" in found and (promote is None or promote.verdict is not Verdict.PASS):
        aborted = found["abort"]
        why = line(aborted.summary)
        return Judgement(RunVerdict.REJECTED, ExitCode.REJECTED, why, "before promotion", aborted)
    return None


def _exit_code(failed: Evidence) -> int:
    """Return the exit code the failed phase ended with: a held lock or a taken port is no bad release."""
    code = failed.facts.get("exit_code")
    return ExitCode(code) if isinstance(code, int) and code in set(ExitCode) - {0} else ExitCode.REJECTED


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
        return Judgement(RunVerdict.INCONCLUSIVE, ExitCode.REJECTED, other) if other else None
    jobs = run.plan.jobs if run.plan else {}
    broken = next((name for name, result in jobs.items() if result in ("failure", "cancelled")), "")
    lacking = f"no passing evidence of {', '.join(line(name, 100) for name in missing)}"
    if not broken:
        why = f"{lacking}, and a run is never green for having deployed nothing"
        return Judgement(RunVerdict.INCONCLUSIVE, ExitCode.REJECTED, why, missing=missing)
    why = f"the job {broken} ended with {jobs[broken]}; {lacking}"
    untouched = not found and jobs.get(f"deploy-{environment}", "skipped") == "skipped"
    verdict, at = (RunVerdict.REJECTED, f"at {broken}") if untouched else (RunVerdict.INCONCLUSIVE, "")
    return Judgement(verdict, ExitCode.REJECTED, why, at, missing=missing)


def _of_another_commit(run: Run, found: Mapping[str, Evidence]) -> str:
    commit = run.plan.commit if run.plan else ""
    for name in ("stage", "promote"):
        release = found[name].release if name in found else ""
        if commit and release and not release.startswith(commit[:7]):
            return f"the evidence of {name} is of release {line(release, 80)}, not of commit {commit[:7]}"
    return ""


def _place(document: Evidence) -> str:
    if document.stage != "promote":
        return document.stage
    percents = [number(point.get("candidate_percent")) for point in document.series.get("weights", [])]
    most = max((value for value in percents if value is not None), default=0.0)
    return f"canary {most:g}%" if 0 < most < 100 else document.stage


def first_problem(document: Evidence) -> str:
    """Return the sentence that explains a stage: its worst rule with value and limit, else its summary."""
    worst = worst_rule(document)
    return rule_sentence(worst) if worst else line(document.summary)


def worst_rule(document: Evidence) -> RuleResult | None:
    """Return the first rule with the stage's own verdict, unless the stage passed."""
    if document.verdict is Verdict.PASS:
        return None
    return next((rule for rule in document.rules if rule.verdict is document.verdict), None)


def rule_sentence(rule: RuleResult) -> str:
    """Return a rule that did not pass with its value, its limit and its reason."""
    text = f"{line(rule.rule)}: {line(rule.measured)} ({line(rule.limit)})"
    counted = f", n={rule.samples:,}" if rule.samples > 1 else ""
    return f"{text}{counted}; {line(rule.reason)}" if rule.reason else text + counted
