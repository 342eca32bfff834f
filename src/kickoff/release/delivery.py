"""Delivery figures from the history: the four keys of the DORA research programme. Pure.

Definitions (https://dora.dev/guides/dora-metrics-four-keys/), as far as a history of releases can know them:

* *Deployment frequency*: releases that met users, per day of the window.
* *Lead time*: from the commit to the end of its release, for releases that stayed.
* *Change failure rate*: releases that met users and were taken back, by the pipeline or by a requested
  rollback, among all that met users. A release that was refused before it met users is not a failure.
* *Recovery time*: from the moment a failed release met users until the one before served again. A failure
  that was mended by another release instead of a rollback is not recognised.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from kickoff.release.stores.history import Entry


@dataclass(frozen=True, slots=True)
class Figures:
    """Delivery figures of one window; ``None`` where nothing happened that could be measured.

    Attributes:
        days: Length of the window.
        deployments: Releases that met users.
        failures: Those that were taken back.
        deployments_per_day: ``deployments / days``.
        lead_time_seconds: Median.
        change_failure_rate: 0 to 1.
        recovery_seconds: Median.
    """

    days: float
    deployments: int
    failures: int
    deployments_per_day: float
    lead_time_seconds: float | None
    change_failure_rate: float | None
    recovery_seconds: float | None


def measure(entries: Sequence[Entry], until: datetime, days: float) -> Figures:
    """Return the figures of the ``days`` before ``until`` (both aware of their time zone)."""
    begin = until - timedelta(days=days)
    deployments, lead_times, recoveries = 0, [], []
    live_since: dict[str, datetime] = {}
    for entry in entries:
        at = datetime.fromisoformat(entry.at)
        counts = begin <= at <= until
        if (entry.action, entry.outcome) == ("release", "live"):
            live_since[entry.release] = at
            deployments += counts
            committed = entry.data.get("committed")
            if counts and committed:
                lead_times.append((at - datetime.fromisoformat(committed)).total_seconds())
        elif entry.action == "auto-rollback":
            deployments += counts
            met_users = datetime.fromisoformat(entry.data.get("met_users") or entry.at)
            recoveries += [(at - met_users).total_seconds()] if counts else []
        elif (entry.action, entry.outcome) == ("rollback", "live"):
            began = live_since.pop(entry.previous, None)
            if began is not None and counts:
                recoveries.append((at - began).total_seconds())
    failures = len(recoveries)
    return Figures(
        days=days,
        deployments=deployments,
        failures=failures,
        deployments_per_day=deployments / days,
        lead_time_seconds=statistics.median(lead_times) if lead_times else None,
        change_failure_rate=failures / deployments if deployments else None,
        recovery_seconds=statistics.median(recoveries) if recoveries else None,
    )


_HELP = {
    "deployments": "Releases that met users in the window.",
    "failures": "Releases that met users and were taken back in the window.",
    "deployments_per_day": "Releases that met users, per day.",
    "lead_time_seconds": "Median time from commit to release.",
    "change_failure_rate": "Share of releases that were taken back.",
    "recovery_seconds": "Median time from meeting users to the release before serving again.",
}


def to_prometheus(figures: Figures, service: str, environment: str) -> str:
    """Return the figures in Prometheus's text format; what was not measured has no sample."""
    labels = f'{{service="{service}",environment="{environment}",days="{figures.days:g}"}}'
    lines = []
    for name, text in _HELP.items():
        value = asdict(figures)[name]
        lines += [f"# HELP kickoff_{name} {text}", f"# TYPE kickoff_{name} gauge"]
        if value is not None:
            lines.append(f"kickoff_{name}{labels} {value:g}")
    return "\n".join(lines) + "\n"


def to_lines(figures: Figures) -> list[str]:
    """Return the figures for people, one line each."""
    rate = figures.change_failure_rate
    rows = [
        ("deployments", f"{figures.deployments} ({figures.deployments_per_day:.2g} a day)"),
        ("lead time", _time(figures.lead_time_seconds)),
        ("failures", f"{figures.failures} ({rate:.0%})" if rate is not None else "nothing to measure"),
        ("recovery", _time(figures.recovery_seconds)),
    ]
    return [f"last {figures.days:g} days", *(f"  {label:<12} {value}" for label, value in rows)]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "nothing to measure"
    return f"{timedelta(seconds=round(seconds))} (median)"
