"""The body of ``kickoff explain``: texts of the package, of which the reference page is made, too."""

import argparse
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from kickoff.cli import output
from kickoff.cli.parser import wrap
from kickoff.errors import ExitCode, KickoffError

FOLDER = Path(__file__).resolve().parents[2] / "explanations"
NAMES = {
    ExitCode.PASS: "passed",
    ExitCode.REJECTED: "rejected",
    ExitCode.BAD_INPUT: "invalid",
    ExitCode.INCONCLUSIVE: "inconclusive",
    ExitCode.UNREACHABLE: "unreachable",
    ExitCode.ROLLED_BACK: "rolled-back",
    ExitCode.ROLLBACK_FAILED: "rollback-failed",
    ExitCode.LOCK_HELD: "busy",
    ExitCode.INTERRUPTED: "interrupted",
}
"""What explains each exit code; the other explanations are of verdicts that share one."""


_MARK = re.compile(r"^(?:- |\d\. )?")


@dataclass(frozen=True)
class Explanation:
    """One text.

    Attributes:
        name: Its name, as it is asked for.
        code: The exit code it is about.
        meaning: One line.
        text: All of it, as Markdown that reads as it stands.
    """

    name: str
    code: int
    meaning: str
    text: str


def load() -> list[Explanation]:
    """Return every explanation, those of one exit code together, that of the code itself first."""
    first = set(NAMES.values())
    found = [_read(path) for path in FOLDER.glob("*.md")]
    return sorted(found, key=lambda one: (one.code, one.name not in first, one.name))


def find(asked: str) -> Explanation:
    """Return the explanation of an exit code, or of a verdict as it is printed or typed.

    Raises:
        KickoffError: There is none (exit 2).
    """
    name = asked.strip().lower().replace(" ", "-")
    if name.isdecimal() and int(name) in set(ExitCode):
        name = NAMES[ExitCode(int(name))]
    found = next((one for one in load() if one.name == name), None)
    if found is None:
        raise KickoffError(
            f"{asked!r} is neither an exit code nor a verdict", hint="`kickoff explain` lists both"
        )
    return found


def run(arguments: argparse.Namespace) -> int:
    """Print one explanation, or the list of all; commands in it name the environment that was given."""
    if not arguments.code:
        rows = [f"{one.code:>4}  {one.name:<16} {one.meaning}" for one in load()]
        output.result([_document(one, "") for one in load()], "\n".join(rows))
        return ExitCode.PASS
    found = find(arguments.code)
    document = _document(found, arguments.env)
    output.result(document, _plain(str(document["text"])))
    return ExitCode.PASS


def _plain(text: str) -> str:
    """Return a text for a terminal: without marks, in lines that fit, each command in one piece."""
    joined = re.sub(r"(?<!\n)\n(?!\n|- |\d\. ) *", " ", re.sub(r"\*\*|^# ", "", text, flags=re.MULTILINE))
    whole = re.sub(r"`[^`]+`", lambda found: found[0].replace(" ", "\xa0"), joined)
    rows = whole.rstrip().splitlines()
    return "\n".join(wrap(row, " " * len(_MARK.findall(row)[0])) for row in rows)


def _document(one: Explanation, environment: str) -> dict[str, str | int]:
    quoted = shlex.quote(environment)
    named = re.sub(r"\bNAME\b", lambda _: quoted, one.text) if environment else one.text
    return {"name": one.name, "code": one.code, "meaning": one.meaning, "text": named}


def _read(path: Path) -> Explanation:
    text = path.read_text(encoding="utf-8")
    code, meaning = re.findall(r"^Exit code (\d+): (.*?)(?:\.$|\. |$)", text, re.MULTILINE)[0]
    return Explanation(path.stem, int(code), meaning, text)
