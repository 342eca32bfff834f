"""Evidence: verdicts and the schema that keeps empty passes out."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, now, read, write_atomic


def evidence(*rules: RuleResult, stage: str = "smoke-live", started: str = "") -> Evidence:
    return Evidence(stage, "testing", Verdict.PASS, "done", started or now(), rules=list(rules))


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(Verdict))))
def test_only_passes_combine_to_a_pass(verdicts: list[Verdict]) -> None:
    combined = combine(verdicts)
    if Verdict.FAIL in verdicts:
        assert combined is Verdict.FAIL
    elif Verdict.INCONCLUSIVE in verdicts or Verdict.PASS not in verdicts:
        assert combined is Verdict.INCONCLUSIVE
    else:
        assert combined is Verdict.PASS


def test_each_verdict_has_its_exit_code() -> None:
    assert {str(verdict): int(verdict.exit_code) for verdict in Verdict} == {
        "pass": 0,
        "fail": 1,
        "inconclusive": 3,
        "not-applicable": 0,
    }


def test_a_document_survives_the_disk(tmp_path: Path) -> None:
    written = evidence(
        RuleResult("perf.p95", "p95", Verdict.PASS, "10 ms", "20 ms", 5),
        RuleResult("judge.cpu", "cpu", Verdict.NOT_APPLICABLE, "", "80%", 0, "not read here"),
    )
    assert written.write(tmp_path / "new") == tmp_path / "new" / "smoke-live.testing.json"
    assert read(tmp_path) == [written]
    assert written.finished >= written.started


def test_a_stage_of_no_environment_has_a_plain_name(tmp_path: Path) -> None:
    document = Evidence("build", "", Verdict.PASS, "built", now())
    assert document.write(tmp_path).name == "build.json"


def test_a_pass_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match=r"rules\[0\]\.samples"):
        evidence(RuleResult("perf.p95", "p95", Verdict.PASS, "0 ms", "20 ms", 0)).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE])
def test_anything_but_a_pass_needs_a_reason(tmp_path: Path, verdict: Verdict) -> None:
    with pytest.raises(KickoffError, match="reason"):
        evidence(RuleResult("perf.p95", "p95", verdict, "30 ms", "20 ms", 5)).write(tmp_path)


@pytest.mark.parametrize(("stage", "started"), [("Smoke", ""), ("../x", ""), ("smoke", "yesterday")])
def test_a_bad_name_or_time_is_refused(tmp_path: Path, stage: str, started: str) -> None:
    with pytest.raises(KickoffError, match="breaks the schema"):
        evidence(stage=stage, started=started).write(tmp_path)


def test_documents_are_read_oldest_first_and_attachments_skipped(tmp_path: Path) -> None:
    evidence(stage="watch", started="2026-01-01T00:00:00").write(tmp_path)
    evidence(stage="abort", started="2026-01-02T00:00:00").write(tmp_path / "deeper")
    (tmp_path / "raw.json").write_text("[1, 2]")
    assert [found.stage for found in read(tmp_path)] == ["watch", "abort"]


def test_broken_documents_are_named(tmp_path: Path) -> None:
    path = evidence().write(tmp_path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"verdict": "great"}))
    with pytest.raises(KickoffError, match="verdict") as caught:
        read(tmp_path)
    assert caught.value.at == str(path)
    path.write_text("{")
    with pytest.raises(KickoffError, match="not JSON"):
        read(tmp_path)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "state.json"
    write_atomic(target, "old", mode=0o600)
    assert target.stat().st_mode & 0o777 == 0o600

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kickoff.evidence.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
