"""The verdict of a run: every way it can end, and every way it must not end well."""

import html
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kickoff.artifact.promotion import Decision, Standing, look_up_evidence
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict
from kickoff.logs import keep
from kickoff.report import next_steps, page, summary
from kickoff.report.language import languages, using
from kickoff.report.messages import columns_of
from kickoff.report.outcome import Outcome, decide, each
from kickoff.report.run import Plan, Run
from kickoff.report.serving import Serving
from kickoff.report.tables import facts
from kickoff.report.terminal import closing_block
from kickoff.report.verdicts import RunVerdict
from tests.unit.logs.test_logs import JSON
from tests.unit.report import cases


@pytest.mark.parametrize(
    ("make", "verdict", "code"),
    [
        (cases.released, RunVerdict.RELEASED, 0),
        (cases.first_release, RunVerdict.RELEASED, 0),
        (cases.unchanged, RunVerdict.UNCHANGED, 0),
        (cases.rejected_at_smoke, RunVerdict.REJECTED, 1),
        (cases.inconclusive, RunVerdict.INCONCLUSIVE, 3),
        (cases.rolled_back_after_bake, RunVerdict.ROLLED_BACK, 5),
        (cases.hostile, RunVerdict.REJECTED, 1),
    ],
)
def test_each_way_a_run_ends(make: Callable[[], Run], verdict: RunVerdict, code: int) -> None:
    outcome = decide(make())
    assert (outcome.verdict, outcome.exit_code) == (verdict, code)


def test_a_release_says_who_serves_and_how_to_undo_it() -> None:
    outcome = decide(cases.released())
    assert outcome.headline == f"✓ RELEASED  shop {cases.NEW} → staging   2m 34s"
    assert str(outcome.serving) == f"{cases.NEW} (green)"
    assert outcome.previous == cases.OLD
    assert outcome.address == "http://127.0.0.1:8100"
    assert outcome.undo == "kickoff rollback --env staging"
    assert outcome.why == ""
    assert "p95 21.8 ms (live 21.2 ms, limit 1,000 ms)" in outcome.measures


@pytest.mark.parametrize("verdict", RunVerdict)
@pytest.mark.parametrize("environment", ["qa", "production", "production-eu-central-1", "e" * 60])
@pytest.mark.parametrize("service", ["shop", "a-service-with-a-long-name"])
def test_a_headline_is_one_row_of_80_columns_that_names_what_happened_to_what(
    verdict: RunVerdict, environment: str, service: str
) -> None:
    serving = Serving(known=True, release=cases.OLD, colour="blue", answers="yes")
    outcome = Outcome(
        verdict,
        verdict.exit_code,
        service,
        environment,
        cases.NEW,
        "at canary 25%",
        serving=serving,
        seconds=3754,
    )
    for language in languages():
        with using(language):
            headline = outcome.headline
        assert columns_of(headline) <= 80
        assert headline.startswith(f"{verdict.icon} ")
        assert environment in headline or headline.endswith("…")
        assert cases.NEW in headline or headline.endswith("…")


@pytest.mark.parametrize(("share", "said"), [({"share": 75}, "75%"), ({}, "100%"), ({"share": "x"}, "100%")])
def test_a_release_that_shares_the_traffic_is_not_said_to_have_all_of_it(
    share: dict[str, object], said: str
) -> None:
    serving = {"release": cases.OLD, "colour": "blue", "answers": "yes", **share}
    facts = {"serving": serving, "outcome": "interrupted", "exit_code": 130}
    stopped = cases.promoted(
        rules=[], verdict=Verdict.INCONCLUSIVE, summary="it was interrupted", facts=facts
    )
    stopped.rules = []
    outcome = decide(cases.run_of(*cases.before(), cases.staged(), cases.smoked(), cases.measured(), stopped))
    assert outcome.verdict is RunVerdict.INTERRUPTED
    assert outcome.next[0] == "kickoff resume --env staging"
    assert f"  serving   {cases.OLD} (blue) {said}" in closing_block(outcome.to_document()).splitlines()


def test_a_watch_that_took_a_release_back_says_what_shows_it() -> None:
    run = cases.taken_back_by_the_watch()
    watched = run.evidence[-1]
    rule = RuleResult(
        "rollback.verified", f"rolled back: {cases.OLD} answers", Verdict.PASS, "10 of 10", "10 of 10", 10
    )
    watched.rules = [*watched.rules, rule]
    outcome = decide(run)
    assert (outcome.verified, outcome.fix) == (f"rolled back: {cases.OLD} answers: 10 of 10", "")


