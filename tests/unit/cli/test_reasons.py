"""The reasons of aborts and rollbacks, as the history keeps them."""

from dataclasses import replace
from pathlib import Path

import pytest

from kickoff.checks.runner import problem
from kickoff.cli import main
from kickoff.cli.run import reasons
from kickoff.evidence import RuleResult, Verdict
from kickoff.host import remote
from tests.unit.report import cases

GIVEN = "the pipeline ended before the release was promoted"


def test_what_did_not_pass_is_told_by_the_check_with_its_cause(tmp_path: Path) -> None:
    run = cases.rejected_at_smoke()
    cases.write(run, tmp_path)
    assert reasons.of_abort(tmp_path, "staging", "a-17", GIVEN) == GIVEN
    smoke = next(document for document in run.evidence if document.stage == "smoke-candidate")
    said = problem(smoke)
    assert said.startswith("POST /predictions: 500 in 11 ms (expected 200)")
    assert said.endswith(" (KeyError: 'ratings')")
    assert problem(cases.smoked()) == ""


def test_who_stopped_the_run_is_the_reason(tmp_path: Path) -> None:
    how = {"by": "ada", "at": cases.at(53), "during": "Smoke test"}
    planned = replace(cases.plan("staging"), interrupted=how)
    cases.write(cases.run_of(*cases.before(), cases.staged(), planned=planned), tmp_path)
    said = reasons.of_abort(tmp_path, "staging", "a-17", GIVEN)
    assert said == "interrupted during Smoke test: ada stopped the run at 14:00:53 UTC"


def test_what_another_attempt_or_environment_left_is_no_reason(tmp_path: Path) -> None:
    cases.write(cases.rejected_at_smoke(), tmp_path)
    assert reasons.of_abort(tmp_path, "staging", "a-18", GIVEN) == GIVEN
    assert reasons.of_abort(tmp_path, "production", "a-17", GIVEN) == GIVEN
    assert reasons.of_abort(tmp_path, "staging", "", GIVEN) == GIVEN
    assert reasons.of_abort(tmp_path / "none", "staging", "a-17", GIVEN) == GIVEN


def test_a_rollback_names_what_the_live_smoke_test_found(tmp_path: Path) -> None:
    failed = RuleResult("live.health", "GET /health", Verdict.FAIL, "503 in 4 ms", "200", 1, "down")
    live = cases.smoked_live(failed, verdict=Verdict.FAIL, log_tail=["RuntimeError: no database"])
    cases.write(cases.run_of(*cases.before(), cases.staged(), live), tmp_path)
    given = "its live smoke test did not pass"
    said = reasons.of_rollback(tmp_path, "staging", live.release, given)
    assert said.startswith(f"{given}: GET /health: 503 in 4 ms (expected 200)")
    assert said.endswith(" (RuntimeError: no database)")
    for environment, release in (("production", live.release), ("staging", "0000000-00000000")):
        assert reasons.of_rollback(tmp_path, environment, release, given) == given


def test_the_reason_is_told_where_the_evidence_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = cases.smoked_live(verdict=Verdict.FAIL, summary="users get errors")
    cases.write(cases.run_of(live), tmp_path)
    monkeypatch.setenv("KICKOFF_EVIDENCE_DIR", str(tmp_path))
    handed: list[str] = []

    def hand_over(_host: str, _arguments: object, words: list[str], _root: Path) -> int:
        handed.extend(words)
        return 0

    monkeypatch.setattr(main, "_host", lambda _: "ssh://deploy@host")
    monkeypatch.setattr(remote, "hand_over", hand_over)
    main.run(main.parse(["rollback", "--env=staging", f"--failed={live.release}", "--reason=it failed"]))
    assert any(word.startswith("--reason=it failed: ") for word in handed)
