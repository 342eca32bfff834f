"""Releases of the past: what is kept of earlier runs beside this one, and the noise of their p95."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kickoff.report import verdicts
from kickoff.report.messages import line, number

MOST = 30
"""Releases that the report shows."""
FEWEST = 8
"""Releases with a p95 below which their noise is not known."""
_ROBUST_95 = 1.959964 * 1.4826


@dataclass(frozen=True, slots=True)
class Past:
    """The outcome of one run; ``page`` is the report's address beside the folder of all runs."""

    run: str
    environment: str
    verdict: str
    exit_code: int
    release: str
    finished: str
    seconds: float
    p95_ms: float | None
    why: str
    page: str

    @property
    def meaning(self) -> str:
        """``pass``, ``fail``, ``doubt`` or ``none``, as :func:`meaning` says."""
        return meaning(self.verdict, self.exit_code)

    @property
    def word(self) -> str:
        """The verdict in words."""
        return self.verdict.replace("-", " ")


def meaning(verdict: str, exit_code: int) -> str:
    """Return how the page marks a verdict: ``pass``, ``fail``, ``doubt``, or ``none`` for nothing new."""
    good = "none" if verdict in ("unchanged", "checked") else "pass"
    return {"good": good, "doubtful": "doubt", "bad": "fail"}[verdicts.meaning(verdict, exit_code)]


def read(runs: Path) -> list[Past]:
    """Return the outcomes kept in a folder of numbered runs, oldest first, deployments alone."""
    numbered = sorted((int(entry.name), entry) for entry in runs.glob("*") if entry.name.isdecimal())
    found = (_read(folder, f"{folder.name}/report/report.html") for _, folder in numbered)
    return [entry for entry in found if entry is not None]


def of(runs: Sequence[Past], environment: str) -> list[Past]:
    """Return the last runs of one environment, at most :data:`MOST`."""
    return [entry for entry in runs if entry.environment == environment][-MOST:]


def measured(runs: Sequence[Past]) -> list[float]:
    """Return the p95 of every release that went live, in milliseconds, where it was measured."""
    return [entry.p95_ms for entry in runs if entry.p95_ms and entry.verdict == "released"]


def noise(runs: Sequence[Past]) -> tuple[float, float] | None:
    """Return between which p95 about 95 of 100 releases lay that went live; ``None`` when too few are known.

    The middle is the median and the spread robust, so one slow release widens nothing.
    """
    logs = [math.log(value) for value in measured(runs)]
    if len(logs) < FEWEST:
        return None
    middle = statistics.median(logs)
    spread = _ROBUST_95 * statistics.median(abs(value - middle) for value in logs)
    return math.exp(middle - spread), math.exp(middle + spread)


def _read(folder: Path, page: str) -> Past | None:
    try:
        document = json.loads((folder / "report" / "outcome.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # a run that left no outcome has nothing to show; its folder says why
    if not isinstance(document, dict) or not document.get("environment"):
        return None
    code = document.get("exit_code")
    return Past(
        run=folder.name,
        environment=line(document["environment"], 60),
        verdict=line(document.get("verdict"), 40),
        exit_code=code if isinstance(code, int) else 1,
        release=line(document.get("release"), 80),
        finished=line(document.get("finished"), 40),
        seconds=number(document.get("seconds")) or 0.0,
        p95_ms=number(document.get("p95_ms")),
        why=line(document.get("why"), 300),
        page=page if (folder / "report" / "report.html").is_file() else "",
    )
