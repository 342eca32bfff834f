"""The cost of a look at many edges, by the product's own code against edges that only answer."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.edges_model import stand_in
from kickoff.release.model import Colour
from kickoff.release.route import Route, render
from kickoff.release.routers import Meter
from kickoff.release.routers.edges import Edges
from kickoff.release.routers.traefik import BUCKETS
from kickoff.release.routers.traefik_keys import to_keys
from kickoff.release.stores.etcd_records import _MOST

_SLOW_SECONDS = 0.777
"""The boundary that the response-time rule puts among the others."""


@dataclass(frozen=True, slots=True)
class Look:
    """One kind of look at so many edges; seconds.

    Attributes:
        kind: ``metrics`` with what the judge's meter makes of them, or ``shown``.
        median: On the clock.
        worst: On the clock.
        processor: Of the process that looks, median.
        edges_processor: Of the process that stands for all edges, median.
        silent: Edges that count as silent, and should not.
    """

    kind: str
    edges: int
    tasks: int
    lost: int
    median: float
    worst: float
    processor: float
    edges_processor: float
    silent: int


def wanted(tasks: int) -> dict[str, Any]:
    """Return a rendered route in which each colour has so many servers."""
    servers = {
        colour: tuple(f"http://shop-{colour}-{slot + 1}:8000" for slot in range(tasks)) for colour in Colour
    }
    weights = {Colour.BLUE: 75, Colour.GREEN: 25}
    return render(Route(servers, weights, Colour.BLUE, False, dict.fromkeys(Colour, "/health/live")))


def most_tasks() -> int:
    """Return how many servers each colour may have in one transaction, which stamps the route as well."""
    return max(tasks for tasks in range(1, _MOST) if len(to_keys(wanted(tasks))) + 1 <= _MOST)


def pages(folder: Path, tasks: int) -> dict[str, int]:
    """Write what each edge says; return the bytes of each page."""
    text = stand_in.metrics(("blue", "green"), stand_in.BUSINESS, sorted({*BUCKETS, _SLOW_SECONDS}))
    (folder / "metrics").write_text(text, encoding="utf-8")
    (folder / "rawdata").write_text(stand_in.rawdata(wanted(tasks)), encoding="utf-8")
    return {name: (folder / name).stat().st_size for name in ("metrics", "rawdata")} | {
        "metrics, compressed": len(stand_in.packed(text.encode()))
    }


def looks(edges: int, tasks: int, lost: int, rounds: int) -> list[Look]:
    """Look at the metrics and at the route of so many edges again and again."""
    with tempfile.TemporaryDirectory(prefix="kickoff-edges-") as folder:
        pages(Path(folder), tasks)
        with stand_in.edges(Path(folder), edges, lost) as (apis, process):
            asked, route = Edges(apis, "etcd", edges - lost), wanted(tasks)
            meter = Meter(asked.metrics())

            def metrics() -> int:
                reading = asked.metrics()
                meter.add(reading)
                return edges - len(reading)

            def shown() -> int:
                found = asked.shown(route)
                if found.differing:
                    raise SystemExit(f"a stand-in shows another route: {found.differing}")
                return len(found.silent)

            return [
                _measured(one, kind, (edges, tasks, lost), rounds, process)
                for kind, one in (("metrics", metrics), ("shown", shown))
            ]


def _measured(
    look: Callable[[], int], kind: str, site: tuple[int, int, int], rounds: int, process: psutil.Process
) -> Look:
    wall, own, theirs, silent = [], [], [], []
    for _ in range(rounds):
        began, used, before = time.monotonic(), time.process_time(), _used(process)
        silent.append(look() - site[2])
        wall.append(time.monotonic() - began)
        own.append(time.process_time() - used)
        theirs.append(_used(process) - before)
    return Look(
        kind, *site, statistics.median(wall), max(wall), statistics.median(own), statistics.median(theirs),
        max(silent),
    )  # fmt: skip


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
