"""Routers, which send users to the colours: one protocol, one module per kind of router."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kickoff.errors import KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route

ROUTERS = {"traefik-file": "kickoff.release.routers.traefik"}
"""Module of each kind of router; each has a function ``open_router``."""


class MetricsUnreadable(KickoffError):
    """The proxy's counters cannot be read, so nobody knows how a release does."""


@dataclass(slots=True)
class Traffic:
    """Counters of one service since Traefik started.

    Attributes:
        codes: Requests by status code.
        buckets: Cumulative request counts by upper bound in seconds (``inf`` included).
    """

    codes: dict[int, int] = field(default_factory=dict)
    buckets: dict[float, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Requests answered."""
        return sum(self.codes.values())

    @property
    def timed(self) -> int:
        """Requests whose duration was counted; 0 without a histogram, whatever the codes say."""
        return self.buckets.get(float("inf"), 0)

    @property
    def errors(self) -> int:
        """Requests answered with 5xx."""
        return sum(count for code, count in self.codes.items() if code >= 500)

    def since(self, earlier: "Traffic") -> "Traffic":
        """Return what came after ``earlier``; a restart of the proxy (counters fell) counts from zero."""
        fell = any(self.codes.get(code, 0) < count for code, count in earlier.codes.items())
        if fell or any(self.buckets.get(bound, 0) < count for bound, count in earlier.buckets.items()):
            return self
        return Traffic(
            {c: n - earlier.codes.get(c, 0) for c, n in self.codes.items()},
            {b: n - earlier.buckets.get(b, 0) for b, n in self.buckets.items()},
        )

    def slower_than(self, seconds: float) -> int:
        """Return how many requests took longer than the smallest boundary at or above ``seconds``."""
        total = self.buckets.get(float("inf"), 0)
        bound = min((b for b in self.buckets if b >= seconds), default=float("inf"))
        return total - self.buckets.get(bound, total)

    def quantile(self, q: float) -> float:
        """Return the bucket boundary in seconds at or above the ``q`` quantile; NaN without requests."""
        total = self.buckets.get(float("inf"), 0)
        if total == 0:
            return float("nan")
        return next(bound for bound in sorted(self.buckets) if self.buckets[bound] >= q * total)


class Router(Protocol):
    """The proxy in front of the colours."""

    def apply(self, route: Route) -> float:
        """Make ``route`` what the proxy does, or leave what it did before.

        Returns:
            Seconds until the proxy reported the new route.

        Raises:
            KickoffError: The proxy did not take the route over; the one before was restored (exit 4).
        """

    def weights(self) -> dict[Colour, int]:
        """Return the public weights of the route that is written; none where it is none of ours."""

    def metrics(self) -> dict[str, Traffic]:
        """Return the counters of each service of the proxy, by its name.

        Raises:
            MetricsUnreadable: The proxy does not say (exit 4).
        """


def open_router(kind: str, api: str, folder: Path) -> Router:
    """Open a router.

    Args:
        kind: One of ``ROUTERS``.
        api: Address of the proxy's API.
        folder: Where its dynamic configuration is kept on this host.
    """
    router: Router = importlib.import_module(ROUTERS[kind]).open_router(api, folder)
    return router
