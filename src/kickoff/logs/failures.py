"""Failures of tests and builds, by the shapes in which tools report them: the first one, and its essence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MOST = 20
"""Lines of one failure."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The way in which a tool reports a failure.

    Attributes:
        begins: Its first line; the group ``name`` is the test.
        ends: The first line that does not belong to it any more.
        says: Lines that say what was wrong, in the group ``text``.
        keep: Lines that are shown; all that are not blank by default.
        place: The line that tells where, in the group ``place``.
        most: How many of the lines of ``says`` make up the essence.
        before: The lines of ``says`` may stand before the first one.
    """

    begins: str
    ends: str
    says: str
    keep: str = r".*\S"
    place: str = r"(?!)"
    most: int = 1
    before: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """The first failure of a log: one sentence, and its lines."""

    essence: str
    lines: tuple[str, ...]


_TESTS = (
    Shape(  # pytest
        r"_{3,} (?P<name>\S.*?) _{3,}$",
        r"_{3,} \S.* _{3,}$|={3,}|-{3,} Captured",
        r"E\s+(?P<text>\S.*)$",
        keep=r"[>E]\s|\S+\.\w+:\d+: ",
        place=r"(?P<place>\S+\.\w+:\d+): ",
    ),
    Shape(  # pytest without tracebacks
        r"FAILED (?P<name>\S+) - ", r".*", r"FAILED \S+ - (?P<text>\S.*)$",
    ),
    Shape(  # unittest
        r"(?:FAIL|ERROR): (?P<name>\w.*\))$",
        r"={20,}|Ran \d+ tests? in",
        r"(?P<text>[A-Z][\w.]*(?:Error|Exception|Failure)\b.*)$",
        keep=r"FAIL|ERROR|\s+\S|[A-Z]",
        place=r"\s+File \"(?P<place>[^\"]+\", line \d+)",
    ),
    Shape(  # jest, vitest
        r"\s*● (?P<name>(?!Console).+)$|\s*FAIL  (?P<file>\S.* > .+)$",
        r"\s*● |Test Suites:|\s*FAIL  |⎯{5,}",
        r"\s*(?P<text>(?:expect\(|Expected|Received|[A-Z]\w*Error\b).*)$",
        most=3,
        place=r"\s+(?:at .*?\(|\u276f )(?P<place>[^()\s]+:\d+:\d+)",
    ),
    Shape(  # go test
        r"\s*--- FAIL: (?P<name>\S+)", r"\S|\s*--- ", r"\s+(?P<text>\S+\.go:\d+: .+)$", before=True,
    ),
    Shape(  # cargo test
        r"---- (?P<name>\S+) stdout ----$",
        r"---- |failures:$",
        r"\s*(?P<text>thread .* panicked at .*|assertion .*|left: .*|right: .*|called .*)$",
        most=4,
    ),
    Shape(  # Gradle
        r"(?P<name>\S+ > \S.*) FAILED$", r"\s*$", r"\s+(?P<text>\S*(?:Error|Exception|Failure)\b.*)$",
    ),
    Shape(  # Maven
        r"\[ERROR\] (?:Failures|Errors):\s*$",
        r"\[(?:INFO|ERROR)\]\s*$|\[ERROR\] Tests run",
        r"\[ERROR\]\s+(?P<text>\S+:\d+.*)$",
    ),
    Shape(  # mocha, RSpec
        r"\s+1\) (?P<name>\S.*)$", r"\s+2\) ", r"\s*(?P<text>(?:[A-Z]\w*Error|[Ee]xpected|Failure).*)$",
    ),
    Shape(  # TAP, node:test
        r"\s*not ok \d+ (?:- )?(?P<name>.+)$", r"\s*(?:not )?ok \d|1\.\.",
        r"\s+error: ['\"|>-]*(?P<text>\S.*?)['\"]?$",
    ),
)  # fmt: skip
_COMPILERS = re.compile(
    r"\S+\.\w+[:(]\d+(?:[:,]\d+)?\)?:?\s*(?:- )?(?:fatal )?error\b.*"  # C, C++, TypeScript, Java, mypy
    r"|error(?:\[E\d+\])?: .*"  # Rust
    r"|\.{0,2}/?\S+\.go:\d+:\d+: .*"
    r"|\S+\.pyi?:\d+:\d+: [A-Z]+\d+ .*"  # ruff, flake8
    r"|ERROR: failed to .*|#\d+ ERROR: .*"  # BuildKit
    r"|npm (?:ERR!|error) (?!A complete log).*|make: \*\*\* .*|\S*SyntaxError: .*"
    r"|ERROR: (?:Could not|No matching|Cannot|Failed|Invalid|THESE PACKAGES).*"  # pip
    r"|(?:unauthorized|denied|manifest unknown|toomanyrequests)\b.*"  # a registry
)
_AFTER = 5
"""Lines that are shown after a compiler's error."""


def find(lines: Sequence[str]) -> Failure | None:
    """Return the first failure that a log of tests or of a build reports; ``None`` when there is none."""
    for shape in _TESTS:
        begin = next((i for i, line in enumerate(lines) if re.match(shape.begins, line)), None)
        if begin is not None and (found := _failure(shape, lines, begin)) is not None:
            return found
    for i, line in enumerate(lines):
        if _COMPILERS.match(line.strip()):
            shown = [text.rstrip() for text in lines[i : i + 1 + _AFTER] if text.strip()]
            return Failure(line.strip(), tuple(shown))
    return None


def _failure(shape: Shape, lines: Sequence[str], begin: int) -> Failure | None:
    head, rest = lines[begin], lines[begin + 1 :]
    end = next((i for i, line in enumerate(rest) if re.match(shape.ends, line)), len(rest))
    body = rest[:end]
    said = [found["text"].strip() for line in (head, *body) if (found := re.match(shape.says, line))]
    if not said and shape.before:
        above = [line for line in lines[max(begin - _MOST, 0) : begin] if re.match(shape.says, line)]
        return _failure(shape, [head, *above], 0) if above else None
    if not said:
        return None
    names = re.match(shape.begins, head)
    name = next((text for text in names.groups() if text), "") if names else ""
    places = [
        found["place"].replace('", line ', ":") for line in body if (found := re.match(shape.place, line))
    ]
    place = f" ({places[-1]})" if places else ""
    shown = [head, *(line for line in body if re.match(shape.keep, line))]
    essence = f"{name.strip()}: {' '.join(said[: shape.most])}{place}".removeprefix(": ")
    return Failure(essence, tuple(line.rstrip() for line in shown[:_MOST]))
