"""From recorded requests and cutovers to the figures. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.traffic import Request


@dataclass(frozen=True, slots=True)
class Cutover:
    """One switch of traffic: from whom to whom, when the engine decided it, and when the next one came."""

    old: str
    new: str
    decided: float
    until: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A time in milliseconds over all cutovers."""

    what: str
    count: int
    median: float
    worst: float

    @classmethod
    def of(cls, what: str, seconds: Sequence[float]) -> "Figure":
        """Summarise ``seconds``, of which there is at least one."""
        values = [value * 1000 for value in seconds]
        return cls(what, len(values), round(statistics.median(values), 1), round(max(values), 1))


def measure(
    requests: Sequence[Request],
    cutovers: Sequence[Cutover],
    rollbacks: Sequence[float],
    deaths: Sequence[tuple[float, float]] = (),
) -> dict[str, Any]:
    """Return the result as a document.

    Args:
        requests: Everything the clients sent.
        cutovers: The releases, in order of time.
        rollbacks: Wall time of each rollback command in seconds, from its start to its exit.
        deaths: When the live release was killed and until when it was watched; what fails then is counted
            apart, as no release can be blamed for it.
    """
    spared, costs = _cost(requests, deaths)
    last_started, last_answered, first_new = [], [], []
    for cutover in cutovers:
        during = [r for r in requests if r.ended >= cutover.decided and r.began < cutover.until]
        old = [r for r in during if r.release == cutover.old]
        new = [r for r in during if r.release == cutover.new]
        last_started.append(max([r.began - cutover.decided for r in old], default=0.0))
        last_answered.append(max([r.ended - cutover.decided for r in old], default=0.0))
        if new:
            first_new.append(min(r.ended - cutover.decided for r in new))
    figures = [
        Figure.of("decision to the new release's first answer", first_new),
        Figure.of("decision to the old release's last request started", [max(0.0, t) for t in last_started]),
        Figure.of("decision to the old release's last answer", last_answered),
    ]
    if rollbacks:
        figures.append(Figure.of("rollback command, start to exit", rollbacks))
    failed = [request for request in spared if request.failed]
    return {
        "requests": len(spared),
        "failed": len(failed),
        "failures": [asdict(request) for request in failed[:20]],
        "seconds": round(max(r.ended for r in requests) - min(r.began for r in requests), 1),
        "releases": len(cutovers),
        "figures_ms": [asdict(figure) for figure in figures],
        "deaths": costs,
    }


def _cost(
    requests: Sequence[Request], deaths: Sequence[tuple[float, float]]
) -> tuple[list[Request], list[dict[str, Any]]]:
    """Return the requests outside the deaths, and for each death what it cost."""
    costs = []
    for killed, until in deaths:
        met = [r for r in requests if r.ended >= killed and r.began < until]
        failed = [r for r in met if r.failed]
        costs.append(
            {
                "requests": len(met),
                "failed_reads": sum(not r.write for r in failed),
                "failed_writes": sum(r.write for r in failed),
                "seconds": round(max((r.ended - killed for r in failed), default=0.0), 2),
            }
        )
    spared = [
        r for r in requests if not any(r.ended >= killed and r.began < until for killed, until in deaths)
    ]
    return spared, costs


def table(document: dict[str, Any]) -> str:
    """Return the document as text for people."""
    lines = [
        f"{document['requests']:,} requests in {document['seconds']:.0f} s during {document['releases']} "
        f"releases: {document['failed']} failed",
        "",
        f"{'milliseconds':<52}{'n':>5}{'median':>10}{'worst':>10}",
    ]
    lines += [
        f"{row['what']:<52}{row['count']:>5}{row['median']:>10.1f}{row['worst']:>10.1f}"
        for row in document["figures_ms"]
    ]
    lines += [
        f"live release killed: {cost['failed_reads']} reads and {cost['failed_writes']} writes of "
        f"{cost['requests']} failed, the last after {cost['seconds']:.2f} s"
        for cost in document["deaths"]
    ]
    return "\n".join(lines)
