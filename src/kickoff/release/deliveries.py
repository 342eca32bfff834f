"""The releases of the last months and what became of each, as a file for Prometheus.

Written when an attempt ends, for node_exporter's textfile collector. Each release is a series with the time
of its end, so that a query counts those of any window up to now: figures of a window would stand still until
the next release.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from kickoff.evidence import write_atomic
from kickoff.paths import METRICS
from kickoff.release.delivery import Attempted, attempted
from kickoff.release.session import Session

_FILE = "deliveries.prom"
_DAYS = 90
_MOST = 500
"""Entries that are read, so that no history takes longer or makes more series than Prometheus likes."""

_Value = Callable[[Attempted], float | None]
_METRICS: dict[str, tuple[str, _Value]] = {
    "kickoff_release_ended_timestamp_seconds": (
        "When a release went live, was taken back or was refused before it met users.",
        lambda one: one.at.timestamp(),
    ),
    "kickoff_release_taken_back_timestamp_seconds": (
        "When a release that had met users had been taken back.",
        lambda one: one.taken_back.timestamp() if one.taken_back else None,
    ),
    "kickoff_release_lead_time_seconds": ("From the commit until its release.", lambda one: one.lead_time),
    "kickoff_release_recovery_seconds": (
        "From meeting users until the release before served again.",
        lambda one: one.recovery,
    ),
}


def render(service: str, environment: str, releases: Sequence[Attempted]) -> str:
    """Return what is known of each release in Prometheus's text format. Pure."""
    lines = []
    for name, (text, value) in _METRICS.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
        for one in releases:
            labels = (
                f'service="{service}",environment="{environment}",'
                f'release="{one.release}",entry="{one.seq}",verdict="{one.verdict}"'
            )
            if (found := value(one)) is not None:
                lines.append(f"{name}{{{labels}}} {found:.12g}")
    return "\n".join([*lines, ""])


def write(session: Session) -> None:
    """Replace the file of an environment.

    Raises:
        KickoffError: A line of the history is not an entry (exit code 1).
        OSError: The file cannot be written.
    """
    since = datetime.now(UTC) - timedelta(days=_DAYS)
    newest = islice(session.store.history.newest_first(), _MOST)
    recent = [entry for entry in newest if datetime.fromisoformat(entry.at) >= since]
    releases = attempted(reversed(recent))
    folder = session.store.root / METRICS
    folder.mkdir(exist_ok=True)
    write_atomic(folder / _FILE, render(session.service.name, session.environment.name, releases))
