"""The tables: false alarms of equal releases and detection of changed ones, with 95 % intervals."""

import json
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


def tables(folder: Path, equal: int, changed: int, jobs: int) -> str:
    """Resample, write ``results.json`` beside the traces, and return the tables as Markdown.

    Args:
        folder: Where the traces are.
        equal: Number of comparisons of equal releases.
        changed: Number of comparisons of each change.
        jobs: Number of processes.
    """
    results: dict[str, list[Result]] = {}
    with ProcessPoolExecutor(jobs) as pool:
        for entry in record.CHANGES:
            seeds = range(equal if entry.equal else changed)
            work = partial(resample.run, folder, entry.name)
            results[entry.name] = list(pool.map(work, seeds, chunksize=10))
    live = _live(folder / "live.jsonl")
    document = {name: [asdict(result) for result in found] for name, found in results.items()}
    (folder / "results.json").write_text(json.dumps(document), encoding="utf-8")
    return "\n".join([*_gate(results), "", *_peers(results), "", *_lives(live), ""])


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
