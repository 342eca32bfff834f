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
from collections.abc import Iterable, Sequence
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


@dataclass(slots=True)
class Attempted:
    """A release of the history, and what became of it.

    Attributes:
        seq: Its place in the history, from 1.
        release: Its id.
        at: When it went live, was taken back or was refused.
        verdict: ``live``, ``taken-back`` or ``refused``.
        lead_time: Seconds from its commit to ``at``, of one that went live whose commit's time is known.
        taken_back: When the release before served again, if it did.
        recovery: Seconds from meeting users to ``taken_back``.
    """

    seq: int
    release: str
    at: datetime
    verdict: str
    lead_time: float | None = None
    taken_back: datetime | None = None
    recovery: float | None = None

    @property
    def met_users(self) -> bool:
        """True when users were given to it."""
        return self.verdict != "refused"


def attempted(entries: Iterable[Entry]) -> list[Attempted]:
    """Return the releases of a history or of its end, oldest first, each with what became of it later."""
    found: list[Attempted] = []
    live: dict[str, Attempted] = {}
    for entry in entries:
        at = datetime.fromisoformat(entry.at)
        one = Attempted(entry.seq, entry.release, at, "live")
        if (entry.action, entry.outcome) == ("release", "live"):
            committed = entry.data.get("committed")
            one.lead_time = (at - datetime.fromisoformat(committed)).total_seconds() if committed else None
            live[entry.release] = one
            found.append(one)
        elif entry.action == "auto-rollback":
            met_users = datetime.fromisoformat(entry.data.get("met_users") or entry.at)
            _take_back(one, at, met_users)
            found.append(one)
        elif (entry.action, entry.outcome) == ("rollback", "live"):
            if former := live.pop(entry.previous, None):
                _take_back(former, at, former.at)
        elif entry.action == "abort" and entry.data.get("stage") != "rollback":
            one.verdict = "refused"
            found.append(one)
    return found


def _take_back(one: Attempted, at: datetime, met_users: datetime) -> None:
    one.verdict, one.taken_back, one.recovery = "taken-back", at, (at - met_users).total_seconds()


def measure(entries: Sequence[Entry], until: datetime, days: float) -> Figures:
    """Return the figures of the ``days`` before ``until`` (both aware of their time zone)."""
    begin = until - timedelta(days=days)
    met_users = [one for one in attempted(entries) if one.met_users]
    counted = [one for one in met_users if begin <= one.at <= until]
    lead_times = [one.lead_time for one in counted if one.lead_time is not None]
    recoveries = [
        one.recovery
        for one in met_users
        if one.recovery is not None and one.taken_back is not None and begin <= one.taken_back <= until
    ]
    deployments, failures = len(counted), len(recoveries)
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
