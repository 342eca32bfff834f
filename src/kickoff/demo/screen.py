"""The screen of the demo: lines that stay, and one below them that says what goes on just now."""

import os
import shutil
import textwrap
from typing import TextIO

WIDTH = 80
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_MARKS = {"✓": "green", "✗": "red", "↶": "yellow", "?": "yellow", "$": "cyan", "-": "red", "+": "green"}
"""What a line begins with -> its colour."""
_ERASE = "\r\x1b[K"


class Screen:
    """Writes to a stream; colours and the passing line are for a terminal alone.

    Args:
        stream: Where to.
        silent: Write nothing.
    """

    def __init__(self, stream: TextIO, *, silent: bool = False) -> None:
        self._stream, self._silent = stream, silent
        self._redraws = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._redraws and not os.environ.get("NO_COLOR")
        self._passing = False

    def say(self, text: str = "", style: str = "") -> None:
        """Write lines that stay, folded to the screen's width; without a style their marks have a colour."""
        if self._silent:
            return
        self.clear()
        for line in text.splitlines() or [""]:
            first = line.split(maxsplit=1)[:1]
            chosen = style or _MARKS.get("".join(first), "")
            for row in folded(line):
                self._stream.write(f"{self._painted(row, chosen)}\n")
        self._stream.flush()

    def now(self, text: str) -> None:
        """Write the passing line; the next line takes its place."""
        if self._redraws and not self._silent:
            room = min(shutil.get_terminal_size().columns, WIDTH) - 1
            self._stream.write(f"{_ERASE}{self._painted(text[:room], 'dim')}")
            self._stream.flush()
            self._passing = True

    def clear(self) -> None:
        """Take the passing line away."""
        if self._passing:
            self._stream.write(_ERASE)
            self._passing = False

    def _painted(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and self._coloured else text


def folded(line: str) -> list[str]:
    """Return a line in rows of the screen's width; those after the first begin where its value did."""
    if len(line) <= WIDTH:
        return [line]
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * 12, drop_whitespace=True) or [line]
