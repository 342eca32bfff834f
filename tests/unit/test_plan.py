"""The decision what an event deploys, and the results in the plan."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff import environments, plan
from kickoff.errors import KickoffError

COMMIT = "a" * 40


def decide(event: str, ref: str, inputs: dict[str, str] | None = None, branch: str = "main") -> plan.Plan:
    return plan.decide(
        event=event,
        ref=ref,
        inputs=inputs or {},
        declared=environments.DEFAULT,
        default_branch=branch,
        commit=COMMIT,
    )


@pytest.mark.parametrize(
    ("event", "ref", "inputs", "deployments"),
    [
        ("push", "refs/heads/main", {}, ("staging",)),
        ("push", "refs/heads/main-2", {}, ()),
        ("push", "refs/heads/topic", {}, ()),
        ("push", "refs/heads/v1.0.0", {}, ()),
        ("push", "refs/tags/v1.0.0", {}, ("production",)),
        ("push", "refs/tags/v1.0.0-rc.1", {}, ("production",)),
        ("push", "refs/tags/main", {}, ()),
        ("push", "refs/tags/nightly", {}, ()),
        ("push", "refs/tags/v1/evil", {}, ()),
        ("push", "refs/heads/main", {"environment": "production"}, ("staging",)),
        ("pull_request", "refs/pull/1/merge", {}, ()),
        ("schedule", "refs/heads/main", {}, ()),
        ("", "", {}, ()),
        ("workflow_dispatch", "refs/heads/topic", {"environment": "development"}, ("development",)),
        ("workflow_dispatch", "refs/heads/main", {"environment": "staging"}, ("staging",)),
        ("workflow_dispatch", "refs/tags/v1", {"environment": "production"}, ("production",)),
    ],
)
def test_decides_by_event_and_ref(
    event: str, ref: str, inputs: dict[str, str], deployments: tuple[str, ...]
) -> None:
    decision = decide(event, ref, inputs)
    assert decision.deployments == deployments
    assert decision.commit == COMMIT
    assert decision.reason


def test_the_default_branch_may_have_another_name() -> None:
    assert decide("push", "refs/heads/trunk", branch="trunk").deployments == ("staging",)
    assert decide("push", "refs/heads/main", branch="trunk").deployments == ()


@pytest.mark.parametrize("environment", ["", "uat", "Production", "staging\n", "production; rm -rf /"])
def test_a_dispatch_needs_a_known_environment(environment: str) -> None:
    with pytest.raises(KickoffError) as error:
        decide("workflow_dispatch", "refs/heads/main", {"environment": environment})
    assert error.value.code == 2
    assert "development, staging, production" in error.value.hint


def test_the_reason_for_an_unproven_commit_is_kept_and_is_one_line() -> None:
    inputs = {"environment": "production", "unproven-reason": " staging is down "}
    assert decide("workflow_dispatch", "refs/heads/main", inputs).unproven_reason == "staging is down"
    with pytest.raises(KickoffError, match="one line"):
        decide("workflow_dispatch", "refs/heads/main", inputs | {"unproven-reason": "a\nb"})


def test_production_alone_needs_a_proof() -> None:
    for environment in ("development", "staging", "production"):
        decision = decide("workflow_dispatch", "refs/heads/main", {"environment": environment})
        assert decision.after == ("staging" if environment == "production" else "")
    assert decide("push", "refs/tags/v1.0.0").after == "staging"
    assert decide("push", "refs/heads/main").after == ""


def test_only_a_push_a_dispatch_or_a_command_ever_deploys() -> None:
    for event in ("pull_request", "pull_request_target", "release", "workflow_run"):
        decision = decide(event, "refs/tags/v1.0.0", {"environment": "production"})
        assert decision.deployments == ()
    # Of a comment only what its own workflow has decided, and calls with.
    assert decide("issue_comment", "refs/heads/main").deployments == ()
    assert decide("issue_comment", "refs/heads/main", {"environment": "staging"}).deployments == ("staging",)


@given(st.text(max_size=30))
def test_no_other_ref_reaches_production(ref: str) -> None:
    deployments = decide("push", ref).deployments
    assert deployments == () or ref == "refs/heads/main" or ref.startswith("refs/tags/v")


def test_jobs_follow_the_deployments() -> None:
    assert decide("push", "refs/heads/topic").jobs == (
        "pre-deployment-checks",
        "quality-gate",
        "deployment-summary",
    )
    assert "deploy-staging" in decide("push", "refs/heads/main").jobs
    assert "deploy-production" not in decide("push", "refs/heads/main").jobs


@pytest.mark.parametrize(
    ("release", "revision"),
    [
        ("", ""),
        ("  ", ""),
        ("v1.4.0", "v1.4.0"),
        (COMMIT, COMMIT),
        ("4f2c1ab-0a1b2c3d", "4f2c1ab"),
        ("release/2026.1", "release/2026.1"),
    ],
)
def test_a_release_names_a_revision(release: str, revision: str) -> None:
    assert plan.wanted_revision({"release": release}) == revision


@pytest.mark.parametrize("release", ["-x", "--output=/tmp/x", "a b", "$(id)", "main..topic", "a\nb", "v1;id"])
def test_a_release_that_is_no_revision_is_refused(release: str) -> None:
    with pytest.raises(KickoffError, match="no tag, commit or release id"):
        plan.wanted_revision({"release": release})


def test_results_are_entered_into_the_plan(tmp_path: Path) -> None:
    document = decide("push", "refs/heads/main").to_document("demo")
    (tmp_path / plan.FILE).write_text(json.dumps(document))
    plan.record_results(tmp_path, {"quality-gate": {"result": "success", "outputs": {"a": "b"}}})
    stored = json.loads((tmp_path / plan.FILE).read_text())
    assert stored == {
        "deployments": ["staging"],
        "event": "push",
        "ref": "refs/heads/main",
        "commit": COMMIT,
        "service": "demo",
        "reason": "every push to main goes to staging",
        "unproven_reason": "",
        "jobs": {"quality-gate": "success"},
    }


def test_a_workflow_without_a_plan_says_that_its_evidence_decides(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    plan.record_results(folder, {"ship": {"result": "success", "outputs": {"url": "x"}}})
    stored = json.loads((folder / plan.FILE).read_text())
    assert (stored["deployments"], stored["jobs"]) == ([], {"ship": "success"})
    assert "makes no plan" in stored["reason"]


def test_a_plan_that_was_made_and_is_missing_is_an_error(tmp_path: Path) -> None:
    jobs = {"checks": {"result": "success", "outputs": {"deployments": '["staging"]'}}}
    with pytest.raises(KickoffError, match="the plan that checks made is missing"):
        plan.record_results(tmp_path, jobs)
    failed = {"checks": {"result": "failure", "outputs": {"deployments": ""}}}
    assert plan.record_results(tmp_path, failed)["jobs"] == {"checks": "failure"}


@pytest.mark.parametrize("jobs", [{"a": "success"}, {"a": {}}, {"a": {"result": None}}])
def test_results_of_another_shape_are_refused(tmp_path: Path, jobs: dict[str, object]) -> None:
    with pytest.raises(KickoffError, match="no result for a"):
        plan.record_results(tmp_path, jobs)
