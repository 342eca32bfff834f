"""The statement that an artefact is proved, and everything that stands in its way."""

import pytest

from kickoff.artifact import proof
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, now

STAGES = ("stage", "smoke-candidate", "perf-baseline", "promote", "smoke-live")


def document(stage: str, verdict: Verdict = Verdict.PASS, release: str = "r1", **facts: object) -> Evidence:
    rule = RuleResult("rule", verdict, "1", "1", 1, "" if verdict is Verdict.PASS else "because")
    return Evidence(
        stage, "staging", verdict, "a summary", now(), release=release, rules=[rule], facts=dict(facts)
    )


def state(*documents: Evidence) -> dict[str, object]:
    return proof.state(
        documents,
        environment="staging",
        digest="sha256:0",
        commit="abc",
        required_checks=["smoke-candidate", "perf-baseline"],
    )


def test_every_stage_passed() -> None:
    statement = state(*(document(stage) for stage in STAGES))
    assert statement["release"] == "r1"
    assert statement["changed"] is True
    assert list(statement["stages"]) == list(STAGES)  # type: ignore[call-overload]


@pytest.mark.parametrize("stage", STAGES)
def test_a_missing_stage_is_no_proof(stage: str) -> None:
    with pytest.raises(KickoffError, match=f"{stage} left no evidence") as error:
        state(*(document(name) for name in STAGES if name != stage))
    assert error.value.code == 1


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE])
def test_only_a_pass_proves(verdict: Verdict) -> None:
    with pytest.raises(KickoffError, match="perf-baseline ended with"):
        state(*(document(name, verdict if name == "perf-baseline" else Verdict.PASS) for name in STAGES))


def test_the_last_word_of_a_stage_counts() -> None:
    passed = [document(stage) for stage in STAGES]
    with pytest.raises(KickoffError, match="smoke-live ended with fail"):
        state(*passed, document("smoke-live", Verdict.FAIL))


def test_all_stages_must_speak_of_one_release() -> None:
    with pytest.raises(KickoffError, match="different releases: r1, r2"):
        state(*(document(name, release="r2" if name == "promote" else "r1") for name in STAGES))


def test_other_environments_prove_nothing() -> None:
    documents = [document(stage) for stage in STAGES]
    for entry in documents:
        entry.environment = "development"
    with pytest.raises(KickoffError, match="stage left no evidence"):
        state(*documents)


def test_a_release_that_was_live_already_needs_its_health_only() -> None:
    statement = state(document("stage", changed=False), document("smoke-live"))
    assert statement["changed"] is False
    with pytest.raises(KickoffError, match="smoke-live left no evidence"):
        state(document("stage", changed=False))
