"""The block every run ends with: verdict, cause, who serves and the next command, on one screen."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from kickoff import masking
from kickoff.report.language import marked, say
from kickoff.report.messages import clean, columns_of, line, plural
from kickoff.report.verdicts import Meaning, meaning

LOG_LINES = 20
"""Lines of the failing log that the block repeats where nothing limits its height; the report holds more."""
_INDENT = 12
"""Columns in front of every value; the label stands in them."""
_PROMPT = 2
"""Rows of the screen that the command line takes and the prompt after it."""
_MOST = {
    "why": 4,
    "cause": 3,
    "fix": 4,
    "serving": 2,
    "live": 2,
    "verified": 2,
    "checks": 2,
    "rules": 3,
    "users": 1,
}
"""Rows that a value may take where the height is limited; the report has the whole of it."""
_FEWEST = dict.fromkeys(_MOST, 1) | {"why": 3, "cause": 2, "fix": 2}
"""The same where that would leave none to the log."""
_LEAST_LOG = 3
_WHOLE = (marked("report"), marked("evidence"), marked("log"), marked("undo"), marked("next"))
"""Labels of paths and commands: never wrapped, and below the log."""
_COLOURS = {"good": "32", "doubtful": "33", "bad": "31"}
_MORE = re.compile(r"… (?P<number>[\d,]+) more lines?(?P<all>; .*|)")
"""The last line of an excerpt: what is left out, and where all is."""
_WIDE = "\u2e80-\u9fff\uff00-\uff60"
_WORD = re.compile(
    f" *(?:[{_WIDE}](?:[\u3001\u3002\uff01\uff09\uff0c\uff1a\uff1b\uff1f\u201d])*|[^ {_WIDE}]+)"
)
"""What stays in one row: a word, or a wide character with the marks that must not begin a row."""
_ALL = "; all: "
"""Begins the end of that line when it names the place of the whole log alone."""
_LOGS = " logs --env "
"""Stands in the command that shows a process's log."""


def fitted(outcome: Mapping[str, Any], stream: TextIO) -> str:
    """Return the closing block as ``stream`` shows it best: within the screen and coloured on a terminal."""
    if not masking.unmasked(stream).isatty():
        return closing_block(outcome)
    columns, rows = shutil.get_terminal_size()
    block = closing_block(outcome, columns=columns, rows=rows)
    what = meaning(str(outcome.get("verdict")), outcome.get("exit_code"))
    return block if _colourless() else coloured(block, what)


def sheet(
    headline: str, rows: Iterable[tuple[str, str]], what: Meaning, stream: TextIO, *, wide: bool = False
) -> str:
    """Return a headline and labelled rows as ``stream`` shows them best; those without a value left out.

    ``wide`` leaves the breaking of lines to the terminal, so that what is copied is whole.
    """
    on_terminal = masking.unmasked(stream).isatty()
    columns = 0 if wide else width(stream)
    lines = wrapped(clean(headline), columns)
    for label, value in rows:
        lines += _row(label, clean(value), columns, 0)
    text = "\n".join(lines)
    return coloured(text, what) if on_terminal and not _colourless() else text


def width(stream: TextIO) -> int:
    """Return how many columns a stream shows; 0 where it is no terminal, and nothing is wrapped."""
    return shutil.get_terminal_size().columns if masking.unmasked(stream).isatty() else 0


def _colourless() -> bool:
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def coloured(block: str, what: Meaning) -> str:
    """Return a block with its first row in the colour of what it means, and its labels dimmed."""
    first, *others = block.split("\n")
    labels = [re.sub(r"^  (\S[^ ]*)(?= )", "  \x1b[2m\\1\x1b[0m", other) for other in others]
    return "\n".join([f"\x1b[1;{_COLOURS[what]}m{first}\x1b[0m", *labels])


def closing_block(outcome: Mapping[str, Any], *, columns: int = 0, rows: int = 0) -> str:
    """Return the closing block of a run, without colour and without a final line break.

    Args:
        outcome: The document ``outcome.json``; text in it is made safe for a terminal.
        columns: Width of the screen; 0 to wrap nothing.
        rows: Height of the screen; 0 to shorten nothing but the log.
    """
    headline = clean(str(outcome.get("headline") or say("? no outcome"))).replace("\n", " ")
    first = _limited(wrapped(headline, columns), 2 if rows else 0)
    above, below, room = _around(outcome, columns, rows - _PROMPT - len(first), _MOST if rows else {})
    if rows and room < _LEAST_LOG:
        above, below, room = _around(outcome, columns, rows - _PROMPT - len(first), _FEWEST)
    logs = _logs(outcome, columns, room if rows else 0) if not rows or room >= _LEAST_LOG else []
    block = [*first, *above, *logs, *below]
    code = outcome.get("exit_code")
    left = rows - _PROMPT - sum(_height(row, columns) for row in block) if rows else 1
    docs = _row(say("docs"), f"kickoff explain {code}", columns, 0) if code and left > 0 else []
    return "\n".join([*block, *docs])


def _around(
    outcome: Mapping[str, Any], columns: int, room: int, most: Mapping[str, int]
) -> tuple[list[str], list[str], int]:
    """Return what stands above and below the log, and the rows of ``room`` that they leave to it."""
    above: list[str] = []
    below: list[str] = []
    for label, value in _rows(outcome):
        (below if label in _WHOLE else above).extend(_row(label, value, columns, most.get(label, 0)))
    return above, below, room - sum(_height(row, columns) for row in (*above, *below))


