"""The rule for unusual traffic: its false alarms on simulated seasons, and what it finds. promtool computes the same."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.lib.stride_tricks import sliding_window_view

from tests.tools import tool
from tests.unit.stack.test_alerts import ALERTS, GROUPS, RECORDED, seconds

DAY = 288
"""Samples of a day, five minutes apart."""
RULE = ALERTS["TrafficUnusual"]
LIMIT = float(re.search(r"> ([\d.]+)$", RULE["expr"])[1])  # type: ignore[index]
PATIENCE = seconds(RULE["for"]) // 300


def traffic(weeks: int, rate: float, noise: float, seed: int) -> np.ndarray:
    """Return requests a second: a rhythm of days and weeks, noise that lasts for half an hour, and chance.

    Args:
        weeks: How many.
        rate: In the middle of a working day.
        noise: Standard deviation of its logarithm.
        seed: Of chance.
    """
    chance = np.random.default_rng(seed)
    count = weeks * 7 * DAY
    time = np.arange(count) / DAY
    season = 0.55 + 0.45 * np.sin(2 * np.pi * (time - 0.3))
    week = np.where(np.floor(time) % 7 >= 5, 0.5, 1.0)
    steps = chance.normal(size=count)
    stays = np.exp(-1 / 6)
    lasting = np.empty(count)
    lasting[0] = steps[0]
    for index in range(1, count):
        lasting[index] = stays * lasting[index - 1] + np.sqrt(1 - stays**2) * steps[index]
    mean = rate * season * week * np.exp(noise * lasting)
    return chance.poisson(mean * 300) / 300


def robust_z(rates: np.ndarray) -> np.ndarray:
    """Return the score from the eighth day on, as the recorded rules compute it."""
    hours = np.log(np.median(sliding_window_view(rates, 12), axis=1) + 0.05)
    now = np.log(sliding_window_view(rates, 3).mean(axis=1) + 0.05)
    ends = np.arange(7 * DAY, len(rates))
    usual = np.stack([hours[ends - day * DAY - 5] for day in range(1, 8)])
    median = np.median(usual, axis=0)
    spread = 1.4826 * np.median(np.abs(usual - median), axis=0) + 0.2
    score: np.ndarray = (now[ends - 2] - median) / spread
    return score


def alarms(scores: np.ndarray) -> list[int]:
    """Return where an alert begins to fire."""
    held, begun = 0, []
    for index, score in enumerate(np.abs(scores)):
        held = held + 1 if score > LIMIT else 0
        if held == PATIENCE + 1:
            begun.append(index)
    return begun


@pytest.mark.parametrize(("rate", "noise"), [(50.0, 0.02), (50.0, 0.1), (50.0, 0.2), (2.0, 0.1), (0.2, 0.1)])
def test_a_year_of_ordinary_traffic_has_less_than_one_false_alarm_in_a_month(
    rate: float, noise: float
) -> None:
    scores = robust_z(traffic(53, rate, noise, seed=16))
    found = alarms(scores)
    print(
        f"{rate:g} requests/s, noise {noise:.0%}: {len(found)} false alarms in 52 weeks, worst {np.abs(scores).max():.1f}"
    )
    assert len(found) <= 12


@pytest.mark.parametrize(("factor", "least", "within"), [(0.1, 20, 30), (4.0, 16, 90)])
def test_traffic_that_stays_away_or_is_four_times_as_much_is_found(
    factor: float, least: int, within: int
) -> None:
    found = []
    for seed in range(20):
        rates = traffic(3, 50.0, 0.1, seed)
        begin = 16 * DAY + 150  # half past twelve on a working day
        rates[begin : begin + 24] *= factor
        scores = robust_z(rates)[begin - 7 * DAY : begin - 7 * DAY + 24]
        found += [5 * index for index in alarms(scores)[:1]]
    print(f"times {factor:g}: found in {len(found)} of 20, after {max(found)} minutes at most")
    assert len(found) >= least and max(found) <= within


def test_promtool_computes_the_same(tmp_path: Path) -> None:
    rates = traffic(2, 50.0, 0.1, seed=3)
    # Between two samples, so that no version differs about the ends of a window.
    minutes = 31 * 372
    score = robust_z(rates[: minutes // 5 + 7])[minutes // 5 - 7 * DAY]
    usual = [group for group in GROUPS if group["name"] == "usual"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": usual}))
    case = {
        "interval": "5m",
        "input_series": [
            {"series": "service:requests:rate5m", "values": " ".join(map(repr, rates.tolist()))},
        ],
        "promql_expr_test": [
            {
                "expr": f"abs(service:requests:robust_z - ({float(score)!r})) < bool 1e-9",
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
        ],
    }
    (tmp_path / "case.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "31m", "tests": [case]})
    )
    assert "usual" in RECORDED
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "case.yml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
