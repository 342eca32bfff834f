"""The progress line, on a terminal and in a log."""

import io

from kickoff.performance.fleet import Progress
from kickoff.performance.progress import Line

STATE = Progress(elapsed=3, duration=10, users=5, requests=60, failures=1, rps=20.0, p95_ms=12.5)


def shown(*, redraw: bool, seconds: float) -> str:
    """What a line writes in ``seconds``, asked ten times a second."""
    now = 0.0
    stream = io.StringIO()
    line = Line(stream, redraw=redraw, clock=lambda: now)
    for _ in range(int(seconds * 10)):
        now += 0.1
        line.show(STATE)
    line.say("done")
    return stream.getvalue()


def test_a_log_gets_whole_lines_now_and_then_and_no_control_codes() -> None:
    text = shown(redraw=False, seconds=11)
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert len(lines) == 3
    assert "5 users  20 requests/s  p95 12 ms  60 requests, 1 failed  7 s left" in lines[0]
    assert lines[-1] == "done"


def test_a_terminal_gets_one_line_redrawn_and_cleared_before_another_message() -> None:
    text = shown(redraw=True, seconds=11)
    assert text.count("requests/s") > 10
    assert text.count("\x1b[2K") > 10
    assert text.rpartition("\x1b[2K")[2] == "done\n"
