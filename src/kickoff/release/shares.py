"""The releases and their shares of the traffic, as a file for Prometheus.

It is written with every route, in the text format that node_exporter's textfile collector reads: so each
step of a canary, each release and each way back is a point in time that a dashboard can mark.
"""

from collections.abc import Mapping
from contextlib import suppress

from kickoff.evidence import write_atomic
from kickoff.paths import METRICS
from kickoff.release.model import Colour, Slot
from kickoff.release.session import Session

_FILE = "releases.prom"
_NAME = "kickoff_release_traffic_ratio"


def render(
    service: str, environment: str, slots: Mapping[Colour, Slot], weights: Mapping[Colour, int]
) -> str:
    """Return the share of the public traffic, 0 to 1, of each release that runs. Pure."""
    lines = [
        f"# HELP {_NAME} Share of the public traffic that a running release gets.",
        f"# TYPE {_NAME} gauge",
    ]
    for colour, slot in sorted(slots.items()):
        labels = f'service="{service}",environment="{environment}",release="{slot.release}",colour="{colour}"'
        lines.append(f"{_NAME}{{{labels}}} {weights.get(colour, 0) / 100:g}")
    return "\n".join([*lines, ""])


def write(session: Session, slots: Mapping[Colour, Slot], weights: Mapping[Colour, int]) -> None:
    """Replace the file of an environment: what runs in its colours, and the weight of each in percent."""
    text = render(session.service.name, session.environment.name, slots, weights)
    with suppress(OSError):  # a full disk must not cost a release, and least of all the way back
        folder = session.store.root / METRICS
        folder.mkdir(exist_ok=True)
        write_atomic(folder / _FILE, text)
