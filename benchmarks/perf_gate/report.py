"""The tables: false alarms of equal releases and detection of changed ones, with 95 % intervals."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks.perf_gate import record, resample
from benchmarks.perf_gate.peers import RULES
from benchmarks.perf_gate.resample import Result
from kickoff.evidence import Verdict


def extend(folder: Path, change: str, comparisons: int, jobs: int, at_most: float) -> int:
    """Resample comparisons of a change until there are so many, or the time is over.

    Args:
        folder: Where the traces are, and the results go (``resampled.jsonl``).
        change: Name of the change.
        comparisons: How many there shall be, those of earlier calls included.
        jobs: Number of processes.
        at_most: Seconds after which to stop; the next call goes on.

    Returns:
        How many there are.
    """
    path = folder / "resampled.jsonl"
    done = len(_read(path).get(change, []))
    until = time.monotonic() + at_most
    with ProcessPoolExecutor(jobs) as pool, path.open("a", encoding="utf-8") as stream:
        while done < comparisons and time.monotonic() < until:
            seeds = range(done, min(done + 10 * jobs, comparisons))
            for result in pool.map(partial(resample.run, folder, change), seeds, chunksize=5):
                stream.write(json.dumps({"change": change, **asdict(result)}) + "\n")
            stream.flush()
            done = seeds.stop
    return done


def tables(folder: Path) -> str:
    """Return the tables of what was resampled and measured, as Markdown."""
    resampled = _read(folder / "resampled.jsonl")
    results = {entry.name: resampled[entry.name] for entry in record.CHANGES if entry.name in resampled}
    return "\n".join([*_gate(results), "", *_peers(results), "", *_lives(_live(folder / "live.jsonl")), ""])


def _read(path: Path) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            document = json.loads(line)
            change = document.pop("change")
            result = Result(**{**document, "verdict": Verdict(document["verdict"])})
            found.setdefault(change, []).append(result)
    return found


def _gate(results: dict[str, list[Result]]) -> list[str]:
    lines = [
        "Paired gate, resampled from recorded traces:",
        "",
        "| change | comparisons | rejected | 95 % interval | for this change | inconclusive | load, s |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for name, found in results.items():
        count = len(found)
        failed = sum(result.verdict is Verdict.FAIL for result in found)
        seen = sum(result.seen for result in found)
        doubt = sum(result.verdict is Verdict.INCONCLUSIVE for result in found)
        seconds = sorted(result.seconds for result in found)[count // 2]
        own = "–" if record.change(name).equal else _share(seen, count)  # noqa: RUF001
        lines.append(
            f"| {name} | {count:,} | {_share(failed, count)} | {interval(failed, count)} "
            f"| {own} | {_share(doubt, count)} | {seconds:.0f} |"
        )
    return lines


def _peers(results: dict[str, list[Result]]) -> list[str]:
    lines = []
    for title, field in (
        ("Old and new measured one after the other, 10 s each, as these tools are used", "sequential"),
        ("The same rules on the gate's own interleaved samples", "interleaved"),
    ):
        lines += [f"{title}:", "", "| rule | " + " | ".join(results) + " |", "|---|" + "---:|" * len(results)]
        for rule in RULES:
            cells = []
            for found in results.values():
                cried = sum(getattr(result, field)[rule] for result in found)
                cells.append(f"{_share(cried, len(found))} ({interval(cried, len(found))})")
            lines.append(f"| {rule} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines[:-1]


def _live(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def _lives(found: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "Whole live comparisons:",
        "",
        "| change | settings | runs | rejected | 95 % interval | inconclusive | median length, s |",
        "|---|---|---:|---:|---|---:|---:|",
    ]
    for (change, settings), count in sorted(Counter((e["change"], e["settings"]) for e in found).items()):
        mine = [entry for entry in found if (entry["change"], entry["settings"]) == (change, settings)]
        failed = sum(entry["verdict"] == Verdict.FAIL for entry in mine)
        doubt = sum(entry["verdict"] == Verdict.INCONCLUSIVE for entry in mine)
        seconds = sorted(entry["seconds"] for entry in mine)[count // 2]
        lines.append(
            f"| {change} | {settings} | {count} | {_share(failed, count)} | {interval(failed, count)} "
            f"| {_share(doubt, count)} | {seconds:.0f} |"
        )
    return lines


def interval(successes: int, count: int) -> str:
    """Return the exact 95 % interval (Clopper and Pearson) of a share, in percent."""
    found = stats.binomtest(successes, count).proportion_ci(0.95, method="exact")
    return f"{found.low:.1%} to {found.high:.1%}".replace("%", " %")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %")
