"""The trend over releases: steps, creep, and quiet where nothing moves."""

import json
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kickoff.cli import main
from kickoff.evidence import Evidence, RuleResult, Verdict
from kickoff.performance import trend
from kickoff.performance.trend import Shape, Trend

ROOT = Path(__file__).parents[3]
KICKOFF = ROOT / "src/kickoff"


def of(effects: Sequence[float], error: float = 0.01, margin: float = 0.05) -> Trend:
    found = [(f"2026-01-01T00:00:{i:02d}", f"r{i}", effect, error) for i, effect in enumerate(effects)]
    return trend.trend("staging", "GET /a", "p50", found, margin)


def test_a_steady_service_raises_no_alarm() -> None:
    source = random.Random(1)
    found = of([source.gauss(0, 0.01) for _ in range(200)])
    assert found.alarms == ()
    assert abs(found.points[-1].level) < 4 * found.points[-1].level_error


def test_creep_below_every_gate_is_found_and_dated() -> None:
    source = random.Random(2)
    found = of([source.gauss(0, 0.01) for _ in range(20)] + [0.02 + source.gauss(0, 0.01) for _ in range(8)])
    assert [alarm.shape for alarm in found.alarms] == [Shape.CREEP]
    alarm = found.alarms[0]
    assert 17 <= int(alarm.since[1:]) <= 22
    assert int(alarm.seen[1:]) > int(alarm.since[1:])
    assert alarm.rise > 0.05


def test_a_step_names_the_release_that_brought_it() -> None:
    found = of([0.0, 0.001, -0.002, 0.15, 0.0])
    assert [(alarm.shape, alarm.since, alarm.seen) for alarm in found.alarms] == [(Shape.STEP, "r3", "r3")]
    assert found.alarms[0].rise == pytest.approx(math.expm1(0.15), rel=0.02)


def test_after_an_alarm_the_new_level_is_the_one_to_watch() -> None:
    assert len(of([0.15, 0.0, 0.0, 0.0, 0.2, 0.0]).alarms) == 2


def test_certain_trifles_and_improvements_raise_no_alarm() -> None:
    assert of([0.001] * 30, error=0.0001).alarms == ()
    assert of([-0.1] * 10).alarms == ()


def document(number: int, effect: float, verdict: Verdict = Verdict.PASS) -> Evidence:
    row = {"endpoint": "GET /a", "kind": "p50", "effect": effect, "low": effect - 0.02, "high": effect + 0.02}
    rest = {"endpoint": "all endpoints", "kind": "errors", "effect": 0.5, "low": 0.4, "high": 0.6}
    reason = "" if verdict is Verdict.PASS else "slower"
    return Evidence(
        stage="perf-baseline",
        environment="staging",
        verdict=verdict,
        summary="compared",
        started=f"2026-01-01T00:{number:02d}:00+00:00",
        release=f"r{number}",
        rules=[RuleResult("perf.rule", "rule", verdict, "1", "1", 1, reason)],
        facts={"comparison": [row, rest]},
    )


def test_rejected_releases_never_served_and_do_not_count() -> None:
    documents = [document(2, 0.01), document(0, 0.0), document(1, 0.9, Verdict.FAIL)]
    found = trend.trends(documents, {"p50": 0.05})
    assert [[point.release for point in entry.points] for entry in found] == [["r0", "r2"]]


def test_a_comparison_without_numbers_is_left_out() -> None:
    empty = document(0, 0.0)
    empty.facts["comparison"] = [
        {"endpoint": "GET /a", "kind": "p50", "effect": None, "low": None, "high": None}
    ]
    assert trend.trends([empty], {"p50": 0.05}) == []


def test_a_comparison_with_a_live_release_that_was_no_yardstick_is_left_out() -> None:
    found = document(0, 0.5)
    found.facts["comparison"][0]["verdict"] = "not-applicable"
    assert trend.trends([found], {"p50": 0.05}) == []


@pytest.mark.parametrize(
    ("effects", "code", "said"),
    [
        ([0.0, 0.0, 0.0, 0.0], 0, "no step and no creep"),
        ([0.0, 0.3, 0.0], 1, "step of"),
        ([0.0], 3, "needs 3"),
    ],
)
def test_the_script_reads_evidence_and_leaves_a_page(
    tmp_path: Path, effects: list[float], code: int, said: str
) -> None:
    for number, effect in enumerate(effects):
        document(number, effect).write(tmp_path / "runs" / str(number))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(KICKOFF), "trend", "--evidence", str(tmp_path / "runs"), "--output", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
    assert "GET /a" in (out / "trend.html").read_text()
    assert len(json.loads((out / "trend.json").read_text())[0]["points"]) == len(effects)


def test_the_script_says_when_there_is_no_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(KICKOFF),
            "trend",
            "--evidence",
            str(tmp_path / "none"),
            "--output",
            str(tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no folder" in done.stderr


def test_a_service_without_scenarios_has_a_trend_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kickoff.yml").write_text("name: plain\nrun: ./serve\nhealth: /up\nload: none\n")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main.main(["trend", "--evidence", "runs"]) == 3
    assert "a trend needs 3" in capsys.readouterr().out
