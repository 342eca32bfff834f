"""Switch time and the judge's cost by the number of edges: measurements, a model, and its test.

``.venv/bin/python benchmarks/edges_model`` measures what a look at 1 to 500 edges costs, against one process
that answers as so many Traefiks do, and simulates a step with that figure. ``--real 40`` shifts users on real
Traefiks beside the model, ``--fan-out 20`` times etcd's watches; both take minutes.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.edges_model import real  # noqa: E402
from benchmarks.edges_model.looks import Look, looks, most_tasks, pages  # noqa: E402
from benchmarks.edges_model.model import (  # noqa: E402
    Figures,
    Site,
    Spread,
    refused_by_quorum,
    spread,
    steps,
)

EDGES = (1, 3, 9, 50, 500)
# docs/decisions/routes-in-etcd.md, three members: 40 shifts each.
TRANSACTION, ONE_EDGE = Spread(0.022, 0.156, 40), Spread(0.138, 0.771, 40)
AWAY = 0.001
"""Part of the time that each edge is away, for the chance that the quorum stops a step."""
MEASURED = {Site(1): ONE_EDGE, Site(3): Spread(0.298, 1.068, 40)}


def main() -> int:
    """Run what was asked for, print the tables, write the JSON."""
    arguments = _arguments()
    document: dict[str, Any] = {"processors": os.cpu_count(), "load": os.getloadavg()}
    document["bytes"] = pages_of_one()
    document["most_tasks"] = most_tasks()
    print(
        f"load {os.getloadavg()[0]:.1f}; bytes of an edge: {document['bytes']}",
        f"; at most {document['most_tasks']} tasks a colour\n",
        sep="",
    )
    measured = _looks(arguments.rounds)
    document["looks"] = [asdict(one) for one in measured]
    look = next(one for one in measured if one.kind == "shown" and one.edges == 50 and not one.lost)
    figures = Figures(TRANSACTION, ONE_EDGE, look.median / look.edges)
    document["model"] = _model(figures, arguments.steps)
    _validation(MEASURED, figures, "as docs/decisions/routes-in-etcd.md measured")
    if arguments.real:
        now = {}
        for site in (Site(1), Site(3), Site(9), Site(3, lost=1)):
            shown = real.shifts(site.edges, arguments.real, site.lost)
            now[site] = Spread(statistics.median(shown), max(shown), len(shown))
            document.setdefault("real", []).append({"site": asdict(site), "seconds": shown})
        calibrated = replace(figures, one_edge=now[Site(1)])
        title = f"now, calibrated with one edge of now; all on this machine, load {os.getloadavg()[0]:.1f}"
        _validation(now, calibrated, title)
    if arguments.fan_out:
        document["fan_out"] = {count: real.fan_out(count, arguments.fan_out) for count in EDGES}
        for count, taken in document["fan_out"].items():
            print(f"{count} watchers: median {_ms(statistics.median(taken))}, worst {_ms(max(taken))} ms")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _looks(rounds: int) -> list[Look]:
    print("| look at | edges | tasks | lost | median s | worst s | processor s | wrongly silent |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    found = []
    sites = [*((n, 1, 0) for n in EDGES), (50, 20, 0), (500, 20, 0), *((n, 1, 1) for n in EDGES[1:])]
    for edges, tasks, lost in sites:
        for one in looks(edges, tasks, lost, rounds if edges < 50 and not lost else max(3, rounds // 4)):
            cells = f"{one.median:.3f} | {one.worst:.3f} | {one.processor:.3f} | {one.silent}"
            print(f"| {one.kind} | {edges} | {tasks} | {lost} | {cells} |", flush=True)
            found.append(one)
    return found


def _model(figures: Figures, number: int) -> list[dict[str, Any]]:
    print("\n| edges | lost | slow | last edge, ms | worst | whole step, ms | worst | two or more away |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    found = []
    for edges in EDGES:
        lost = [Site(edges, lost=1)] if edges > 1 else []
        for site in (Site(edges), *lost, Site(edges, slow=max(1, edges // 50))):
            made = steps(site, figures, number)
            last = spread([one.last_edge for one in made], ONE_EDGE.of)
            end = spread([one.written + one.end for one in made], ONE_EDGE.of)
            away = refused_by_quorum(edges, AWAY)
            cells = " | ".join(map(_ms, (last.median, last.worst, end.median, end.worst)))
            print(f"| {edges} | {site.lost} | {site.slow} | {cells} | {away:.4%} |")
            found.append({"site": asdict(site), "last_edge": asdict(last), "end": asdict(end), "away": away})
    return found


def _validation(measured: dict[Site, Spread], figures: Figures, title: str) -> None:
    print(f"\n{title}:\n| edges | lost | measured ms | worst | model ms | worst | off | worst |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for site, took in measured.items():
        said = spread([one.end for one in steps(site, figures, 200 * took.of)], took.of)
        off = f"{said.median / took.median - 1:+.0%} | {said.worst / took.worst - 1:+.0%}"
        cells = " | ".join(map(_ms, (took.median, took.worst, said.median, said.worst)))
        print(f"| {site.edges} | {site.lost} | {cells} | {off} |")


def pages_of_one() -> dict[str, int]:
    """Return the bytes that each edge says."""
    with tempfile.TemporaryDirectory() as folder:
        return pages(Path(folder), 1)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/edges_model", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="looks at each number of edges (default: 20)")
    parser.add_argument("--steps", type=int, default=1000, help="simulated steps (default: 1000)")
    parser.add_argument("--real", type=int, default=0, help="shifts on real Traefiks (default: none)")
    parser.add_argument(
        "--fan-out", type=int, default=0, help="transactions that are watched (default: none)"
    )
    parser.add_argument("--output", type=Path, default=Path(".kickoff/benchmarks/edges_model.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
