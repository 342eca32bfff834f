"""The two displays, driven by a clock that the test moves."""

import io

import pytest
from rich.console import Console

from kickoff.pipeline.display import HEARTBEAT, ROWS, OnTerminal, Plain, duration, line_of
from kickoff.pipeline.progress import Event, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def begin(progress: Progress, job: str, at: float) -> list[Event]:
    return progress.apply({"jobID": job, "stage": "Main", "step": "Ship", "stepID": ["1"]}, at)


def test_plain_prints_one_line_per_event_and_a_heartbeat_after_silence() -> None:
    clock, progress, out = Clock(), Progress(), io.StringIO()
    display = Plain(progress, out, clock)
    display.show(begin(progress, "deploy", clock.now))
    clock.now += HEARTBEAT - 1
    display.tick()
    assert len(out.getvalue().splitlines()) == 2
    clock.now += 1
    display.tick()
    display.tick()
    assert out.getvalue().splitlines()[2:] == ["  … deploy  15s · Ship 15s"]
    progress.jobs["deploy"].steps["1"].note = "waiting for staging"
    clock.now += HEARTBEAT
    display.tick()
    assert out.getvalue().splitlines()[3:] == ["  … deploy  30s · Ship 30s · waiting for staging"]


def test_the_live_block_has_eight_rows_at_most() -> None:
    clock, progress = Clock(), Progress()
    for number in range(12):
        begin(progress, f"job-{number}", clock.now)
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    display = OnTerminal(progress, console, "shop 4f2c1ab → development", clock)
    display.show([Event("error", "job-1", "Ship", "running", message="p95 is\ntoo high")])
    rows = display.render().plain.splitlines()
    display.close()
    assert len(rows) == ROWS
    assert rows[0].startswith("shop 4f2c1ab → development")
    assert rows[-2].startswith("● job-11")
    assert rows[-1] == "  p95 is"


def test_the_live_block_is_redrawn_four_times_a_second_at_most() -> None:
    clock, out = Clock(), io.StringIO()
    display = OnTerminal(Progress(), Console(file=out, force_terminal=True), "shop", clock)
    display.tick()
    before = len(out.getvalue())
    clock.now += 0.2
    display.tick()
    assert len(out.getvalue()) == before
    clock.now += 0.1
    display.tick()
    assert len(out.getvalue()) > before
    display.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0s"), (-1, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m 00s"), (192, "3m 12s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_lines_are_readable_without_colour() -> None:
    assert line_of(Event("job", "deploy", "", "failure", 61)) == "✗ deploy failure  1m 01s"
    assert line_of(Event("step", "deploy", "Ship", "success", 2)) == "  ✓ deploy · Ship  2.0s"
    assert line_of(Event("error", "deploy", "Ship", "running", message="no")) == "    ! deploy · Ship: no"


def test_both_displays_show_what_a_step_is_at() -> None:
    clock, progress, out = Clock(), Progress(), io.StringIO()
    begin(progress, "quality-gate", clock.now)
    said = {"jobID": "quality-gate", "stage": "Main", "stepID": ["1"], "raw_output": True}
    progress.apply(said | {"msg": "… 2 of 5 done; tests 45 s (test_api.py [ 34%])\n"}, clock.now)
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    display = OnTerminal(progress, console, "shop 4f2c1ab → development", clock)
    clock.now += HEARTBEAT
    assert display.render().plain.splitlines()[1:] == [
        "● quality-gate  15s · Ship 15s",
        "    2 of 5 done; tests 45 s (test_api.py [ 34%])",
    ]
    display.close()
    plain = Plain(progress, out, clock)
    clock.now += HEARTBEAT
    plain.tick()
    assert out.getvalue() == (
        "  … quality-gate  30s · Ship 30s · 2 of 5 done; tests 45 s (test_api.py [ 34%])\n"
    )
