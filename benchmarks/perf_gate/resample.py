"""Comparisons resampled from recorded traces: the gate's whole course, and the peers' rules beside it.

A trace is cut into windows of two seconds; a comparison draws windows with replacement from all traces of a
change, so noise keeps its bursts and what belongs together in time stays together. Planning, extension and
confirmation run as in the pipeline, on fresh draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.perf_gate import peers, record
from benchmarks.perf_gate.machine import ENDPOINT
from benchmarks.perf_gate.peers import Side
from kickoff.evidence import Verdict, combine
from kickoff.performance import gate, samples
from kickoff.performance.metrics import Kind, Pairs, pair_up

WINDOW = 2.0
# What the peers' users measure: one run of the old version, then one of the new.
SEQUENTIAL_WINDOWS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one resampled comparison.

    Attributes:
        verdict: The gate's.
        seen: The gate failed a metric that belongs to the change.
        seconds: Load that the gate used, the confirmation included.
        confirmed: Whether there was a suspect, and so a confirmation run.
        interleaved: Which peers' rules cried out over the first run's samples.
        sequential: Which cried out over the old release's samples and the new one's after it.
    """

    verdict: Verdict
    seen: bool
    seconds: float
    confirmed: bool
    interleaved: dict[str, bool]
    sequential: dict[str, bool]


def windows(path: Path) -> list[list[Pairs]]:
    """Return a trace as windows in order of time; each holds the pairs of every endpoint."""
    found = [sample for sample in samples.read(path) if sample.pair]
    begin = min(sample.time for sample in found)
    # Both halves of a pair belong to the window in which its first one was sent.
    starts: dict[tuple[str, str], float] = {}
    for sample in found:
        key = (sample.endpoint, sample.pair)
        starts[key] = min(starts.get(key, math.inf), sample.time)
    last = int((max(starts.values()) - begin) / WINDOW)
    groups: list[list[samples.Sample]] = [[] for _ in range(last + 1)]
    for sample in found:
        groups[int((starts[sample.endpoint, sample.pair] - begin) / WINDOW)].append(sample)
    return [pair_up(group) for group in groups[:-1]]  # the last one is cut off


@cache
def traces(folder: Path, change: str) -> list[list[list[Pairs]]]:
    """Return every trace of a change.

    Raises:
        FileNotFoundError: None was recorded.
    """
    pattern = f"{record.file_name(record.change(change))}.*.csv.gz"
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"no {pattern} in {folder}; record some first")
    return [windows(path) for path in found]


def run(folder: Path, change: str, seed: int, environment: str = "") -> Result:
    """Resample one comparison."""
    source = np.random.default_rng([seed, sum(map(ord, change))])
    recorded = traces(folder, change)
    pool = [window for trace in recorded for window in trace]
    settings = record.catalogue(environment).comparison
    first_length = record.catalogue(environment).get(record.SCENARIO).duration
    drawn: list[float] = []

    def measure(seconds: float) -> list[Pairs]:
        drawn.append(seconds)
        picked = source.integers(0, len(pool), size=max(1, round(seconds / WINDOW)))
        return _joined([pool[index] for index in picked])

    first = measure(first_length)
    said: list[str] = []
    metrics = gate.decide(first, first_length, measure, settings, said.append)
    failed = [metric for metric in metrics if metric.verdict is Verdict.FAIL]
    confirmed = any("suspect" in message for message in said)
    return Result(
        verdict=combine(metric.verdict for metric in metrics),
        seen=any(_belongs(change, metric.endpoint, metric.kind) for metric in failed),
        seconds=sum(drawn),
        confirmed=confirmed,
        interleaved=peers.alarms(_sides(first, live=True), _sides(first, live=False)),
        sequential=_sequential(recorded, source),
    )


def _belongs(change: str, endpoint: str, kind: Kind) -> bool:
    entry = record.change(change)
    if entry.errors:
        return kind is Kind.ERRORS
    if entry.tail:
        return kind is Kind.TAIL or (endpoint == ENDPOINT and kind is Kind.P95)
    return endpoint == ENDPOINT or kind is Kind.TAIL


def _sequential(recorded: Sequence[list[list[Pairs]]], source: np.random.Generator) -> dict[str, bool]:
    trace = recorded[int(source.integers(0, len(recorded)))]
    start = int(source.integers(0, len(trace) - 2 * SEQUENTIAL_WINDOWS + 1))
    middle, end = start + SEQUENTIAL_WINDOWS, start + 2 * SEQUENTIAL_WINDOWS
    before, after = _joined(trace[start:middle]), _joined(trace[middle:end])
    return peers.alarms(_sides(before, live=True), _sides(after, live=False))


def _joined(chosen: Sequence[Sequence[Pairs]]) -> list[Pairs]:
    names = sorted({entry.endpoint for window in chosen for entry in window})
    result = []
    for name in names:
        parts = [entry for window in chosen for entry in window if entry.endpoint == name]
        result.append(
            Pairs(
                endpoint=name,
                live_ms=np.concatenate([part.live_ms for part in parts]),
                candidate_ms=np.concatenate([part.candidate_ms for part in parts]),
                live_ok=np.concatenate([part.live_ok for part in parts]),
                candidate_ok=np.concatenate([part.candidate_ok for part in parts]),
            )
        )
    return result


def _sides(pairs: Sequence[Pairs], *, live: bool) -> dict[str, Side]:
    found = {}
    for entry in pairs:
        ms, ok = (entry.live_ms, entry.live_ok) if live else (entry.candidate_ms, entry.candidate_ok)
        found[entry.endpoint] = Side(ms[ok], int((~ok).sum()))
    return found
