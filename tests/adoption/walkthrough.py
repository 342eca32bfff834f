"""A page of documentation, followed: what it runs is run, what it saves is saved, what it shows must come."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.M | re.S)
_SAVED = re.compile(r"as `([\w./-]+)`:\s*\Z")


@dataclass(frozen=True)
class Step:
    """One block of the page.

    Attributes:
        kind: ``run``, ``save`` or ``show``.
        text: What stands in it.
        name: The file that it is saved as.
        line: Where it stands.
    """

    kind: str
    text: str
    name: str
    line: int


def steps(page: str) -> Iterator[Step]:
    """Yield the steps of a page: shell is run, text is what that shows, and a language after "as `name`:" is saved.

    Raises:
        ValueError: A block is neither; ``console`` is for what a reader did beforehand.
    """
    for found in _BLOCK.finditer(page):
        language, text = found[2], textwrap.dedent(found[3])
        line = page[: found.start()].count("\n") + 1
        saved = _SAVED.search(page[: found.start()])
        if language in ("sh", "text"):
            yield Step("run" if language == "sh" else "show", text, "", line)
        elif saved:
            yield Step("save", text, saved[1], line)
        elif language != "console":
            raise ValueError(f"line {line}: nobody is told what to do with this {language}")


def missing(shown: str, printed: str) -> list[str]:
    """Return the lines that a page shows and that were not printed, in this order; ``…`` stands for anything."""
    rest = iter(printed.splitlines())
    absent = []
    for line in shown.splitlines():
        pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("…")))
        if not any(pattern.fullmatch(one.rstrip()) for one in rest):
            absent.append(line)
            break
    return absent