def test_a_headline_gives_up_what_has_a_row_of_its_own_before_the_time() -> None:
    known = (RunVerdict.ROLLED_BACK, 5, "shop", "development", cases.NEW)
    serving = Serving(known=True, release=cases.OLD, colour="blue", answers="yes")
    whole = Outcome(*known, serving=serving, seconds=6)
    long = replace(whole, at="at canary 25%")
    assert whole.headline == f"↶ ROLLED BACK  development {cases.NEW} → {cases.OLD}   6.0 s"
    assert long.headline == f"↶ ROLLED BACK at canary 25%  development {cases.NEW}   6.0 s"


def test_a_first_release_offers_no_undo() -> None:
    outcome = decide(cases.first_release())
    assert (outcome.previous, outcome.undo) == ("", "")


def test_a_rejection_names_the_rule_the_log_and_who_keeps_serving() -> None:
    outcome = decide(cases.rejected_at_smoke())
    assert outcome.title == "REJECTED at smoke-candidate"
    assert outcome.why.startswith("POST /predictions: 500 in 11 ms (expected 200)")
    assert str(outcome.serving) == f"{cases.OLD} (blue)"
    assert outcome.users == "no user met the candidate"
    assert outcome.log_of == "smoke-candidate"
    assert outcome.cause == outcome.log_tail[1] == "KeyError: 'ratings'"
    assert outcome.next[0] == "kickoff logs --env staging --process candidate"


def test_a_phase_that_could_not_begin_keeps_its_exit_code_and_says_what_to_do() -> None:
    run = cases.rejected_at_smoke()
    stage = next(document for document in run.evidence if document.stage == "stage")
    facts = stage.facts | {"exit_code": 75, "hint": "wait for it", "outcome": "refused"}
    held = replace(stage, verdict=Verdict.FAIL, rules=[], summary="kim@host is releasing", facts=facts)
    outcome = decide(replace(run, evidence=(held,)))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.BUSY, ExitCode.LOCK_HELD)
    assert (outcome.why, outcome.fix) == ("kim@host is releasing", "wait for it")


@pytest.mark.parametrize("code", [0, 99, "75", None, True])
def test_a_failed_stage_is_rejected_whatever_exit_code_it_claims(code: object) -> None:
    run = cases.rejected_at_smoke()
    stage = next(document for document in run.evidence if document.stage == "stage")
    failed = replace(stage, verdict=Verdict.FAIL, rules=[], facts=stage.facts | {"exit_code": code})
    assert decide(replace(run, evidence=(failed,))).exit_code == ExitCode.REJECTED


def test_an_automatic_rollback_says_why_and_what_verified_it() -> None:
    outcome = decide(cases.rolled_back_after_bake())
    assert outcome.headline.startswith(f"↶ ROLLED BACK  staging {cases.NEW} → {cases.OLD}")
    assert "3.1% (62 of 2010) (limit 1%), n=2,010" in outcome.why
    assert outcome.verified == "probes answered by 9d0e77c after rolling back: 10 of 10"
    assert outcome.users.startswith("about 3,")


def test_a_canary_that_fails_before_everybody_sees_it_names_its_step() -> None:
    weights = [{"t": 0, "candidate_percent": 5}, {"t": 9, "candidate_percent": 25}]
    failed = cases.promoted(
        rules=[cases.bad("p95", "241 ms", "≤ 194 ms", "slower than allowed", 4812)],
        series={"weights": weights},
        facts={"outcome": "rejected", "serving": {"release": cases.OLD, "colour": "blue", "answers": "yes"}},
    )
    run = cases.run_of(*cases.before(), cases.staged(), cases.smoked(), cases.measured(), failed)
    assert decide(run).title == "REJECTED at canary 25%"


