"""Showing a run while it goes on: live on a terminal, one line per event everywhere else."""

import time
from collections.abc import Callable
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kickoff.pipeline.progress import Event, Job, Progress, State

HEARTBEAT = 15.0
"""Seconds of silence after which the plain display says what it waits for."""
_AT = 100
"""Characters of what a step is at."""
ROWS = 8
"""Height of the live display."""
_REDRAWS = 4
"""Per second, at most."""

_MARKS: dict[State, tuple[str, str]] = {
    "running": ("●", "cyan"),
    "success": ("✓", "green"),
    "failure": ("✗", "red"),
    "skipped": ("-", "dim"),
    "cancelled": ("↯", "yellow"),
}


class Display(Protocol):
    """The receiver of events."""

    def show(self, events: list[Event]) -> None:
        """Show what happened."""

    def tick(self) -> None:
        """Let time pass; called a few times a second."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Plain:
    """One line per event, for logs and pipes.

    Args:
        progress: The state of the run.
        stream: Where the lines go.
        clock: Seconds since the epoch.
    """

    def __init__(self, progress: Progress, stream: TextIO, clock: Callable[[], float] = time.time) -> None:
        self._progress, self._stream, self._clock = progress, stream, clock
        self._last = clock()

    def show(self, events: list[Event]) -> None:
        """Print a line for each event that ended or began something."""
        for event in events:
            self._print(line_of(event))

    def tick(self) -> None:
        """Print what is going on after a while of silence."""
        if self._clock() - self._last < HEARTBEAT:
            return
        running = [job for job in self._progress.jobs.values() if job.state == "running"]
        what = "; ".join(_now(job, self._clock()) + _at(job) for job in running) or "act is between two jobs"
        self._print(f"  … {what}")

    def close(self) -> None:
        """Do nothing: what is printed stays."""

    def _print(self, text: str) -> None:
        self._last = self._clock()
        self._stream.write(f"{text}\n")
        self._stream.flush()


class OnTerminal:
    """A block of at most eight rows that is redrawn in place.

    Args:
        progress: The state of the run.
        console: The terminal.
        title: First row.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, progress: Progress, console: Console, title: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._progress, self._title, self._clock = progress, title, clock
        self._began, self._error, self._drawn = clock(), "", 0.0
        self._live = Live(self.render(), console=console, auto_refresh=False, transient=False)
        self._live.start()

    def show(self, events: list[Event]) -> None:
        """Remember the last error; the next redraw shows the rest."""
        for event in events:
            if event.kind == "error":
                self._error = event.message.splitlines()[0] if event.message else ""

    def tick(self) -> None:
        """Redraw, not more often than the eye can follow."""
        if self._clock() - self._drawn >= 1 / _REDRAWS:
            self._drawn = self._clock()
            self._live.update(self.render(), refresh=True)

    def close(self) -> None:
        """Draw the last state and give the terminal back."""
        self._live.update(self.render(), refresh=True)
        self._live.stop()

    def render(self) -> Text:
        """Return the rows: title, the latest jobs with their current step, the last error."""
        now = self._clock()
        rows = [Text.assemble((self._title, "bold"), f"   {duration(now - self._began)}")]
        room = ROWS - 1 - bool(self._error)
        for job in list(self._progress.jobs.values())[-room:]:
            mark, style = _MARKS[job.state]
            rows.append(Text.assemble((mark, style), f" {_now(job, now)}"))
            if job.state == "running" and job.current is not None and job.current.note:
                rows.append(Text(f"    {job.current.note}", style="dim"))
        del rows[1 : len(rows) - room]
        if self._error:
            rows.append(Text(f"  {self._error}", style="red"))
        for row in rows:
            row.no_wrap = True
        text = Text("\n").join(rows)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def line_of(event: Event) -> str:
    """Return the line of one event."""
    mark = _MARKS[event.state][0]
    spent = f"  {duration(event.seconds)}" if event.state != "running" else ""
    if event.kind == "error":
        return f"    ! {event.job} · {event.step}: {event.message}"
    if event.kind == "note":
        return f"    … {event.message}"
    if event.kind == "job":
        word = "begins" if event.state == "running" else event.state
        return f"{mark} {event.job} {word}{spent}"
    return f"  {mark} {event.job} · {event.step}{spent}"


def duration(seconds: float) -> str:
    """Return seconds for people, e.g. ``0.4s``, ``12s``, ``3m 12s``."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def _now(job: Job, now: float) -> str:
    if job.state != "running":
        return f"{job.name}  {duration(job.seconds)}"
    step = job.current
    doing = f" · {step.name} {duration(now - step.started)}" if step else ""
    return f"{job.name}  {duration(now - job.started)}{doing}"


def _at(job: Job) -> str:
    return f" · {job.current.note[:_AT]}" if job.current is not None and job.current.note else ""
