"""Real measurements: traces to resample, and whole comparisons as the pipeline makes them."""

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

from benchmarks.perf_gate import machine
from benchmarks.perf_gate.machine import ROOT, Change
from kickoff.evidence import Verdict, combine
from kickoff.performance import check, load, samples, scenarios
from kickoff.performance.load import Arm

CHANGES = (
    Change("equal"),
    Change("+5 %", slow=0.05),
    Change("+10 %", slow=0.10),
    Change("+25 %", slow=0.25),
    Change("+100 %", slow=1.0),
    Change("1 % errors", errors=0.01),
    Change("rare 10x tail", tail=0.01),
)
LOCUSTFILE = ROOT / "tests/performance/locustfile.py"
SCENARIO = "smoke"


@cache
def catalogue(environment: str = "") -> scenarios.Catalogue:
    """Return the project's own settings."""
    return scenarios.load(ROOT / "configs/performance/scenarios.yml", environment)


def change(name: str) -> Change:
    """Return a change by its name.

    Raises:
        KeyError: There is none of that name.
    """
    return {entry.name: entry for entry in CHANGES}[name]


def file_name(entry: Change) -> str:
    """Return a change's name as a part of a file's name."""
    return entry.name.replace(" ", "").replace("%", "pc").replace("+", "plus")


def trace(entry: Change, seconds: float, path: Path) -> int:
    """Record one trace with fresh processes beside the neighbour; returns the number of samples."""
    settings = catalogue().comparison
    scenario = replace(catalogue().get(SCENARIO), duration=seconds)
    with _prepared(entry) as (candidate, live):
        result = load.run(scenario, [candidate, live], locustfile=LOCUSTFILE, rate=settings.pairs_per_second)
    path.parent.mkdir(parents=True, exist_ok=True)
    samples.write(path, result.samples)
    return len(result.samples)


def gate(entry: Change, environment: str, out: Path) -> dict[str, object]:
    """Run one whole comparison, confirmation included; append the outcome to ``out`` and return it."""
    chosen = catalogue(environment)
    begun = time.monotonic()
    with _prepared(entry) as (candidate, live):
        setup = check.Setup(candidate=candidate, live=live, locustfile=LOCUSTFILE)
        outcome = check.run(chosen.get(SCENARIO), setup, chosen)
    compared = [metric for metric in outcome.metrics if metric.verdict is not Verdict.NOT_APPLICABLE]
    document: dict[str, object] = {
        "change": entry.name,
        "settings": environment or "default",
        "verdict": combine(metric.verdict for metric in compared),
        "seconds": round(time.monotonic() - begun, 1),
        "runs": len(outcome.runs),
        "metrics": [asdict(metric) for metric in outcome.metrics],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(document) + "\n")
    return document


@contextlib.contextmanager
def _prepared(entry: Change) -> Iterator[tuple[Arm, Arm]]:
    with (
        tempfile.TemporaryDirectory(prefix="kickoff-perf-gate-") as folder,
        machine.services(Path(folder), entry) as arms,
        machine.neighbour(),
    ):
        yield arms