def test_no_evidence_at_all_is_never_a_pass() -> None:
    for planned in (None, cases.plan(), cases.plan("staging")):
        outcome = decide(Run((), planned))
        assert (outcome.verdict, outcome.exit_code) == (RunVerdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
        assert "no data is never a pass" in outcome.why


def test_without_evidence_the_job_that_failed_is_named() -> None:
    outcome = decide(Run((), cases.plan("staging", quality_gate="failure")))
    assert "the job quality-gate ended with failure" in outcome.why


@pytest.mark.parametrize("lost", ["stage", "smoke-candidate", "perf-baseline", "promote", "smoke-live"])
def test_a_planned_deployment_without_a_stage_fails_and_names_it(lost: str) -> None:
    run = cases.released()
    outcome = decide(replace(run, evidence=tuple(d for d in run.evidence if d.stage != lost)))
    assert outcome.exit_code == ExitCode.INCONCLUSIVE
    assert outcome.verdict is RunVerdict.INCONCLUSIVE
    assert outcome.missing == (f"{lost}.staging",)
    assert f"{lost}.staging" in outcome.why


def test_a_planned_deployment_that_never_began_fails() -> None:
    run = cases.run_of(*cases.before())
    outcome = decide(run)
    assert outcome.exit_code == ExitCode.INCONCLUSIVE
    assert "promote.staging" in outcome.missing
    assert outcome.release == "4f2c1ab"


def test_another_environment_does_not_stand_in_for_the_planned_one() -> None:
    run = cases.released()
    other = tuple(replace(d, environment="production") if d.environment else d for d in run.evidence)
    outcome = decide(replace(run, evidence=other))
    assert (outcome.exit_code, outcome.environment) == (ExitCode.INCONCLUSIVE, "staging")


def test_checks_that_the_service_does_not_require_may_be_absent() -> None:
    run = cases.released()
    kept = tuple(d for d in run.evidence if d.stage != "perf-baseline")
    outcome = decide(replace(run, evidence=kept, checks={"staging": ("smoke-candidate",)}))
    assert outcome.verdict is RunVerdict.RELEASED


def test_unchanged_needs_a_live_smoke_test() -> None:
    run = cases.unchanged()
    outcome = decide(replace(run, evidence=tuple(d for d in run.evidence if d.stage != "smoke-live")))
    assert (outcome.exit_code, outcome.missing) == (ExitCode.INCONCLUSIVE, ("smoke-live.staging",))


@pytest.mark.parametrize("promoted", [None, {}, {"attempt": "a-16", "at": cases.at(0), "verdict": "fail"}])
def test_unchanged_needs_the_promotion_that_made_it_live(promoted: object) -> None:
    run = cases.unchanged()
    next(d for d in run.evidence if d.stage == "stage").facts["promoted"] = promoted
    outcome = decide(run)
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    assert "promote.staging" in outcome.missing


def test_a_run_without_a_promotion_of_its_own_is_never_released() -> None:
    run = cases.released()
    kept = tuple(d for d in run.evidence if d.stage != "promote")
    assert decide(replace(run, evidence=kept)).missing == ("promote.staging",)
    assert decide(replace(run, evidence=kept)).exit_code == ExitCode.INCONCLUSIVE


def test_a_stage_that_did_not_apply_is_no_pass() -> None:
    skipped = cases.promoted(verdict=Verdict.NOT_APPLICABLE)
    run = cases.run_of(
        *cases.before(), cases.staged(), cases.smoked(), cases.measured(), skipped, cases.smoked_live()
    )
    assert decide(run).exit_code == ExitCode.INCONCLUSIVE


def test_evidence_of_another_commit_does_not_count() -> None:
    run = cases.released()
    assert run.plan is not None
    outcome = decide(replace(run, plan=replace(run.plan, commit="abcdef0" + "1" * 33)))
    assert outcome.exit_code == ExitCode.INCONCLUSIVE
    assert "not of commit abcdef0" in outcome.why


def test_a_failed_gate_before_the_deployment_is_the_reason() -> None:
    gate = replace(
        cases.before()[1], verdict=Verdict.FAIL, rules=[cases.bad("mypy", "exit 1", "exit 0", "two errors")]
    )
    outcome = decide(cases.run_of(gate, planned=cases.plan("staging", deploy_staging="skipped")))
    assert outcome.title == "REJECTED at quality-gate"
    assert outcome.why == "mypy: exit 1 (expected exit 0); two errors"


def test_a_job_that_failed_without_evidence_is_the_reason() -> None:
    planned = cases.plan("staging", build_and_push="failure", deploy_staging="skipped")
    outcome = decide(cases.run_of(*cases.before()[:2], planned=planned))
    assert outcome.title == "REJECTED at build-and-push"
    assert outcome.exit_code == ExitCode.REJECTED


@pytest.mark.parametrize("result", ["failure", "timed_out"])
def test_a_failed_job_takes_a_good_verdict_back(result: str) -> None:
    run = cases.released()
    outcome = decide(replace(run, plan=cases.plan("staging", post_deployment=result)))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    assert outcome.why == f"the release is live, but the job post-deployment ended with {result}"


def test_unreadable_evidence_takes_a_good_verdict_back() -> None:
    outcome = decide(replace(cases.released(), problems=("x.json is not JSON",)))
    assert outcome.exit_code == ExitCode.INCONCLUSIVE
    assert "x.json is not JSON" in outcome.why


def test_a_run_that_ended_before_the_promotion_is_rejected() -> None:
    abort = cases.aborted(60, "the pipeline ended before the release was promoted")
    planned = cases.plan("staging", deploy_staging="failure")
    outcome = decide(cases.run_of(*cases.before(), cases.staged(), abort, planned=planned))
    assert outcome.title == "REJECTED before promotion"
    assert outcome.why == "the pipeline ended before the release was promoted"
    assert str(outcome.serving) == f"{cases.OLD} (blue)"


def stopped_by_ada(at: float, during: str = "quality-gate · Quality gate", **jobs: str) -> Plan:
    planned = cases.plan("staging", **jobs)
    return replace(planned, interrupted={"by": "ada", "at": cases.at(at), "during": during})


def test_an_interrupted_run_says_by_whom_when_and_what_it_changed() -> None:
    outcome = decide(Run((), stopped_by_ada(2, quality_gate="cancelled")))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.INTERRUPTED, ExitCode.INTERRUPTED)
    assert outcome.title == "INTERRUPTED during quality-gate · Quality gate"
    assert outcome.why == "ada stopped the run at 14:00:02 UTC; nothing was changed"
    assert "as before" in str(outcome.serving)
    assert outcome.next == ("kickoff deploy --env staging",)


