"""Routers, which send users to the colours: one protocol, one module per kind of router."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kickoff.errors import KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route
from kickoff.release.stores import MEMBERS, Transaction
from kickoff.release.stores.etcd_members import Members

ROUTERS = {
    "traefik-file": "kickoff.release.routers.traefik",
    "traefik-etcd": "kickoff.release.routers.traefik_etcd",
}
"""Module of each kind of router; each has functions ``open_router`` and ``provider``."""


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

    def plus(self, other: "Traffic") -> "Traffic":
        """Return the sum of both; where their boundaries differ, more requests seem slow than were."""
        return Traffic(
            {c: self.codes.get(c, 0) + other.codes.get(c, 0) for c in self.codes | other.codes},
            {b: self.buckets.get(b, 0) + other.buckets.get(b, 0) for b in self.buckets | other.buckets},
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


Readings = Mapping[str, Mapping[str, Traffic]]
"""Counters of each service by its name, for each proxy that answered, by its address."""


class Meter:
    """The traffic of each service since a first reading, summed over all proxies, whichever answer when.

    A proxy that does not answer adds nothing; once it does again, what it counted meanwhile is added. One
    that was not in any reading yet begins to count with the one that it is in first.

    Args:
        first: The first reading.
    """

    def __init__(self, first: Readings) -> None:
        self._last = dict(first)
        self._total: dict[str, Traffic] = {}

    def add(self, reading: Readings) -> dict[str, Traffic]:
        """Add a reading; return what came since the one before, by service."""
        added: dict[str, Traffic] = {}
        for proxy, services in reading.items():
            before = self._last.get(proxy, services)
            for name, traffic in services.items():
                since = traffic.since(before.get(name, Traffic()))
                added[name] = added.get(name, Traffic()).plus(since)
        self._last |= reading
        for name, traffic in added.items():
            self._total[name] = self.total(name).plus(traffic)
        return added

    def total(self, service: str) -> Traffic:
        """Return what a service had since the first reading."""
        return self._total.get(service, Traffic())


@dataclass(frozen=True, slots=True)
class Shown:
    """What the proxies show of a route, as they said when they were asked.

    Attributes:
        proxies: Address of each.
        silent: Why one did not answer, by its address.
        differing: What one shows that is not the route, by its address.
        needed: How many have to answer.
    """

    proxies: tuple[str, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)
    differing: Mapping[str, str] = field(default_factory=dict)
    needed: int = 0

    @property
    def anywhere(self) -> bool:
        """True when at least one shows the route."""
        return len(self.proxies) > len(self.silent) + len(self.differing)

    @property
    def problem(self) -> str:
        """Why the route is not what the proxies do; empty when it is, but for those that may be silent."""
        answer = len(self.proxies) - len(self.silent)
        wrong = dict(self.differing) if answer >= self.needed else {**self.differing, **self.silent}
        if len(self.proxies) == 1:
            return "".join(wrong.values())
        told = [f"{proxy}: {why}" for proxy, why in wrong.items()]
        if answer < self.needed:
            told.insert(0, f"{answer} of {len(self.proxies)} edges answer, and {self.needed} have to")
        return "; ".join(told)


class Router(Protocol):
    """The proxy in front of the colours, or several with the same route."""

    def apply(self, route: Route, transaction: Transaction, *, forward: bool = False) -> Mapping[str, str]:
        """Make ``route`` what the proxies do, or leave what they did before.

        Args:
            route: The route.
            transaction: The fence of whoever may change it now.
            forward: Whether it gives users to a candidate: then as many proxies have to answer as the policy
                says; otherwise any of them.

        Returns:
            Proxies that did not answer, and why; the others show the route, and are enough.

        Raises:
            KickoffError: A proxy did not take the route over, or too few answer; the one before was restored,
                unless this is a way back that other proxies took (exit 4). Or another run took over, and
                nothing was changed (exit 75).
        """

    def weights(self) -> dict[Colour, int]:
        """Return the public weights of the route that is written; none where it is none of ours."""

    def shown(self) -> Shown:
        """Return what several proxies show of the route that is written; of one, users' requests tell."""

    def metrics(self) -> Readings:
        """Return the counters of each service of each proxy that answers.

        Raises:
            MetricsUnreadable: Too few answer (exit 4).
        """


def kind_of(root: Path) -> str:
    """Return the kind of router of a state folder: routes are in etcd where its members' file names edges.

    Raises:
        KickoffError: That file cannot be understood (exit 2).
    """
    in_etcd = (root / MEMBERS).is_file() and Members.of(root).edges is not None
    return "traefik-etcd" if in_etcd else "traefik-file"


def open_router(root: Path, apis: Sequence[str], quorum: int = 0) -> Router:
    """Open the router of an environment.

    Args:
        root: State folder of the environment.
        apis: Address of the API of each of its target's own proxies.
        quorum: How many of several proxies have to answer; 0 for all but one.

    Raises:
        KickoffError: The file that names members and edges cannot be understood (exit 2).
    """
    router: Router = importlib.import_module(ROUTERS[kind_of(root)]).open_router(root, apis, quorum)
    return router


def provider(root: Path) -> dict[str, Any]:
    """Return the section of a Traefik's static configuration by which it reads an environment's route."""
    section: dict[str, Any] = importlib.import_module(ROUTERS[kind_of(root)]).provider(root)
    return section
