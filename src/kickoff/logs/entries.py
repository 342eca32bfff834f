"""Entries of a log: JSON lines, and plain lines with the traceback or stack trace that belongs to them."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_TIMES = ("time", "timestamp", "ts", "@timestamp", "datetime", "asctime", "date", "t")
_LEVELS = ("level", "levelname", "severity", "lvl", "log.level", "log_level")
_MESSAGES = ("message", "msg", "event", "text", "log", "body")
_EXCEPTIONS = (
    "exception", "exc_info", "traceback", "stack_trace", "stacktrace", "stack", "error.stack_trace",
    "exception.stacktrace", "err", "error",
)  # fmt: skip
_NUMBERS = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}
"""Levels of pino and bunyan."""
_BAD = frozenset({"ERROR", "CRITICAL", "CRIT", "FATAL", "PANIC", "SEVERE", "ALERT", "EMERG", "EMERGENCY"})

_CLOCK = re.compile(r"\d{2}:\d{2}:\d{2}(?:[.,]\d{1,3})?")
_LEVEL = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|PANIC|SEVERE)\b"
    r"|level=\"?(?P<key>\w+)|\[(?P<bracket>debug|info|notice|warn|error|crit|alert|emerg)\]"
)
_PYTHON = "Traceback (most recent call last):"
_THROWN = re.compile(
    r"(?:Uncaught |Unhandled )?(?:[A-Za-z_$][\w$]*[.:]{1,2})*[A-Z]\w*"
    r"(?:Error|Exception|Exit|Interrupt|Panic)\b(?: \[\w+\])?(?::|$)"
    r"|Exception in thread |panic: |fatal error: |[Ff]atal: |[Ee]rror(?:\[\w+\])?: "
    r"|thread '.*' panicked at |Unhandled(?:Promise)?Rejection|npm (?:ERR!|error) "
)
_GO = re.compile(r"goroutine \d+|[\w./*()-]+\(.*\)$|created by |\[signal |exit status \d|\s*$")
_CHAINED = re.compile(r"During handling of|The above exception")
_BELONGS = re.compile(r"\s+\S|Caused by: |\.\.\. \d+ (?:more|common)|Suppressed: ")


@dataclass(slots=True)
class Entry:
    """One record of a log.

    Attributes:
        time: Time of day; empty for a plain line, whose own form is kept.
        level: Level in capitals; empty where none is told.
        message: What it says, in one line.
        detail: The exception, or the lines that follow and belong to it.
        path: Path of the request that an access line is about; empty for every other entry.
        raw: Its lines as they were written.
        structured: Whether it was a JSON line.
    """

    time: str = ""
    level: str = ""
    message: str = ""
    detail: list[str] = field(default_factory=list)
    path: str = ""
    raw: list[str] = field(default_factory=list)
    structured: bool = False

    @property
    def lines(self) -> int:
        """How many lines of the log it takes."""
        return len(self.raw)

    @property
    def traceback(self) -> bool:
        """True when it holds a traceback of Python, whose last line says what happened."""
        return any(line.lstrip(" |+").startswith(_PYTHON) for line in (self.message, *self.detail))

    @property
    def bad(self) -> bool:
        """True when it tells of an error."""
        return self.level in _BAD or self.traceback or bool(_THROWN.match(self.message)) or self.thrown != ""

    @property
    def thrown(self) -> str:
        """The exception in one line; empty where there is none."""
        found = [line.strip(" |+-") for line in (self.message, *self.detail)]
        if self.traceback:
            last = [i for i, line in enumerate(found) if line.startswith(_PYTHON)][-1]
            plain = [line for line in self.detail[max(last - 1, 0) :] if _unindented(line)]
            named = [line for line in plain if _THROWN.match(line) or re.match(r"[\w.]+(?::|$)", line)]
            return next((line for line in named if not line.startswith("Traceback")), "")
        caused = [line.removeprefix("Caused by: ") for line in found if line.startswith("Caused by: ")]
        return caused[-1] if caused else next((line for line in found if _THROWN.match(line)), "")


def parse(lines: Iterable[str]) -> list[Entry]:
    """Return the entries of a log, in its order."""
    entries: list[Entry] = []
    for raw in lines:
        text = raw.rstrip()
        record = _json(text)
        if record is not None:
            entries.append(_structured(record, raw))
        elif entries and _continues(entries[-1], text):
            entries[-1].detail.append(text)
            entries[-1].raw.append(raw)
        elif text:
            entries.append(_plain(text, raw))
    return entries


def _json(text: str) -> dict[str, Any] | None:
    """Return the object that a line is, perhaps behind what a collector put before it."""
    begin = text.find("{")
    if not 0 <= begin <= 60 or not text.endswith("}"):
        return None
    try:
        found = json.loads(text[begin:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and any(key in found for key in _MESSAGES + _EXCEPTIONS) else None


def _structured(record: Mapping[str, Any], raw: str) -> Entry:
    level = _first(record, _LEVELS)
    number = isinstance(level, int) and not isinstance(level, bool)
    message = " ".join(str(_first(record, _MESSAGES) or "").split())
    detail: list[str] = []
    for key in _EXCEPTIONS:
        detail = detail or _exception(record.get(key))
    path = record.get("path") or record.get("url") or record.get("request_path") or _path(message)
    name = _NUMBERS.get(level // 10 * 10, "INFO") if number else str(level or "").upper()
    return Entry(
        _time(_first(record, _TIMES)), name, message, detail, str(path or ""), [raw], structured=True
    )


def _first(record: Mapping[str, Any], keys: tuple[str, ...]) -> Any:  # noqa: ANN401 - what JSON can hold
    return next((record[key] for key in keys if record.get(key) not in (None, "")), None)


def _time(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if value > 1e11 else value
        try:
            return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")
        except (ValueError, OverflowError, OSError):
            return ""
    found = _CLOCK.search(str(value or ""))
    return found[0] if found else ""


def _exception(value: object) -> list[str]:
    """Return the lines of an exception, in whichever form a logger writes it."""
    if isinstance(value, str):
        return [line for line in value.replace("\r", "").split("\n") if line.strip()]
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        return _exception(value[-1])
    if isinstance(value, dict):
        stack = next((value[key] for key in ("stack", "stack_trace", "stacktrace") if value.get(key)), "")
        if isinstance(stack, str) and stack:
            return _exception(stack)
        kind = value.get("type") or value.get("exc_type") or value.get("name") or value.get("class")
        said = value.get("message") or value.get("exc_value") or value.get("msg") or ""
        return [f"{kind}: {said}"] if kind else _exception(str(said))
    return []


def _plain(text: str, raw: str) -> Entry:
    found = _LEVEL.search(text[:120])
    level = (found[1] or found["key"] or found["bracket"] or "").upper() if found else ""
    return Entry("", level, text, [], _path(text), [raw])


def _path(text: str) -> str:
    found = re.search(r"\b(?:GET|HEAD) (?:https?://[^/\s]+)?(/\S*)", text)
    return found[1].rstrip('",') if found else ""


def _unindented(line: str) -> bool:
    return bool(line) and not line.lstrip("|+-").startswith((" ", "\t")) and bool(line.strip(" |+-~^"))


def _continues(entry: Entry, text: str) -> bool:
    """Return whether a plain line belongs to the entry before it."""
    if _BELONGS.match(text):
        return True
    if entry.traceback:
        last = entry.detail[-1] if entry.detail else entry.message
        if text.startswith(_PYTHON):
            return any(_CHAINED.match(line) for line in entry.detail[-3:])
        inside = not last or last.startswith((" ", "\t", _PYTHON, "|", "+"))
        return inside or not text or bool(_CHAINED.match(text))
    if text.startswith(_PYTHON):
        return entry.level in _BAD and not entry.detail
    if entry.message.startswith(("panic: ", "fatal error: ")):
        return bool(_GO.match(text))
    return False
