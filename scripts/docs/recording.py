#!/usr/bin/env python3
"""Record the bad release of a real ``kickoff demo`` into docs/recording.svg, for the README.

The demo runs in a terminal of 80 columns and 24 rows. What it writes there is kept with its time, and shown
again by a picture that needs no script, stands still for who wants no motion, and ends with all that stayed.
"""

import fcntl
import getpass
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
from kickoff import bootstrap
from kickoff.demo.story import STORY
from kickoff.errors import ExitCode, KickoffError
from kickoff.program import run

TARGET = ROOT / "docs" / "recording.svg"
SCENE = 3
COLUMNS, ROWS = 80, 24
SHOWN_SECONDS = 12.0
"""How long the picture moves; what took longer is shown faster, and says so."""
_CONTROL = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|[\r\n]|[^\x00-\x1f\x7f]")
_CHAR, _LINE, _MARGIN, _BAR = 8.4, 19, 14, 34
_STYLES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}

Chunk = tuple[float, str]
"""Seconds since the beginning, and what was written then."""
Cell = tuple[str, str]
"""A character and its style."""
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Stay:
    """A row of text and the time in which it stands there.

    Attributes:
        number: The row on the screen, from 0.
        row: Its cells.
        begin: When it appears, in seconds.
        end: When it goes; ``None`` when it stays.
    """

    number: int
    row: Row
    begin: float
    end: float | None


class Terminal:
    """A screen that understands what the demo writes, and refuses everything else."""

    def __init__(self) -> None:
        self._rows: list[list[Cell]] = [[]]
        self._column, self._style = 0, ""

    def write(self, text: str) -> None:
        """Take what a program writes.

        Raises:
            ValueError: It holds a control sequence that is not known here.
        """
        at = 0
        while at < len(text):
            found = _CONTROL.match(text, at)
            if found is None or (found[2] or "m") not in "mK":
                raise ValueError(f"not known to this terminal: {text[at : at + 12]!r}")
            at = found.end()
            if found[2] == "m":
                self._style = _STYLES.get(found[1], "")
            elif found[2] == "K":
                del self._rows[-1][self._column :]
            elif found[0] == "\r":
                self._column = 0
            elif found[0] == "\n":
                self._feed()
            else:
                self._put(found[0])

    def rows(self) -> list[Row]:
        """Return the rows of the screen from its top, without blanks at their ends."""
        return [tuple(row[: len("".join(char for char, _ in row).rstrip())]) for row in self._rows]

    def _put(self, char: str) -> None:
        if self._column == COLUMNS:
            self._feed()
            self._column = 0
        row = self._rows[-1]
        row += [(" ", "")] * (self._column + 1 - len(row))
        row[self._column] = (char, self._style)
        self._column += 1

    def _feed(self) -> None:
        self._rows.append([])
        del self._rows[:-ROWS]