def test_an_interrupted_candidate_was_stopped_again() -> None:
    abort = cases.aborted(60, "the pipeline ended before the release was promoted")
    broken = cases.measured(False, cases.bad("p95", "no answer", "≤ 1 s", "it was cut short"))
    planned = stopped_by_ada(58, "deploy-staging · Performance baseline", deploy_staging="cancelled")
    stages = (cases.staged(), cases.smoked(), replace(broken, finished=cases.at(59)), abort)
    outcome = decide(cases.run_of(*cases.before(), *stages, planned=planned))
    assert outcome.verdict is RunVerdict.INTERRUPTED, "what failed after the wish to stop is its work"
    assert outcome.why.endswith("the candidate was stopped again, and no user had met it")
    assert str(outcome.serving) == f"{cases.OLD} (blue)"


def test_what_failed_before_somebody_stopped_the_run_is_the_reason() -> None:
    run = cases.rejected_at_smoke()
    outcome = decide(replace(run, plan=stopped_by_ada(58, deploy_staging="cancelled")))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.REJECTED, ExitCode.REJECTED)


def test_a_candidate_that_users_had_met_is_rolled_back_whoever_stopped_the_run() -> None:
    abort = cases.aborted(60)
    abort.facts["outcome"] = "rolled-back"
    planned = stopped_by_ada(58, "deploy-staging · Deploy: promote", deploy_staging="cancelled")
    stages = (cases.staged(), cases.smoked(), cases.measured(), abort)
    outcome = decide(cases.run_of(*cases.before(), *stages, planned=planned))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert outcome.why == "ada stopped the run at 14:00:58 UTC; users had met the candidate"


def test_a_rollback_after_an_interruption_says_who_stopped_the_run() -> None:
    back = cases.stage("rollback", 160, 3, release=cases.OLD)
    stages = (cases.staged(), cases.smoked(), cases.measured(), cases.promoted(), back)
    planned = stopped_by_ada(155, "Smoke test: live", deploy_staging="cancelled")
    outcome = decide(cases.run_of(*cases.before(), *stages, planned=planned))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert outcome.why == "ada stopped the run at 14:02:35 UTC; the release was live, and was rolled back"


def test_a_cancelled_job_is_an_interruption_that_nobody_signed() -> None:
    run = cases.released()
    outcome = decide(replace(run, plan=cases.plan("staging", post_deployment="cancelled")))
    assert (outcome.title, outcome.exit_code) == ("INTERRUPTED during post-deployment", 130)
    assert outcome.why == "the run was cancelled, or ran out of time; the release is live"


def test_a_release_that_another_run_took_back_names_who_and_when() -> None:
    taken = {"taken_by": "kim@host", "taken_at": cases.at(60), "exit_code": 75, "outcome": "refused"}
    perf = cases.measured(facts={"endpoints": []} | taken)
    planned = cases.plan("staging", deploy_staging="failure")
    outcome = decide(cases.run_of(*cases.before(), cases.staged(), cases.smoked(), perf, planned=planned))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.TAKEN_BACK, ExitCode.LOCK_HELD)
    assert outcome.title == "TAKEN BACK by kim@host"
    assert outcome.why.startswith(f"kim@host took {cases.NEW} back at 14:01:00 UTC")
    assert outcome.next[0] == "kickoff history --env staging"


