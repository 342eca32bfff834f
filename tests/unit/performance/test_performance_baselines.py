"""Stored baselines: what they hold, how a run is judged by them, and that nothing unknown passes."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kickoff.errors import KickoffError
from kickoff.evidence import Verdict, combine
from kickoff.performance import aggregates, baselines, runner, scenarios
from kickoff.performance.baselines import Baseline, Key, Run, Times
from kickoff.performance.samples import Sample

SETTINGS = scenarios.load(Path(__file__).parents[3] / "configs/performance/scenarios.yml").comparison
KEY = Key("staging", "light", "linux-x86_64-2cpu")


def run(p50: float, p95: float | None = None, name: str = "GET /a") -> Run:
    times = Times(400, p50, 4 * p50 if p95 is None else p95)
    return Run("2026-01-02T03:04:05+00:00", 120.0, {name: times})


def baseline(values: Sequence[float]) -> Baseline:
    return Baseline(KEY, "abc1234", "a processor", tuple(run(value) for value in values))


STEADY = (10.0, 10.1, 9.9, 10.05, 9.95)


def verdict(known: Baseline, fresh: Run) -> Verdict:
    return combine(rule.verdict for rule in baselines.judge(known, fresh, SETTINGS))


@pytest.mark.parametrize(
    ("value", "expected"), [(10.0, Verdict.PASS), (8.0, Verdict.PASS), (12.0, Verdict.FAIL)]
)
def test_a_run_is_judged_by_what_the_baselines_runs_differ_by(value: float, expected: Verdict) -> None:
    generous = replace(SETTINGS, p50=replace(SETTINGS.p50, detect=0.5))
    found = baselines.judge(baseline(STEADY), run(value), generous)
    assert combine(rule.verdict for rule in found) is expected
    assert found[0].rule == "p50 of GET /a against the baseline of abc1234"
    assert found[0].samples == 400


def test_few_runs_or_noisy_ones_are_inconclusive() -> None:
    few = baselines.judge(baseline(STEADY[:4]), run(10.0), SETTINGS)
    assert {rule.verdict for rule in few} == {Verdict.INCONCLUSIVE}
    assert "4 of 5 runs" in few[0].reason
    noisy = baselines.judge(baseline((10, 30, 5, 12, 21)), run(10.0), SETTINGS)
    assert {rule.verdict for rule in noisy} == {Verdict.INCONCLUSIVE}
    assert "must" in noisy[0].reason


def test_runs_that_agree_by_luck_do_not_make_the_next_one_certain() -> None:
    assert verdict(baseline([10.0] * 5), run(10.4)) is not Verdict.FAIL


@pytest.mark.parametrize("name", ["GET /b", "GET /a2"])
def test_an_endpoint_that_only_one_side_has_is_inconclusive(name: str) -> None:
    found = {
        rule.rule.split(" of ")[1].split(" against")[0]: rule
        for rule in baselines.judge(baseline(STEADY), run(10.0, name=name), SETTINGS)
    }
    assert found["GET /a"].verdict is Verdict.INCONCLUSIVE
    assert found["GET /a"].reason == "this run has no success of it"
    assert found[name].reason == "the baseline does not have it"


def test_no_baseline_is_inconclusive_and_says_what_to_do() -> None:
    rule = baselines.missing(KEY, "x.json")
    assert rule.verdict is Verdict.INCONCLUSIVE
    assert "--update-baseline" in rule.reason


def test_runs_of_one_commit_add_up_and_a_new_commit_begins_anew() -> None:
    known: Baseline | None = None
    for value in range(1, 13):
        known = baselines.add(known, KEY, "abc1234", "p", run(float(value)))
    assert known is not None
    assert len(known.runs) == baselines.MOST_RUNS
    assert known.runs[-1].endpoints["GET /a"].p50_ms == 12
    assert len(baselines.add(known, KEY, "def5678", "p", run(1.0)).runs) == 1
    with pytest.raises(KickoffError, match="no baseline"):
        baselines.add(known, KEY, "abc1234", "p", Run("2026-01-02T03:04:05+00:00", 1.0, {}))


def test_a_baseline_survives_the_file_and_shows_samples_and_noise(tmp_path: Path) -> None:
    known = baseline(STEADY)
    path = baselines.save(known, tmp_path)
    assert path == tmp_path / "staging/light.linux-x86_64-2cpu.json"
    assert baselines.load(KEY, tmp_path) == known
    shown = json.loads(path.read_text())
    assert shown["commit"] == "abc1234"
    figures = shown["endpoints"]["GET /a"]
    assert figures["samples"] == 2000
    assert figures["p50_ms"] == pytest.approx(10.0, abs=0.01)
    logs = [math.log(value) for value in STEADY]
    spread = math.sqrt(sum((x - sum(logs) / 5) ** 2 for x in logs) / 4)
    assert figures["noise_p50"] == pytest.approx(spread, abs=1e-4)
    assert baselines.load(replace(KEY, runner="other"), tmp_path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-20], "not JSON"),
        (lambda text: text.replace('"commit"', '"commt"'), "is wrong at"),
        (lambda text: text.replace('"scenario": "light"', '"scenario": "heavy"'), "belongs to"),
        (lambda text: text.replace('"p50_ms": 10.0,', '"p50_ms": 99.0,', 1), "does not follow from"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, change: object, message: str) -> None:
    path = baselines.save(baseline(STEADY), tmp_path)
    assert callable(change)
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(KickoffError, match=message) as caught:
        baselines.load(KEY, tmp_path)
    assert caught.value.at == str(path)
    assert caught.value.hint


def test_only_successes_become_times() -> None:
    samples = [Sample(1.0, "GET /a", "candidate", 5.0, True), Sample(1.0, "GET /b", "candidate", 5.0, False)]
    found = baselines.measured(aggregates.by_endpoint(samples), "2026-01-02T03:04:05+00:00", 1.0)
    assert set(found.endpoints) == {"GET /a"}


def test_runner_classes() -> None:
    assert runner.runner_class({runner.VARIABLE: "big-box"}) == "big-box"
    assert runner.runner_class({}).endswith("cpu")
    with pytest.raises(KickoffError, match="KICKOFF_RUNNER_CLASS"):
        runner.runner_class({runner.VARIABLE: "../elsewhere"})


def test_a_machine_is_busy_when_others_are_at_work_besides_the_check() -> None:
    assert runner.busy(4.0, 2) == ""
    assert runner.busy(27.4, 2) == ("the machine was busy: load 27 on 2 cores; run again when it is quiet")
    assert runner.processors() >= 1