def capture() -> list[Chunk]:
    """Run the demo in a terminal; return what it wrote.

    Raises:
        KickoffError: It did not go as it should (exit 1).
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environ = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    demo = subprocess.Popen(
        [sys.executable, bootstrap.PACKAGE, "demo"],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environ | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8"},
    )
    os.close(theirs)
    chunks, began, rest = [], time.monotonic(), b""
    with open(ours, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor has no path
        while True:
            try:
                read = stream.read(65536)
            except OSError:  # so a terminal ends whose last program has gone
                read = b""
            if not read:
                break
            text = (rest + read).decode("utf-8", "ignore")
            rest = (rest + read)[len(text.encode("utf-8")) :]
            chunks.append((time.monotonic() - began, text))
            sys.stderr.write(text)
    if demo.wait():
        raise KickoffError(f"the demo ended with {demo.returncode}", code=ExitCode.REJECTED)
    return chunks


def cut(chunks: Sequence[Chunk], first: str, last: str) -> list[Chunk]:
    """Return what was written from the line with one text to before that with another; time begins with 0.

    Raises:
        ValueError: One of them was not written.
    """
    whole = "".join(text for _, text in chunks)
    begin = whole.rindex("\n", 0, whole.index(first)) + 1
    end = whole.rindex("\n", 0, whole.index(last, begin)) + 1
    part, at, began = [], 0, -1.0
    for moment, text in chunks:
        inside = text[max(begin - at, 0) : max(end - at, 0)]
        at += len(text)
        if inside:
            began = moment if began < 0 else began
            part.append((moment - began, inside))
    return part


def stays(chunks: Iterable[Chunk]) -> list[Stay]:
    """Return every row that stood on the screen, and when."""
    terminal, found = Terminal(), list[Stay]()
    standing: dict[int, tuple[Row, float]] = {}
    for moment, text in chunks:
        terminal.write(text)
        rows = dict(enumerate(terminal.rows()))
        for number in rows | standing:
            row, (before, begin) = rows.get(number, ()), standing.get(number, ((), 0.0))
            if row != before:
                if before:
                    found.append(Stay(number, before, begin, moment))
                standing[number] = (row, moment)
    found += [Stay(number, row, begin, None) for number, (row, begin) in standing.items() if row]
    return [stay for stay in found if stay.end is None or stay.end > stay.begin]


def render(found: Sequence[Stay], seconds: float) -> str:
    """Return the picture.

    Args:
        found: The rows.
        seconds: How long all of it took.
    """
    speed = max(seconds / SHOWN_SECONDS, 1.0)
    last = [stay for stay in found if stay.end is None]
    height = _BAR + _MARGIN + _LINE * (1 + max(stay.number for stay in found))
    width = round(2 * _MARGIN + COLUMNS * _CHAR)
    told = "\n".join(text_of(stay.row) for stay in sorted(last, key=lambda stay: stay.number))
    shown = f", {seconds:.0f} s shown in {seconds / speed:.0f}" if speed > 1 else ""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" aria-labelledby="title told">',
        "<!-- Recorded from a real run. Made anew by: python3 scripts/docs/recording.py -->",
        '<title id="title">kickoff demo: a bad release takes itself back</title>',
        f'<desc id="told">{escape(told)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="screen" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="dim" x="{_MARGIN}" y="22">kickoff demo, scene {SCENE} of {len(STORY)}{shown}</text>',
        f'<path class="line" d="M0 {_BAR}H{width}"/>',
        *(_text(stay, speed) for stay in found),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def text_of(row: Row) -> str:
    """Return the characters of a row."""
    return "".join(char for char, _ in row)


_LIGHT = "--screen:#f6f8fa;--line:#d1d9e0;--text:#1f2328;--dim:#59636e;--red:#b3202a;--green:#116329;"
_DARK = "--screen:#0d1117;--line:#3d444d;--text:#e6edf3;--dim:#9198a1;--red:#ff7b72;--green:#7ee787;"
_STYLE = f"""
svg{{{_LIGHT}--yellow:#7d4e00;--cyan:#0550ae}}
@media(prefers-color-scheme:dark){{svg{{{_DARK}--yellow:#e3b341;--cyan:#79c0ff}}}}
text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}}
text{{fill:var(--text);white-space:pre}}
.screen{{fill:var(--screen);stroke:var(--line)}} .line{{stroke:var(--line)}} .bold{{font-weight:bold}}
{"".join(f".{name}{{fill:var(--{name})}}" for name in ("dim", "red", "green", "yellow", "cyan"))}
.gone{{visibility:hidden}}
@keyframes wait{{from,to{{visibility:hidden}}}}
@keyframes pass{{from,to{{visibility:visible}}}}
@media(prefers-reduced-motion:reduce){{text{{animation:none!important}}}}
"""


def _text(stay: Stay, speed: float) -> str:
    """Return a row: one that stays is hidden until its time comes, one that goes shows in its time alone."""
    begin = stay.begin / speed
    if stay.end is None:
        motion = f' style="animation:wait {begin:.2f}s"' if begin else ""
    else:
        motion = f' class="gone" style="animation:pass {stay.end / speed - begin:.2f}s {begin:.2f}s"'
    spans, column = [], 0
    for style, cells in groupby(stay.row, key=lambda cell: cell[1]):
        text = text_of(tuple(cells))
        left = len(text) - len(text.lstrip())
        place = f'x="{_MARGIN + (column + left) * _CHAR:.1f}"'
        name = f' class="{style}"' if style else ""
        spans.append(f"<tspan {place}{name}>{escape(text.strip())}</tspan>")
        column += len(text)
    return f'<text y="{_BAR + _LINE * (1 + stay.number)}"{motion}>{"".join(spans)}</text>'


def private(picture: str) -> list[str]:
    """Return what a picture tells of this machine: its folders, its user and its name."""
    folders = (ROOT, Path.home(), Path(tempfile.gettempdir()))
    words = {*map(str, folders), getpass.getuser(), socket.gethostname()}
    return sorted(word for word in words if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", picture))


def record() -> int:
    """Write the picture; return the exit code."""
    titles = [f"{number}. {scene.title}" for number, scene in enumerate(STORY, 1)]
    chunks = cut(capture(), titles[SCENE - 1], titles[SCENE])
    picture = render(stays(chunks), chunks[-1][0])
    if told := private(picture):
        raise KickoffError(f"the recording tells of this machine: {', '.join(told)}", code=ExitCode.REJECTED)
    TARGET.write_text(picture, encoding="utf-8")
    sys.stderr.write(f"written: {TARGET.relative_to(ROOT)}, {len(picture.encode()) / 1000:.0f} KB\n")
    return ExitCode.PASS


if __name__ == "__main__":
    bootstrap.ensure("pipeline")
    sys.exit(run(record))