@pytest.mark.parametrize("verdict", RunVerdict)
def test_every_verdict_has_one_exit_code_and_the_readme_names_it(verdict: RunVerdict) -> None:
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Exit codes")[2].partition("\n## ")[0]
    rows = {row.split("|")[1].strip(): row for row in table.splitlines() if row.startswith("| ")}
    assert f"**{verdict.word}**" in rows[str(int(verdict.exit_code))]


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.PASS])
def test_a_stage_that_stopped_a_run_gives_it_its_exit_code(code: ExitCode) -> None:
    facts = {"exit_code": int(code), "hint": "do this", "outcome": "refused"}
    stage = cases.stage("stage", 45, 1, verdict=Verdict.FAIL, summary="no", facts=facts)
    outcome = decide(cases.run_of(*cases.before(), stage))
    assert (outcome.exit_code, outcome.verdict.exit_code, outcome.fix) == (code, code, "do this")


def test_bad_input_names_file_line_rule_and_fix() -> None:
    finding = {
        "file": "configs/environments/staging.env", "line": 13, "column": 11, "rule": "type", "key": "TTL",
        "message": 'TTL is "half an hour"', "fix": "write 30m",
    }  # fmt: skip
    facts = {"exit_code": 2, "findings": [finding, finding], "doubts": []}
    broken = replace(cases.before()[0], verdict=Verdict.FAIL, facts=facts)
    planned = cases.plan("staging", pre_deployment_checks="failure", deploy_staging="skipped")
    outcome = decide(cases.run_of(broken, planned=planned))
    assert (outcome.title, outcome.exit_code) == ("INVALID at validate", ExitCode.BAD_INPUT)
    place = "configs/environments/staging.env:13:11"
    assert outcome.why == f'{place}: type: TTL is "half an hour" (and 1 more problem)'
    assert outcome.fix == "write 30m"
    assert outcome.next == ("kickoff env validate --env staging", "kickoff deploy --env staging")


def _live_failed(*more: Evidence) -> Run:
    failing = cases.smoked_live(cases.bad("POST /predictions", "500", "200", "it fails"))
    stages = (cases.staged(), cases.smoked(), cases.measured(), cases.promoted(), failing)
    return cases.run_of(*cases.before(), *stages, *more)


def test_a_live_failure_that_was_rolled_back() -> None:
    back = cases.stage(
        "rollback",
        154,
        3,
        [cases.ok("probes answered by 9d0e77c", "10 of 10", "10 of 10", 10)],
        release=cases.OLD,
        facts={"serving": {"release": cases.OLD, "colour": "blue", "answers": "yes"}},
    )
    outcome = decide(_live_failed(back))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert outcome.why.startswith("POST /predictions: 500")
    assert outcome.serving.release == cases.OLD


def test_a_live_failure_that_was_not_rolled_back_needs_a_person() -> None:
    outcome = decide(_live_failed())
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.ROLLBACK_FAILED, ExitCode.ROLLBACK_FAILED)
    assert outcome.serving.release == cases.NEW
    assert outcome.next[0] == "kickoff status --env staging"


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_a_rollback_that_did_not_work_needs_a_person(verdict: Verdict) -> None:
    rule = RuleResult(
        "release.route", "route read back", verdict, "green", "blue", 1, "the proxy refused the route"
    )
    outcome = decide(_live_failed(cases.stage("rollback", 154, 3, [rule])))
    assert outcome.exit_code == ExitCode.ROLLBACK_FAILED
    assert "the proxy refused the route" in outcome.why


def test_a_promotion_that_could_not_roll_back_needs_a_person() -> None:
    failed = cases.promoted(
        rules=[cases.bad("route", "green", "blue", "no")], facts={"outcome": "rollback-failed"}
    )
    outcome = decide(cases.run_of(*cases.before(), cases.staged(), failed))
    assert outcome.exit_code == ExitCode.ROLLBACK_FAILED
    assert str(outcome.serving) == "not known from the evidence"


