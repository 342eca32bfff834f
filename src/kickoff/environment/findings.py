"""Findings about an environment file: rule, place and fix, and the forms they are shown in."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

# GitHub shows ten error annotations of a step and drops the rest without a word.
_ANNOTATIONS = 10


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One broken rule. No field ever holds the value of a secret.

    Attributes:
        file: Path of the file, relative to the project.
        line: Line, from 1.
        column: Column, from 1.
        rule: Name of the rule, as the reference documentation lists it.
        key: The key concerned; empty when the file as a whole is.
        message: What was found.
        fix: What to write instead.
    """

    file: str
    line: int
    column: int
    rule: str
    key: str
    message: str
    fix: str

    @property
    def place(self) -> str:
        """``file:line:column``."""
        return f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.place}: {self.rule}: {self.message} (fix: {self.fix})"


def as_text(findings: Sequence[Finding]) -> str:
    """Return two lines for each finding: what and where, then the fix."""
    return "".join(
        f"{finding.place}: {finding.rule}: {finding.message}\n    fix: {finding.fix}\n"
        for finding in findings
    )


def as_json(findings: Sequence[Finding]) -> str:
    """Return a JSON document ``{"findings": [...]}``."""
    return json.dumps({"findings": [asdict(finding) for finding in findings]}, indent=1) + "\n"


def as_github(findings: Sequence[Finding]) -> str:
    """Return workflow commands that put findings beside their lines; what GitHub would drop as text."""
    lines = [
        f"::error file={_property(finding.file)},line={finding.line},col={finding.column},"
        f"title={_property(finding.rule)}::{_data(f'{finding.message}. Fix: {finding.fix}')}"
        for finding in findings[:_ANNOTATIONS]
    ]
    return "".join(f"{line}\n" for line in lines) + as_text(findings[_ANNOTATIONS:])


def as_markdown(findings: Sequence[Finding], otherwise: str) -> str:
    """Return the outcome with its table, for a job summary; ``otherwise`` is said when nothing was found."""
    if not findings:
        return f"**{otherwise}.**\n"
    return f"**{count(len(findings), 'problem')} in the environment files.**\n\n{as_table(findings)}"


def as_table(findings: Sequence[Finding]) -> str:
    """Return the findings as a Markdown table."""
    lines = ["| Place | Rule | Found | Fix |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{finding.place}` | {finding.rule} | {_cell(finding.message)} | {_cell(finding.fix)} |"
        for finding in findings
    ]
    return "\n".join(lines) + "\n"


def in_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows below their heading, in columns; empty without rows."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    padded = ([f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)] for row in (head, *rows))
    return "".join(f"{'  '.join(cells).rstrip()}\n" for cells in padded)


def count(number: int, noun: str) -> str:
    """Return ``1 problem`` or ``3 problems``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return escaped.replace("\r", " ").replace("\n", " ")