def _rows(outcome: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield label and value of everything but headline and log, in the order of the block."""

    def text(key: str) -> str:
        return line(outcome.get(key), 1000)

    serving, previous = text("serving"), text("previous")
    asked, recorded = outcome.get("serving_asked") is True, text("serving_release")
    if recorded and outcome.get("verdict") not in ("inconclusive", "rollback-failed"):
        serving += f" {outcome.get('serving_share', 100)}%" * asked
        serving += say("   previous {release} kept for rollback", release=previous) if previous else ""
    yield marked("why"), text("why")
    yield marked("cause"), text("cause")
    commands = re.findall("`([^`]+)`", text("fix"))
    said_below = commands and all(command in text("next") for command in commands)
    # A log needs the rows more than a command that stands there twice; without one it says what that does.
    yield marked("fix"), "" if said_below and outcome.get("log_tail") else text("fix")
    yield marked("live") if recorded and not asked else marked("serving"), serving
    yield marked("live"), text("live_down")
    for label in (marked("address"), marked("users"), marked("verified")):
        yield label, text(label)
    yield marked("checks"), "   ".join(line(part) for part in str(outcome.get("measures") or "").split("   "))
    yield marked("rules"), text("judged")
    for label in _WHOLE:
        yield label, text(label)


def _row(label: str, value: str, columns: int, most: int) -> list[str]:
    """Return the lines of one value; a command or a path stays in one piece, to be copied."""
    if not value:
        return []
    if label in _WHOLE:
        parts = value.split("·") if label == "next" else [value]
        parts = [part.strip() for part in parts]
    else:
        parts = _limited(wrapped(value, columns - _INDENT if columns else 0), most)
    name = say(label) if label else ""
    return [f"  {_padded('' if number else name)} {part}" for number, part in enumerate(parts)]


def _padded(label: str) -> str:
    """Return a label in as many columns as all take."""
    return label + " " * max(_INDENT - 3 - columns_of(label), 0)


def _logs(outcome: Mapping[str, Any], columns: int, room: int) -> list[str]:
    """Return the log that explains a failure, as much as there is room for.

    What counts stands first, unless ``log_last`` says that it is the end of a log as it was written.
    """
    log = outcome.get("log_tail")
    if not isinstance(log, list) or not log or outcome.get("verdict") in ("released", "unchanged", "checked"):
        return []
    entries = [clean(str(entry)).replace("\n", " ").expandtabs(4).rstrip() for entry in log]
    told = _MORE.fullmatch(entries[-1])
    left_out = int(told["number"].replace(",", "")) if told else 0
    entries = entries[:-1] if told else entries
    last, width = outcome.get("log_last") is True, max(columns - _INDENT, 0)
    rows = [wrapped(entry[:4000], width) for entry in (entries[::-1] if last else entries)[:LOG_LINES]]
    more = left_out + len(entries) - len(rows)
    if room and sum(map(len, rows)) + 1 + (more > 0) > room:
        at = _last_with(line(outcome.get("cause"), 1000), entries[: len(rows)])
        ends_below = sum(map(len, rows[: at + 1])) > room - 2
        # An exception says at its end what happened: that comes before how it began.
        rows = _fitting(rows[at::-1], room - 2)[::-1] if ends_below and not last else _fitting(rows, room - 2)
    more, where = left_out + len(entries) - len(rows), line(outcome.get("log_in")) or say("the report")
    all_of_it = told["all"] if told and told["all"] else say(" in {place}", place=where)
    if _LOGS in all_of_it and _LOGS in line(outcome.get("next"), 1000):
        all_of_it = say(": see next")  # the same command stands there
    all_of_it = (
        say("; all: {place}", place=all_of_it[len(_ALL) :]) if all_of_it.startswith(_ALL) else all_of_it
    )
    rest = [f"… {plural(more, 'more line')}{all_of_it}"] if more else []
    of = line(outcome.get("log_of"))
    said = say("of {stage}:", stage=of) if of else say("of the failure:")
    head, *rest = (_limited(wrapped(text, width), 1)[0] for text in (said, *rest))
    shown = [row for entry in (rows[::-1] if last else rows) for row in entry]
    shown = [*rest, *shown] if last else [*shown, *rest]
    return [f"  {_padded(say('logs'))} {head}".rstrip(), *(f"{' ' * _INDENT}{row}".rstrip() for row in shown)]


def _last_with(cause: str, entries: list[str]) -> int:
    """Return the place of the last entry that holds the cause; -1 where none does."""
    return next((at for at in reversed(range(len(entries))) if cause and cause in entries[at]), -1)


def _fitting(entries: list[list[str]], room: int) -> list[list[str]]:
    """Return the first entries, each in rows, that ``room`` rows hold; the begin of one at any rate."""
    taken = 0
    for number, rows in enumerate(entries):
        taken += len(rows)
        if taken > room:
            return entries[:number] or [rows[: max(room, 1)]]
    return entries


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in rows of at most ``width`` columns, broken at spaces; wide characters count twice."""
    if width <= 0:
        return [text]
    rows, row = [], ""
    for word in _WORD.findall(text):
        if columns_of(row + word) <= width:
            row += word
            continue
        if row:
            rows.append(row)
        row = ""
        for character in word.lstrip(" "):
            if columns_of(row + character) > width and row:
                rows.append(row)
                row = ""
            row += character
    return [*rows, row]


def _limited(rows: list[str], most: int) -> list[str]:
    if not most or len(rows) <= most:
        return rows
    return [*rows[: most - 1], f"{rows[most - 1][:-2].rstrip()} …"]


def _height(row: str, columns: int) -> int:
    """Return how many rows of the screen a line takes."""
    return max(-(-columns_of(row) // columns), 1) if columns else 1
