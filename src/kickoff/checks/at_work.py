"""Progress of commands that run side by side: which of how many, for how long, and the last line of each."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kickoff import github
from kickoff.report.messages import duration, line

_EVERY, _EVERY_IN_A_LOG = 2.0, 20.0
"""Seconds between two lines: where a display takes them up, and where they stay."""
_LAST = 60
"""Characters of a last line."""


@dataclass(slots=True)
class AtWork:
    """The commands that run now.

    Attributes:
        total: How many there are in all.
        done: How many have ended.
        lock: Held while something is printed, so that no line stands within another's.
    """

    total: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _since: dict[str, float] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def begins(self, name: str) -> None:
        """Note that a command begins."""
        self._since[name] = self.clock()

    def says(self, name: str, text: str) -> None:
        """Note a line that a command printed."""
        if text.strip():
            self._said[name] = line(text, _LAST)

    def ends(self, name: str) -> None:
        """Note that a command has ended."""
        self._since.pop(name, None)
        self.done += 1

    def __str__(self) -> str:
        now = self.clock()
        running = [
            f"{name} {duration(now - since)}" + (f" ({said})" if (said := self._said.get(name)) else "")
            for name, since in list(self._since.items())
        ]
        return f"{self.done} of {self.total} done; {', '.join(running) or 'nothing runs'}"

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Print what runs, again and again, until the block ends."""
        over = threading.Event()
        seconds = _EVERY if github.context().act else _EVERY_IN_A_LOG

        def show() -> None:
            while not over.wait(seconds):
                with self.lock:
                    sys.stdout.write(f"{github.AT}{self}\n")
                    sys.stdout.flush()

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