def test_a_requested_rollback_that_works_is_a_success() -> None:
    back = cases.stage(
        "rollback",
        0,
        4,
        facts={"serving": {"release": cases.OLD, "colour": "blue", "answers": "yes"}, "previous": cases.NEW},
    )
    run = Run((back, cases.smoked_live(started=cases.at(5), finished=cases.at(6))))
    outcome = decide(run)
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.ROLLED_BACK, ExitCode.PASS)
    assert outcome.subject == f"staging {cases.NEW} → {cases.OLD}"


def test_a_requested_rollback_whose_smoke_test_fails_needs_a_person() -> None:
    back = cases.stage("rollback", 0, 4)
    live = cases.smoked_live(
        cases.bad("GET /health", "503", "200", "down"), started=cases.at(5), finished=cases.at(6)
    )
    assert decide(Run((back, live))).exit_code == ExitCode.ROLLBACK_FAILED


@pytest.mark.parametrize("how", ["aborted", "refused"])
def test_a_requested_rollback_that_was_refused_changed_nothing(how: str) -> None:
    facts = {
        "outcome": how,
        "exit_code": 2,
        "serving": {"release": cases.NEW, "colour": "green", "answers": "yes"},
    }
    refused = cases.stage("rollback", 0, 1, verdict=Verdict.FAIL, summary="no earlier release", facts=facts)
    outcome = decide(Run((refused,)))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.INVALID, ExitCode.BAD_INPUT)
    assert (outcome.why, outcome.serving.release) == ("no earlier release", cases.NEW)


def test_a_refused_rollback_after_a_failed_release_needs_a_person() -> None:
    refused = cases.stage("rollback", 154, 1, verdict=Verdict.FAIL, facts={"outcome": "aborted"})
    assert decide(_live_failed(refused)).exit_code == ExitCode.ROLLBACK_FAILED


def test_a_canary_that_was_taken_back_names_its_step() -> None:
    run = cases.rolled_back_after_bake()
    weights = [{"t": 0, "candidate_percent": 25}, {"t": 9, "candidate_percent": 0}]
    promote = replace(run.evidence[-1], series={"weights": weights})
    outcome = decide(replace(run, evidence=(*run.evidence[:-1], promote)))
    assert outcome.title == "ROLLED BACK at canary 25%"


def test_a_run_that_never_reached_the_environment_changed_nothing_there() -> None:
    gate = replace(
        cases.before()[1], verdict=Verdict.FAIL, rules=[cases.bad("mypy", "exit 1", "exit 0", "no")]
    )
    outcome = decide(cases.run_of(gate))
    assert str(outcome.serving).startswith("as before")
    assert outcome.users == ""


def test_a_planned_deployment_that_only_shows_a_rollback_is_no_success() -> None:
    run = cases.run_of(*cases.before(), cases.stage("rollback", 60, 4))
    assert decide(run).exit_code == ExitCode.ROLLED_BACK


def test_a_pull_request_with_good_gates_is_checked() -> None:
    outcome = decide(cases.run_of(*cases.before()[:2], planned=cases.plan()))
    assert (outcome.verdict, outcome.exit_code) == (RunVerdict.CHECKED, ExitCode.PASS)
    assert outcome.headline == "✓ CHECKED  shop 4f2c1ab, nothing deployed   43 s"


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 3)])
def test_a_pull_request_with_a_bad_gate_is_not(verdict: Verdict, code: int) -> None:
    rule = RuleResult("quality.mypy", "mypy", verdict, "exit 1", "exit 0", 1, "two errors")
    gate = replace(cases.before()[1], verdict=verdict, rules=[rule])
    outcome = decide(cases.run_of(gate, planned=cases.plan()))
    assert (outcome.exit_code, outcome.title.split()[-1]) == (code, "quality-gate")


def test_a_pull_request_whose_job_failed_without_evidence_is_not() -> None:
    outcome = decide(cases.run_of(cases.before()[0], planned=cases.plan(quality_gate="failure")))
    assert outcome.exit_code == ExitCode.INCONCLUSIVE


def test_of_several_deployments_the_worst_counts() -> None:
    run = cases.released()
    planned = replace(cases.plan("staging", "production"), jobs={})
    both = replace(run, plan=planned)
    assert [outcome.verdict for outcome in each(both)] == [RunVerdict.RELEASED, RunVerdict.INCONCLUSIVE]
    assert decide(both).environment == "production"
    assert decide(both).exit_code == ExitCode.INCONCLUSIVE


def test_something_done_without_a_plan_is_judged_too() -> None:
    run = cases.rejected_at_smoke()
    outcome = decide(replace(run, plan=cases.plan()))
    assert (outcome.environment, outcome.exit_code) == ("staging", ExitCode.REJECTED)


