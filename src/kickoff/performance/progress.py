"""The progress of a load test: one line redrawn by rich on a terminal, one every few seconds elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kickoff.performance.fleet import Progress

_PLAIN_SECONDS = 5.0
_REDRAW_SECONDS = 0.5


def text(progress: Progress) -> str:
    """Return the line for a terminal or a log."""
    left = max(progress.duration - progress.elapsed, 0)
    users = "user" if progress.users == 1 else "users"
    return (
        f"{progress.elapsed:4.0f} s  {progress.users} {users}  {progress.rps:.0f} requests/s  "
        f"p95 {progress.p95_ms:.0f} ms  {progress.requests} requests, {progress.failures} failed  "
        f"{left:.0f} s left"
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
        self._console = Console(file=stream, force_terminal=True) if redraw else None
        self._live: Live | None = None
        self._last = clock()

    def show(self, progress: Progress) -> None:
        """Show the newest state, if it is time to."""
        now = self._clock()
        if now - self._last < (_REDRAW_SECONDS if self._console else _PLAIN_SECONDS):
            return
        self._last = now
        if self._console is None:
            self.say(f"  {text(progress)}")
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(f"  {text(progress)}", no_wrap=True, overflow="ellipsis"), refresh=True)

    def say(self, message: str) -> None:
        """Write a line of its own, below what stands there."""
        self.close()
        self._stream.write(f"{message}\n")
        self._stream.flush()

    def close(self) -> None:
        """Take the redrawn line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
