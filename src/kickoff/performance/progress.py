"""The progress line: redrawn in place on a terminal, one line every few seconds elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

from kickoff.performance.load import Progress

_PLAIN_SECONDS = 5.0
_REDRAW_SECONDS = 0.5


def text(progress: Progress) -> str:
    """Return the line for a terminal or a log."""
    left = max(progress.duration - progress.elapsed, 0)
    failed = f"{progress.failures} failed" if progress.failures else "0 failed"
    return (
        f"{progress.elapsed:4.0f} s  {progress.users} users  {progress.rps:.0f} requests/s  "
        f"p95 {progress.p95_ms:.0f} ms  {progress.requests} requests, {failed}  {left:.0f} s left"
    )


class Line:
    """Shows progress on ``stream``; it never writes more often than the mode allows.

    Args:
        stream: Where to.
        redraw: Redraw one line in place, for a person at a terminal.
        clock: Seconds that only grow.
    """

    def __init__(self, stream: TextIO, *, redraw: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._terminal = redraw
        self._last = clock()
        self._open = False

    def show(self, progress: Progress) -> None:
        """Show the newest state, if it is time to."""
        now = self._clock()
        if now - self._last < (_REDRAW_SECONDS if self._terminal else _PLAIN_SECONDS):
            return
        self._last = now
        if self._terminal:
            self._stream.write(f"\r\x1b[2K  {text(progress)}")
            self._open = True
        else:
            self._stream.write(f"  {text(progress)}\n")
        self._stream.flush()

    def say(self, message: str) -> None:
        """Write a line of its own, below what stands there."""
        if self._open:
            self._stream.write("\r\x1b[2K")
            self._open = False
        self._stream.write(f"{message}\n")
        self._stream.flush()