def test_the_commands_on_github_start_workflows() -> None:
    url = "https://github.com/o/r/actions/runs/77"
    outcome = decide(replace(cases.released(), run_url=url))
    assert outcome.undo == "gh workflow run rollback.yml -f environment=staging"
    names = frozenset({"rollback.yml", "rollback-api.yml"})
    one = decide(replace(cases.released(), run_url=url, label="api", workflows=names))
    assert one.undo == "gh workflow run rollback-api.yml -f environment=staging"
    none = decide(replace(cases.released(), run_url=url, label="web", workflows=names))
    assert none.undo == "kickoff rollback --env staging", "the neighbour's would take another service back"
    rejected = decide(replace(cases.rejected_at_smoke(), run_url=url))
    assert "gh run rerun 77" in rejected.next


def test_a_strange_environment_cannot_add_to_a_command() -> None:
    run = cases.released()
    name = "x; rm -rf ~"
    renamed = tuple(replace(d, environment=name) if d.environment else d for d in run.evidence)
    outcome = decide(replace(run, evidence=renamed, plan=Plan((name,))))
    assert outcome.undo == "kickoff rollback --env 'x; rm -rf ~'"


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ("≤ 194 ms", "limit 194 ms"),
        ("< 1%", "limit < 1%"),
        ("≤ +10%", "limit +10%"),
        ("≥ 20/s", "at least 20/s"),
        ("1.00%", "limit 1.00%"),
        ("1.5x live", "limit 1.5x live"),
        ("200", "expected 200"),
        ("10 of 10", "expected 10 of 10"),
        ("<script>", "expected <script>"),
        ("", "no limit"),
    ],
)
def test_thresholds_in_words(threshold: str, words: str) -> None:
    assert cases.bad("rule", "1", threshold, "because").limit == words


def promotion(outcome: Decision | KickoffError) -> Evidence:
    into = DeclaredEnvironment("production", after="staging")
    started = cases.staged().started
    return look_up_evidence(outcome, into=into, started=started, service="shop", commit=cases.COMMIT)


def test_a_commit_without_proof_is_rejected_with_the_command_that_proves_it() -> None:
    command = "kickoff deploy --env staging --release 4f2c1ab"
    refusal = KickoffError(
        "staging never proved 4f2c1ab", code=ExitCode.REJECTED, hint=f"prove it: {command}"
    )
    plan = cases.plan("production", pre_deployment_checks="failure")
    outcome = decide(cases.run_of(promotion(refusal), planned=plan))
    assert (outcome.verdict, outcome.exit_code, outcome.at) == ("rejected", 1, "at promotion")
    assert outcome.fix == f"prove it: {command}"
    assert outcome.next == ("kickoff deploy --env production",)
    assert "as before" in str(outcome.serving)


def test_who_shipped_without_a_proof_is_told_why_in_the_report() -> None:
    run = cases.released()
    said = promotion(Decision(Standing.BYPASSED, reason="staging burns"))
    bypassed = replace(run, evidence=(said, *run.evidence))
    assert decide(bypassed).verdict == "released"
    assert ("unproven because", "staging burns") in facts(bypassed, [])
    assert "unproven because" not in dict(facts(run, []))


@pytest.mark.parametrize(
    ("code", "stage", "expected"),
    [
        (2, "validate", ("kickoff env validate --env staging", "kickoff deploy --env staging")),
        (75, "stage", ("kickoff deploy --env staging --wait 600",)),
        (4, "stage", ("kickoff doctor --env staging", "kickoff deploy --env staging")),
        (1, "quality-gate", ("kickoff check", "kickoff deploy --env staging")),
        (1, "build", ("kickoff deploy --env staging",)),
        (1, "preflight", ("kickoff status --env staging",)),
        (1, "stage", ("kickoff logs --env staging --process candidate", "kickoff deploy --env staging")),
        (
            1,
            "check-prices",
            ("kickoff logs --env staging --process candidate", "kickoff deploy --env staging"),
        ),
        (1, "perf-baseline", ("kickoff deploy --env staging", "kickoff trend")),
        (3, "perf-baseline", ("kickoff deploy --env staging", "kickoff trend")),
        (3, "", ("kickoff status --env staging", "kickoff deploy --env staging")),
        (5, "promote", ("kickoff logs --env staging --process candidate", "kickoff history --env staging")),
        (6, "promote", ("kickoff status --env staging", "kickoff resume --env staging")),
        (130, "", ("kickoff deploy --env staging",)),
        (0, "", ()),
    ],
)
def test_the_next_command_fits_what_stopped_the_run(code: int, stage: str, expected: tuple[str, ...]) -> None:
    run = cases.run_of(workflows=frozenset({"cd.yml"}))
    assert next_steps.commands(run, "staging", code=code, stage=stage) == expected


