"""The statement that an artefact is proved, and everything that stands in its way."""

from pathlib import Path

import pytest

from kickoff.artifact import proof
from kickoff.artifact.ledger import FolderLedger
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, now
from tests.unit.artifact.test_ledger import COMMIT, STATEMENT

STAGES = ("stage", "smoke-candidate", "perf-baseline", "promote", "smoke-live")


def document(stage: str, verdict: Verdict = Verdict.PASS, release: str = "r1", **facts: object) -> Evidence:
    rule = RuleResult("a.rule", "rule", verdict, "1", "1", 1, "" if verdict is Verdict.PASS else "because")
    return Evidence(
        stage, "staging", verdict, "a summary", now(), release=release, rules=[rule], facts=dict(facts)
    )


def state(*documents: Evidence) -> dict[str, object]:
    return proof.state(
        documents,
        service="demo",
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


PROMOTED = {"attempt": "7-aa", "at": "2026-01-02T03:04:05.000+00:00", "verdict": "pass"}


def test_a_proof_names_the_promotion_of_this_run() -> None:
    documents = [document(stage) for stage in STAGES]
    documents[3].attempt, documents[3].finished = "9-bb", "2026-01-02T03:04:09.000+00:00"
    assert state(*documents)["promoted"] == {
        "attempt": "9-bb",
        "at": "2026-01-02T03:04:09.000+00:00",
        "verdict": "pass",
    }


def test_a_release_that_was_promoted_before_needs_its_health_only() -> None:
    statement = state(document("stage", changed=False, promoted=PROMOTED), document("smoke-live"))
    assert statement["changed"] is False
    assert statement["promoted"] == PROMOTED
    with pytest.raises(KickoffError, match="smoke-live left no evidence"):
        state(document("stage", changed=False, promoted=PROMOTED))


@pytest.mark.parametrize(
    "promoted",
    [
        None,
        {},
        "yes",
        PROMOTED | {"verdict": "fail"},
        PROMOTED | {"verdict": "inconclusive"},
        PROMOTED | {"attempt": ""},
        PROMOTED | {"at": None},
        {"verdict": "pass"},
    ],
)
def test_what_is_live_without_a_promotion_that_passed_proves_nothing(promoted: object) -> None:
    with pytest.raises(KickoffError, match="left no evidence") as error:
        state(document("stage", changed=False, promoted=promoted), document("smoke-live"))
    assert error.value.code == 1
    assert "promote left no evidence" in error.value.causes


def test_a_promotion_of_this_run_that_failed_is_not_outweighed_by_an_earlier_one() -> None:
    earlier = document("stage", changed=False, promoted=PROMOTED)
    with pytest.raises(KickoffError, match="left no evidence") as error:
        state(earlier, document("promote", Verdict.FAIL), document("smoke-live"))
    assert "promote ended with fail: a summary" in error.value.causes


def test_another_artefact_than_was_staged_is_not_proved() -> None:
    documents = [document(stage) for stage in STAGES]
    documents[0].facts["facts"] = {"artifact": "sha256:1"}
    with pytest.raises(KickoffError, match="what was staged is sha256:1, not sha256:0"):
        state(*documents)


@pytest.mark.parametrize("changed", [True, False])
def test_a_statement_without_a_promotion_is_refused_however_it_was_written(*, changed: bool) -> None:
    statement = STATEMENT | {"changed": changed}

    def read(**more: object) -> proof.Proof:
        return proof.read(statement | more, environment="staging", commit=COMMIT, source="a file")

    assert read().statement["promoted"] == STATEMENT["promoted"]
    assert read(promoted=None, stages={"stage": [], "promote": [], "smoke-live": []}).digest
    for promoted in (None, {}, PROMOTED | {"verdict": "fail"}, PROMOTED | {"attempt": ""}):
        with pytest.raises(KickoffError, match="it names no promotion that passed") as error:
            read(promoted=promoted)
        assert error.value.code == 1


def test_a_proof_names_its_service_and_is_refused_for_another(tmp_path: Path) -> None:
    statement = STATEMENT | {"service": "api"}

    def read(of: object, service: str) -> proof.Proof:
        return proof.read(of, environment="staging", commit=COMMIT, source="a file", service=service)

    assert read(statement, "api").statement["service"] == "api"
    assert read(STATEMENT, "api").digest, "those of earlier versions name none"
    with pytest.raises(KickoffError, match="its service is 'api', not 'web'") as error:
        read(statement, "web")
    assert error.value.code == 1
    kept = FolderLedger(tmp_path, "staging", "web")
    with pytest.raises(KickoffError, match="its service is 'api', not 'web'"):
        kept.keep(statement)
    FolderLedger(tmp_path, "staging", "api").keep(statement)
    with pytest.raises(KickoffError, match="its service is 'api', not 'web'"):
        kept.find(COMMIT)
