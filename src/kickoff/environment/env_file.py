"""Reading one environment file: every assignment with its place, and what is wrong with the form."""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Self

from dotenv.parser import Binding, parse_stream

from kickoff.environment import expansion, secret_detection
from kickoff.environment.findings import Finding
from kickoff.environment.reading import read_once
from kickoff.environment.schema import Origin

_LONGEST_FILE = 100_000
_NEWLINE = re.compile(r"\r\n|\n|\r")
_ASSIGNMENT = re.compile(
    r"(?P<export>export[^\S\r\n]+)?(?P<key>'[^']*'|[^=#\s]+)(?P<before>[^\S\r\n]*)=(?P<after>[^\S\r\n]*)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_SHOWN = 60
_REVOKE = "remove it, revoke it, and give the new one as a secret: KEY=${KEY}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One assignment.

    Attributes:
        key: The name.
        text: The value as written, without quotes and escapes.
        template: The value, ready to be expanded.
        line: Line of the name, from 1.
        column: Column of the name, from 1.
        value_column: Column of the value, from 1.
        looks_secret: Whether the line holds something with the shape of a secret; it is then never shown.
        origin: The place that the value comes from; everywhere but in the file there is no line.
    """

    key: str
    text: str
    template: expansion.Template
    line: int
    column: int
    value_column: int
    looks_secret: bool
    origin: Origin = Origin.FILE

    @classmethod
    def default(cls, key: str, text: str, origin: Origin) -> Self:
        """Return the assignment of a key that no line assigns."""
        return cls(key, text, expansion.parse(text), 0, 0, 0, looks_secret=False, origin=origin)


@dataclass(slots=True)
class Source:
    """The content of an environment file.

    Attributes:
        file: Path relative to the project, as findings show it.
        entries: Assignments of the file by key; the first of duplicates.
        broken: Keys that are assigned, but so that the value cannot be read.
        findings: What is wrong with the form.
        lines: Number of lines.
    """

    file: str
    entries: dict[str, Entry] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    lines: int = 1

    def add(self, place: tuple[int, int], rule: str, key: str, message: str, fix: str) -> None:
        """Record a finding in this file at ``place``: line and column."""
        self.findings.append(Finding(self.file, *place, rule, key, message, fix))


def read(path: Path, file: str) -> Source:
    """Read ``path``, called ``file`` in findings.

    Raises:
        OSError: The file cannot be read.
    """
    data = read_once(path, 4 * _LONGEST_FILE)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        line, column = _Lines(before).place(len(before))
        source = Source(file)
        source.add((line, column), "encoding", "", "a byte is not UTF-8", "save the file as UTF-8")
        return source
    return parse(text, file)


def parse(text: str, file: str) -> Source:
    """Read the content of a file called ``file`` in findings."""
    source = Source(file)
    if len(text) > _LONGEST_FILE:
        message = f"the file has more than {_LONGEST_FILE} characters"
        source.add((1, 1), "syntax", "", message, "shorten it")
        return source
    source.lines = len(_NEWLINE.split(text.rstrip("\r\n")))
    flagged = _scan(text, source)
    lines = _Lines(text)
    position = 0
    for binding in parse_stream(StringIO(text, newline="")):
        original = binding.original.string
        begin = position + len(original) - len(original.lstrip())
        line, column = lines.place(begin)
        last, _ = lines.place(position + len(original.rstrip()))
        position += len(original)
        secret = not flagged.isdisjoint(range(line, last + 1))
        statement = _Statement.read(original.strip(), binding, (line, column), secret)
        if statement is not None:
            _bind(source, statement)
        elif original.strip() and not original.lstrip().startswith("#"):
            source.add((line, column), "syntax", "", "the line has no KEY=value", "write KEY=value")
    return source


def shown(text: str) -> str:
    """Return a value for a message: quoted, on one line, not too long."""
    clean = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return f'"{clean if len(clean) <= _SHOWN else clean[:_SHOWN] + "…"}"'


def control_character(text: str) -> str:
    """Return the name of the first control character in ``text``, e.g. ``U+000A``; empty if there is none."""
    found = _CONTROL.search(text)
    return f"U+{ord(found.group()):04X}" if found else ""


@dataclass(frozen=True, slots=True)
class _Statement:
    """A ``KEY=`` with whatever follows, as python-dotenv understood it.

    Attributes:
        key: What stands before the equals sign.
        text: The value without quotes; ``None`` when it cannot be read.
        tight: Whether nothing stands before the key or around the equals sign.
        literal: Whether single quotes keep dollar signs.
        place: Line and column of the key.
        value_place: Line and column of the value.
        secret: Whether one of its lines holds something with the shape of a secret.
    """

    key: str
    text: str | None
    tight: bool
    literal: bool
    place: tuple[int, int]
    value_place: tuple[int, int]
    secret: bool

    @classmethod
    def read(cls, original: str, binding: Binding, place: tuple[int, int], secret: bool) -> Self | None:
        head = _ASSIGNMENT.match(original)
        if head is None:
            return None
        line, column = place
        raw = original[head.end() :]
        return cls(
            key=head["key"],
            text=None if binding.error else binding.value or "",
            tight=not (head["export"] or head["before"] or head["after"]),
            literal=raw.startswith("'"),
            place=(line, column + head.start("key")),
            value_place=(line, column + head.end() + raw.startswith(("'", '"'))),
            secret=secret,
        )


def _scan(text: str, source: Source) -> set[int]:
    flagged = set()
    for number, line in enumerate(_NEWLINE.split(text), 1):
        found = secret_detection.secret_shape(line)
        if found is not None:
            flagged.add(number)
            where = "a comment" if line.lstrip().startswith("#") else "this line"
            message = f"{where} holds what looks like a secret ({found[1]})"
            source.add((number, found[0] + 1), "secret-in-file", "", message, _REVOKE)
    return flagged


def _bind(source: Source, statement: _Statement) -> None:
    key, text = statement.key, statement.text
    # What is not clearly a name may be a piece of a secret, so it is not shown.
    if not secret_detection.is_name(key):
        message = "a key is no name: words of up to 20 capital letters, joined by underscores"
        source.add(statement.place, "key-name", "", message, "write it like LOG_LEVEL")
        return
    if key in source.entries or key in source.broken:
        message = f"{key} is assigned a second time"
        if key in source.entries:
            message += f"; line {source.entries[key].line} has it first"
        source.add(statement.place, "duplicate-key", key, message, "keep one of them")
        return
    if text is None:
        message = f"{key} cannot be read: a quote is not closed, or text follows it"
        source.add(statement.value_place, "syntax", key, message, "close the quote and end the line there")
    elif not statement.tight:
        message = f"{key} has `export` or spaces around its equals sign, which programs read differently"
        source.add(statement.place, "syntax", key, message, f"write {key}=value")
    elif control_character(text):
        message = f"{key} holds the control character {control_character(text)}"
        fix = "write the value on one line, in printable characters"
        source.add(statement.value_place, "control-character", key, message, fix)
    else:
        _add(source, statement, text)
    if key not in source.entries:
        source.broken.add(key)


def _add(source: Source, statement: _Statement, text: str) -> None:
    key, (line, column) = statement.key, statement.value_place
    # Escapes may hide from the scan of the lines what the value shows.
    shape = None if statement.secret else secret_detection.secret_shape(text)
    if shape is not None:
        message = f"{key} holds what looks like a secret ({shape[1]})"
        source.add((line, column), "secret-in-file", key, message, _REVOKE)
    try:
        template = expansion.literal(text) if statement.literal else expansion.parse(text)
    except expansion.ExpansionError as error:
        source.add((line, column + error.offset), error.rule, key, f"{key}: {error}", error.fix)
        return
    secret = statement.secret or shape is not None
    source.entries[key] = Entry(key, text, template, *statement.place, column, secret)


class _Lines:
    """Line and column of positions in a text."""

    def __init__(self, text: str) -> None:
        self._begins = [0, *(newline.end() for newline in _NEWLINE.finditer(text))]

    def place(self, position: int) -> tuple[int, int]:
        line = bisect_right(self._begins, position)
        return line, position - self._begins[line - 1] + 1