START, DOCTOR, AGAIN = (
    "kickoff start --env staging",
    "kickoff doctor --env staging",
    "kickoff deploy --env staging",
)


@pytest.mark.parametrize(
    ("code", "stage", "expected"),
    [
        (5, "promote", (START, "kickoff logs --env staging --process candidate")),
        (1, "stage", (START, "kickoff logs --env staging --process candidate")),
        (3, "promote", (START, "kickoff logs --env staging --process candidate")),
        (4, "stage", (DOCTOR, START, AGAIN)),
        (6, "promote", ("kickoff status --env staging", "kickoff resume --env staging")),
        (130, "promote", ("kickoff resume --env staging", AGAIN)),
        (75, "stage", (f"{AGAIN} --wait 600",)),
        (0, "", ()),
    ],
)
def test_where_nobody_serves_live_is_brought_back_unless_a_release_is_still_open(
    code: int, stage: str, expected: tuple[str, ...]
) -> None:
    found = next_steps.commands(cases.run_of(), "staging", code=code, stage=stage, down=True)
    assert found[: len(expected)] == expected


@pytest.mark.parametrize(
    "answers", ["yes", "no", "/health/live: HTTP 503", "", "/: HTTP 500 (1 of 9 requests failed)"]
)
def test_a_rollback_to_what_does_not_serve_ends_with_the_command_that_starts_it(answers: str) -> None:
    serving = {"release": cases.OLD, "colour": "blue", "answers": answers}
    run = cases.rolled_back_after_bake()
    for document in run.evidence:
        if "serving" in document.facts:
            document.facts["serving"] = serving
    outcome = decide(run)
    assert outcome.verdict == "rolled-back"
    assert (outcome.next[0] == f"kickoff start --env {outcome.environment}") is (
        answers in ("no", "/health/live: HTTP 503")
    )


def test_what_is_wrong_in_an_environment_file_is_validated_there() -> None:
    found = next_steps.commands(cases.run_of(), "staging", code=2, stage="preflight", of_environment=True)
    assert found[0] == "kickoff env validate --env staging"


def test_whoever_was_taken_back_looks_who_did_it() -> None:
    found = next_steps.commands(cases.run_of(), "staging", code=75, stage="promote", taken_back=True)
    assert found == ("kickoff history --env staging", "kickoff status --env staging")


def test_a_run_of_checks_alone_is_sent_to_no_environment() -> None:
    found = next_steps.commands(cases.run_of(), "", code=2, stage="plan")
    assert found == ("kickoff validate", "kickoff check")


def test_the_exception_of_a_500_is_in_block_page_and_summary() -> None:
    failing = cases.bad("POST /predictions", "500 in 11 ms", "200", "expected status 200, found 500")
    log = keep(JSON, ["/health/ready"])
    smoke = cases.smoked(failing, summary="1 of 2 checks failed", log_tail=log)
    planned = cases.plan("staging", deploy_staging="failure")
    run = cases.run_of(*cases.before(), cases.staged(), smoke, cases.aborted(55.0), planned=planned)
    outcome = decide(run, "r.html")
    assert outcome.cause == "RuntimeError: broken on purpose"
    for text in (
        closing_block(outcome.to_document()),
        summary.render(run, outcome),
        page.render(run, outcome),
    ):
        plain = html.unescape(text)
        assert plain.count("RuntimeError: broken on purpose") >= 2, "as the cause, and in its traceback"
        assert "predictions.py" in plain
        assert "GET /health/ready 200" not in plain


def test_a_stage_that_was_refused_at_once_left_no_candidate_and_changed_nothing() -> None:
    facts = {"outcome": "refused", "exit_code": 1, "hint": "`kickoff unlock --force --env NAME` frees it"}
    refused = cases.stage("stage", 45, 0.1, verdict=Verdict.FAIL, summary="damaged on its way", facts=facts)
    outcome = decide(cases.run_of(*cases.before(), refused))
    assert (outcome.verdict, outcome.why) == (RunVerdict.REJECTED, "damaged on its way")
    assert str(outcome.serving) == "as before: this run changed nothing"
    assert outcome.fix == "`kickoff unlock --force --env staging` frees it"
    assert outcome.next[0] == "kickoff status --env staging"
