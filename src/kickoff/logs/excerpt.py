"""Excerpts of a log: errors first, exceptions with the lines that count, and what is left out."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kickoff.logs import failures
from kickoff.logs.entries import Entry, parse

_FRAMES = 6
"""Lines of an exception that are shown, besides those that name causes."""
_CONTEXT = 5
"""Other lines that follow the errors."""
_NOTE = "… not kept: "
"""Begins the line in which a record of a log says what it leaves out."""
_QUIET = re.compile(r"(?:\w+\.)*(?:CancelledError|KeyboardInterrupt|SystemExit|GeneratorExit)\b")
"""Exceptions of an orderly end, which are nobody's cause."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a log as people read them.

    Attributes:
        lines: The lines.
        left_out: How many lines of the record are not among them.
        not_kept: What of the log is not in the record, in words; empty when all is.
    """

    lines: tuple[str, ...]
    left_out: int
    not_kept: str = ""

    def text(self, whole: str = "") -> list[str]:
        """Return the lines, and at the end how many there are besides and where the ``whole`` log is."""
        parts = [f"{self.left_out:,} more line{'s' * (self.left_out != 1)}"] if self.left_out > 0 else []
        parts += [f"not kept: {self.not_kept}"] if self.not_kept else []
        parts += [f"all: {whole}"] if whole and parts else []
        return [*self.lines, *([f"… {'; '.join(parts)}"] if parts else [])]


def excerpt(lines: Sequence[str], most: int) -> Excerpt:
    """Return what explains a failure, in about ``most`` lines; the first error is whole in any case.

    A failing test or a compiler's error comes first, as the tool wrote it. Of other logs the errors come
    first, in order of time, each kind once; the last of the other lines follow.
    """
    note = "; ".join(line.removeprefix(_NOTE) for line in lines if line.startswith(_NOTE))
    lines = [line for line in lines if line.strip() and not line.startswith(_NOTE)]
    failure = failures.find(lines)
    if failure is not None:
        others = [line.rstrip() for line in lines if line.rstrip() not in failure.lines]
        others = [line for line in others if re.search(r"\w", line)]
        room = min(max(most - len(failure.lines), 0), _CONTEXT)
        shown = [*failure.lines, *(others[-room:] if room else [])]
        return Excerpt(tuple(shown), max(len(lines) - len(shown), 0), note)
    entries = parse(lines)
    kinds = _kinds([entry for entry in entries if entry.bad])
    chosen, room = _fitting(kinds, most)
    shown = [line for kind in chosen for line in _render(kind[0], len(kind))]
    seen = sum(entry.lines for kind in chosen for entry in kind)
    left = min(room, _CONTEXT if kinds else most)
    last = [entry for entry in entries if not entry.bad][-left:] if left > 0 else []
    shown += [line for entry in last for line in _render(entry)]
    seen += sum(entry.lines for entry in last)
    return Excerpt(tuple(shown), sum(entry.lines for entry in entries) - seen, note)


def essence(lines: Sequence[str]) -> str:
    """Return in one sentence what a log says went wrong; empty where it says nothing of the kind."""
    lines = [line for line in lines if not line.startswith(_NOTE)]
    failure = failures.find(lines)
    if failure is not None:
        return failure.essence
    bad = [entry for entry in parse(lines) if entry.bad and not _QUIET.match(entry.thrown)]
    said = [entry.thrown for entry in bad if entry.thrown] or [entry.message for entry in bad]
    return said[-1] if said else ""


def keep(lines: Sequence[str], health: Collection[str] = (), most: int = 200) -> list[str]:
    """Return what of a service's log is worth keeping, as it was written, in its order.

    Access lines of health checks and probes are left out, unless there is nothing else: then the last one is
    kept. Of a long log the errors and the last lines stay. A note says what is left out.

    Args:
        lines: The log.
        health: Paths that the pipeline and the proxy ask.
        most: How many lines to keep.
    """
    entries = parse(lines)
    asked = [entry for entry in entries if entry.path.partition("?")[0] in health and not entry.detail]
    mine = {id(entry) for entry in asked}
    rest = [entry for entry in entries if id(entry) not in mine] or asked[-1:]
    bad = [entry for entry in rest if entry.bad]
    worth = [*bad[:5], *bad[-5:], *reversed(rest)]
    stays: set[int] = set()
    for entry in worth:
        if id(entry) not in stays and entry.lines <= most:
            stays.add(id(entry))
            most -= entry.lines
    probes = len(asked) - (len(rest) == 1 and id(rest[0]) in mine)
    dropped = sum(entry.lines for entry in rest if id(entry) not in stays)
    parts = [f"{probes:,} lines of health checks"] * (probes > 0) + [f"{dropped:,} other lines"] * (
        dropped > 0
    )
    note = [f"{_NOTE}{', '.join(parts)}"] if parts else []
    return [*note, *(raw for entry in rest if id(entry) in stays for raw in entry.raw)]


def of_command(lines: Sequence[str], most: int) -> list[str]:
    """Return what explains why a command failed: the first failure in its output, and its last lines."""
    failure = failures.find(lines)
    if failure is None or len(lines) <= most:
        return list(lines[-most:])
    last = [line for line in lines[-(most - len(failure.lines)) :] if line.rstrip() not in failure.lines]
    left = len(lines) - len(failure.lines) - len(last)
    return [f"{_NOTE}{left:,} lines", *failure.lines, *last]


def _kinds(bad: Sequence[Entry]) -> list[list[Entry]]:
    """Return the errors by kind, in order of time of the first of each."""
    found: dict[str, list[Entry]] = {}
    for entry in bad:
        kind = re.sub(r"\d+", "#", f"{entry.message if entry.time else ''}\n{entry.thrown or entry.message}")
        found.setdefault(kind, []).append(entry)
    return list(found.values())


def _fitting(kinds: Sequence[list[Entry]], most: int) -> tuple[list[list[Entry]], int]:
    """Return the kinds that fit, and the lines that are left: the first, the last, then as they come."""
    chosen: set[int] = set()
    room = most
    for index in dict.fromkeys([0, len(kinds) - 1, *range(len(kinds))]) if kinds else ():
        size = len(_render(kinds[index][0]))
        if size <= room or not chosen:
            chosen.add(index)
            room -= size
    return [kinds[index] for index in sorted(chosen)], room


def _render(entry: Entry, times: int = 1) -> list[str]:
    """Return an entry as people read it: time, level, message, then the lines of the exception that count."""
    parts = (entry.time, entry.level, entry.message) if entry.structured else (entry.message,)
    often = f"   ({times} times)" if times > 1 else ""
    indent = "  " if entry.structured else ""
    return [" ".join(filter(None, parts)) + often, *(f"{indent}{line}" for line in _short(entry))]


def _short(entry: Entry) -> list[str]:
    """Return the lines of an exception that count: Python's last ones, of others the first and the causes."""
    detail = [line for line in entry.detail if line.strip(" |+-~^")]
    if len(detail) <= _FRAMES + 1:
        return detail
    if not entry.traceback:
        causes = [line for line in detail[_FRAMES:] if line.lstrip().startswith("Caused by: ")]
        left = len(detail) - _FRAMES - len(causes)
        return [*detail[:_FRAMES], *causes, *([f"… {left} more lines"] if left else [])]
    # A message of many lines is not cut, whatever it takes.
    said = max(
        (i for i, line in enumerate(detail) if line.strip(" |+-") == entry.thrown), default=len(detail)
    )
    cut = min(len(detail) - _FRAMES, max(said - _FRAMES + 1, 0))
    return [*([f"… {cut} lines before"] if cut else []), *detail[cut:]]
