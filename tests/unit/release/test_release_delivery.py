"""Delivery figures, from histories written by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kickoff.errors import KickoffError
from kickoff.paths import METRICS
from kickoff.prometheus import samples
from kickoff.release import deliveries
from kickoff.release.attempt import Attempt
from kickoff.release.delivery import Figures, attempted, measure, to_lines, to_prometheus
from kickoff.release.session import Session
from kickoff.release.stores.history import Entry

END = datetime(2026, 3, 31, 12, tzinfo=UTC)


def entry(
    action: str, outcome: str, release: str, before_end: timedelta, previous: str = "", **data: Any
) -> Entry:
    return Entry(action, outcome, release, previous, (END - before_end).isoformat(), data)


def released(release: str, days: float, lead_hours: float, previous: str = "") -> Entry:
    at = timedelta(days=days)
    committed = (END - at - timedelta(hours=lead_hours)).isoformat()
    return entry("release", "live", release, at, previous, committed=committed)


def test_the_four_figures() -> None:
    met_users = (END - timedelta(days=3, seconds=40)).isoformat()
    figures = measure(
        [
            released("r0", 50, 1),  # before the window
            released("r1", 20, 2, "r0"),
            released("r2", 10, 4, "r1"),
            entry("rollback", "live", "r1", timedelta(days=10) - timedelta(seconds=100), "r2"),
            entry("auto-rollback", "undone", "r3", timedelta(days=3), "r1", met_users=met_users),
            entry("abort", "undone", "r4", timedelta(days=2), "r1"),
            entry("unlock", "recorded", "r1", timedelta(days=1)),
            released("r5", 1, 6, "r1"),
        ],
        END,
        30,
    )
    assert figures == Figures(
        days=30,
        deployments=4,
        failures=2,
        deployments_per_day=4 / 30,
        lead_time_seconds=4 * 3600,
        change_failure_rate=0.5,
        recovery_seconds=70,
    )


def test_nothing_measured_is_neither_zero_nor_perfect() -> None:
    figures = measure([released("r0", 50, 1)], END, 30)
    assert (figures.deployments, figures.failures) == (0, 0)
    assert (figures.lead_time_seconds, figures.change_failure_rate, figures.recovery_seconds) == (None,) * 3
    assert "nothing to measure" in "\n".join(to_lines(figures))
    samples = {
        s.name for f in text_string_to_metric_families(to_prometheus(figures, "s", "e")) for s in f.samples
    }
    assert samples == {"kickoff_deployments", "kickoff_failures", "kickoff_deployments_per_day"}


def test_a_release_that_failed_before_the_window_began_is_no_failure_of_the_window() -> None:
    history = [released("r1", 40, 1), entry("rollback", "live", "r0", timedelta(days=35), "r1")]
    assert measure(history, END, 30).failures == 0


def test_a_release_without_a_known_commit_time_counts_but_has_no_lead_time() -> None:
    figures = measure([entry("release", "live", "r1", timedelta(days=1))], END, 30)
    assert (figures.deployments, figures.lead_time_seconds) == (1, None)


def test_prometheus_reads_what_is_written() -> None:
    figures = measure([released("r1", 1, 2)], END, 7)
    families = text_string_to_metric_families(to_prometheus(figures, "shop", "staging"))
    values = {sample.name: (sample.labels, sample.value) for family in families for sample in family.samples}
    labels = {"service": "shop", "environment": "staging", "days": "7"}
    assert values["kickoff_lead_time_seconds"] == (labels, 7200.0)
    assert values["kickoff_change_failure_rate"] == (labels, 0.0)


def test_people_read_times_and_shares() -> None:
    lines = to_lines(measure([released("r1", 1, 2)], END, 7))
    assert lines[0] == "last 7 days"
    assert "  lead time    2:00:00 (median)" in lines
    assert "  failures     0 (0%)" in lines


def test_each_release_has_its_own_end_for_prometheus() -> None:
    met_users = (END - timedelta(days=3, seconds=40)).isoformat()
    history = [
        released("r1", 20, 2),
        released("r2", 10, 4, "r1"),
        entry("rollback", "live", "r1", timedelta(days=10) - timedelta(seconds=100), "r2"),
        entry("auto-rollback", "undone", "r3", timedelta(days=3), "r1", met_users=met_users),
        entry("abort", "undone", "r4", timedelta(days=2), "r1", stage="smoke"),
        entry("abort", "undone", "r1", timedelta(days=2), "r1", stage="rollback"),
        entry("stop", "recorded", "r1", timedelta(days=1)),
    ]
    text = deliveries.render("shop", "staging", attempted(history))
    found = {
        (sample.name.removeprefix("kickoff_release_"), sample.labels["release"], sample.labels["verdict"]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    ago = {key: END.timestamp() - value for key, value in found.items() if "timestamp" in key[0]}
    ended, back = "ended_timestamp_seconds", "taken_back_timestamp_seconds"
    assert ago == {
        (ended, "r1", "live"): 20 * 86400,
        (ended, "r2", "taken-back"): 10 * 86400,
        (ended, "r3", "taken-back"): 3 * 86400,
        (ended, "r4", "refused"): 2 * 86400,
        (back, "r2", "taken-back"): 10 * 86400 - 100,
        (back, "r3", "taken-back"): 3 * 86400,
    }
    assert {key: value for key, value in found.items() if key not in ago} == {
        ("lead_time_seconds", "r1", "live"): 2 * 3600,
        ("lead_time_seconds", "r2", "taken-back"): 4 * 3600,
        ("recovery_seconds", "r2", "taken-back"): 100,
        ("recovery_seconds", "r3", "taken-back"): 40,
    }


def told(folder: Path, newest_first: Iterator[Entry]) -> list[tuple[str, str]]:
    """Return release and place in the history of what the file tells of a history."""
    names = {key: SimpleNamespace(name=key) for key in ("service", "environment")}
    store = SimpleNamespace(root=folder, history=SimpleNamespace(newest_first=lambda: newest_first))
    deliveries.write(cast("Session", SimpleNamespace(store=store, **names)))
    [written] = (folder / METRICS).iterdir()
    ends = samples(written.read_text(), "kickoff_release_ended_timestamp_seconds")
    return [(one.labels["release"], one.labels["entry"]) for one in ends]


def test_the_file_has_what_ended_lately_and_no_release_twice(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ages = [timedelta(days=100), timedelta(days=2), timedelta(days=1)]
    history = [
        Entry("release", "live", "r1", "", (now - age).isoformat(), {}, seq)
        for seq, age in enumerate(ages, 1)
    ]
    assert told(tmp_path, reversed(history)) == [("r1", "2"), ("r1", "3")]


def test_a_long_history_is_read_from_its_end_and_no_further_than_what_is_told(tmp_path: Path) -> None:
    def newest_first() -> Iterator[Entry]:
        for seq in range(5000, 4500, -1):
            yield Entry("release", "live", "r1", "", datetime.now(UTC).isoformat(), {}, seq)
        pytest.fail("more was read than is told")

    numbers = [int(entry) for _, entry in told(tmp_path, newest_first())]
    assert numbers == list(range(4501, 5001))


@pytest.mark.parametrize("error", [OSError("no space"), KickoffError("the history was tampered with")])
def test_figures_that_cannot_be_written_are_told_and_cost_no_release(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: Session) -> None:
        raise error

    monkeypatch.setattr(deliveries, "write", fail)
    done: list[str] = []
    run = SimpleNamespace(log=lambda event, _: done.append(event))
    store = SimpleNamespace(release_lock=lambda _: done.append("lock released"))
    attempt = SimpleNamespace(
        run=run, store=store, session=None, lease=None, note=lambda **told: done.append(told["outcome"])
    )
    Attempt.finish(cast("Attempt", attempt), "released")
    assert done == ["released", f"the delivery figures could not be written: {error}", "lock released"]
