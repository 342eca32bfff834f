"""Releases of the past: what is read of earlier runs, the noise of their p95, the chart and the index page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kickoff.report import index_page, page, past
from kickoff.report.charts.releases import releases
from kickoff.report.outcome import decide
from kickoff.report.past import Past
from tests.unit.report import cases
from tests.unit.report.test_report_page import Page
from tests.unit.report.test_report_script import build


def run(
    number: int, verdict: str = "released", code: int = 0, p95: float | None = 20.0, where: str = "staging"
) -> Past:
    why = "" if not code else "<b>too slow</b>"
    at = f"2026-11-25T10:{number:02d}:00"
    return Past(
        str(number),
        where,
        verdict,
        code,
        cases.NEW,
        at,
        60.0 + number,
        p95,
        why,
        f"{number}/report/report.html",
    )


def keep(folder: Path, entry: Past) -> None:
    (folder / entry.run / "report").mkdir(parents=True)
    document = {"environment": entry.environment, "verdict": entry.verdict, "exit_code": entry.exit_code,
                "release": entry.release, "finished": entry.finished, "seconds": entry.seconds,
                "p95_ms": entry.p95_ms, "why": entry.why}  # fmt: skip
    (folder / entry.run / "report" / "outcome.json").write_text(json.dumps(document))
    (folder / entry.run / "report" / "report.html").write_text("x")


@pytest.mark.parametrize(
    ("verdict", "code", "meaning"),
    [
        ("released", 0, "pass"), ("unchanged", 0, "none"), ("rolled-back", 0, "pass"), ("rolled-back", 5, "fail"),
        ("rejected", 1, "fail"), ("inconclusive", 1, "doubt"), ("invalid", 2, "fail"), ("interrupted", 130, "doubt"),
        ("unreachable", 4, "fail"), ("rejected", 75, "doubt"), ("a-verdict-of-tomorrow", 6, "fail"),
    ],
)  # fmt: skip
def test_every_verdict_has_a_meaning(verdict: str, code: int, meaning: str) -> None:
    assert past.meaning(verdict, code) == meaning


def test_runs_are_read_in_their_order_and_damaged_ones_left_out(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        keep(tmp_path, run(number))
    (tmp_path / "3" / "report").mkdir(parents=True)
    (tmp_path / "3" / "report" / "outcome.json").write_text("{")
    (tmp_path / "notes").mkdir()
    assert past.read(tmp_path) == [run(2), run(9), run(10)]
    assert past.read(tmp_path / "nowhere") == []


def test_noise_needs_releases_and_one_slow_one_widens_nothing() -> None:
    steady = [run(n, p95=20.0 + n % 3) for n in range(9)]
    assert past.noise(steady[:7]) is None
    low, high = past.noise(steady) or (0, 0)
    assert 15 < low < 20
    assert 22 < high < 30
    assert past.noise([*steady, run(9, p95=400.0)]) == pytest.approx((low, high), rel=0.2)
    assert past.noise([run(n, "rejected", 1) for n in range(20)]) is None


def test_the_chart_says_where_this_release_lies() -> None:
    before = [run(n, p95=20.0 + n % 3) for n in range(1, 12)]
    slow = releases([*before, run(12, p95=60.0)], "k", current=True)
    assert (
        slow.title
        == "12 of the last 12 runs went live; p95 of this one, 60.0 ms, is above the noise of those before"
    )
    assert "from 11" in slow.note
    few = releases([*before[:2], run(12, p95=60.0)], "k", current=True)
    assert "too few before it to compare with" in few.title
    assert few.note.startswith("No noise band: 2 of 8")
    assert releases([run(1)], "k", current=True).drawings == ()


def test_thirty_releases_at_most_and_only_of_this_environment() -> None:
    runs = [run(n) for n in range(1, 60)] + [run(99, where="production")]
    assert [entry.run for entry in past.of(runs, "staging")] == [str(n) for n in range(30, 60)]
    done = cases.released()
    html = page.render(replace(done, past=tuple(runs)), decide(done))
    assert "30 of the last 30 runs went live" in Page(html).text


def test_the_index_links_every_run_and_says_why(tmp_path: Path) -> None:
    runs = [run(1), run(2, "rejected", 1, None), run(3, where="production")]
    found = Page(index_page.render(runs))
    assert [a["href"] for a in found.all("a")] == [
        "3/report/report.html",
        "2/report/report.html",
        "1/report/report.html",
    ]
    assert "<b>too slow</b>" in found.text
    assert found.unbalanced == []


def test_the_command_writes_the_index_and_the_report_finds_earlier_runs(tmp_path: Path) -> None:
    runs = tmp_path / ".kickoff" / "runs"
    for number in (1, 2):
        keep(runs, run(number))
    cases.write(cases.released(), runs / "3" / "evidence")
    done = build(tmp_path, "--evidence", str(runs / "3" / "evidence"), "--output", str(runs / "3" / "report"))
    assert done.returncode == 0, done.stderr
    assert "3 of the last 3 runs went live" in Page((runs / "3/report/report.html").read_text()).text
    assert Page((runs / "3/report/performance.staging.html").read_text()).unbalanced == []
    report = Page((runs / "3/report/report.html").read_text())
    assert "../../index.html" in [a["href"] for a in report.all("a")]
    (runs / "index.html").unlink()
    indexed = build(tmp_path, "--index", "--output", str(runs))
    assert (indexed.returncode, indexed.stdout.strip()) == (0, str(runs / "index.html"))
    assert "3 of the last 3 runs went live" in Page((runs / "index.html").read_text()).text
    nothing = build(tmp_path, "--index", "--output", str(tmp_path / "none"))
    assert nothing.returncode == 2
    assert "no run in" in nothing.stderr
