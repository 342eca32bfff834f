"""The calibration's own parts: the peers' rules, and resampling with known truth."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.perf_gate import peers, report, resample
from benchmarks.perf_gate.machine import ENDPOINT
from benchmarks.perf_gate.peers import Side
from kickoff.evidence import Verdict
from kickoff.performance import samples
from kickoff.performance.samples import Sample


def side(median: float, failures: int = 0, count: int = 300, seed: int = 0) -> Side:
    return Side(median * np.exp(np.random.default_rng(seed).normal(0, 0.2, count)), failures)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (side(10, seed=1), set()),
        (side(10.9, seed=1), {"t-test", "Mann-Whitney"}),
        (side(14, seed=1), {"mean > 110 %", "t-test", "Mann-Whitney"}),
        (side(25, seed=1), {"mean > 200 %", "mean > 110 %", "t-test", "Mann-Whitney"}),
        (side(10, failures=9, seed=1), {"p95 < 200 ms, errors < 1 %"}),
    ],
)
def test_the_rules_of_others_do_what_they_say(after: Side, expected: set[str]) -> None:
    found = peers.alarms({"GET /a": side(10), "GET /b": side(10)}, {"GET /a": side(10), "GET /b": after})
    assert {rule for rule, cried in found.items() if cried} == expected


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Path]:
    """Traces of equal releases and of one that is 25 % slower; 40 s of 25 pairs a second."""
    for name, slower in (("equal", 1.0), ("plus25pc", 1.25)):
        source = np.random.default_rng(5)
        rows = []
        for number in range(1000):
            at = 1000.0 + number / 25
            common = source.normal(0, 0.3)
            for arm, factor in (("live", 1.0), ("candidate", slower)):
                ms = 3 * factor * float(np.exp(common + source.normal(0, 0.1)))
                rows.append(Sample(at, ENDPOINT, arm, ms, True, pair=str(number)))
        samples.write(tmp_path / f"{name}.0.csv.gz", rows)
    resample.traces.cache_clear()
    yield tmp_path
    resample.traces.cache_clear()


def test_windows_keep_pairs_together(recorded: Path) -> None:
    found = resample.windows(recorded / "equal.0.csv.gz")
    assert len(found) == 19  # of 20, and the last one is cut off
    assert {entry.count for window in found for entry in window} == {50}


def test_resampling_sees_what_is_there_and_goes_on_where_it_stopped(recorded: Path) -> None:
    changed = resample.run(recorded, "+25 %", 1)
    assert (changed.verdict, changed.seen, changed.confirmed) == (Verdict.FAIL, True, True)
    assert report.extend(recorded, "equal", 2, 1, 60.0) == 2
    assert report.extend(recorded, "equal", 3, 1, 60.0) == 3
    assert report.extend(recorded, "equal", 3, 1, 60.0) == 3
    text = report.tables(recorded)
    assert "| equal | 3 | 0.0 % | 0.0 % to 70.8 % |" in text
    with pytest.raises(FileNotFoundError, match="record some first"):
        resample.run(recorded, "+5 %", 1)
