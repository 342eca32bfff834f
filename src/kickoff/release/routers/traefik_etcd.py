"""The route in etcd, read by several Traefiks: one transaction writes it, and compares the writer's token."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route, render, weights_of
from kickoff.release.routers import Readings, Shown
from kickoff.release.routers.edges import Edges
from kickoff.release.routers.traefik_keys import from_keys, to_keys
from kickoff.release.stores import Transaction
from kickoff.release.stores.etcd_client import Client
from kickoff.release.stores.etcd_keys import Keys
from kickoff.release.stores.etcd_members import Members
from kickoff.release.stores.etcd_records import STAMP, EtcdTransaction

APPLY_SECONDS, FIRST_SECONDS = 30.0, 100.0
"""How long a route may take, and the first one: after an outage of etcd Traefik comes back in its own time,
and one that found nothing to watch looks again after up to 90 s."""


@dataclass(frozen=True, slots=True)
class EtcdRouter:
    """Traefiks that read the route from etcd.

    Attributes:
        members: The cluster.
        tree: What the route's keys begin with; ends in a slash.
        edges: The Traefiks.
    """

    members: Members
    tree: str
    edges: Edges

    def apply(self, route: Route, transaction: Transaction, *, forward: bool = False) -> Mapping[str, str]:
        """Make ``route`` what the Traefiks do, or leave what they did before.

        Raises:
            KickoffError: One did not take the route over, or too few answer; the route before was restored,
                unless this is a way back that others took (exit 4). Or another run took over, and nothing was
                changed (exit 75).
        """
        if not isinstance(transaction, EtcdTransaction):
            raise TypeError(transaction)  # the store of an environment whose members' file names edges
        wanted, edges = render(route), self.edges if forward else replace(self.edges, quorum=1)
        before = transaction.replace(self.tree, to_keys(wanted))
        try:
            return edges.await_shown(wanted, APPLY_SECONDS if STAMP in before else FIRST_SECONDS)
        except KickoffError as error:
            if not forward and edges.shown(wanted).anywhere:  # whose users must not be sent forward again
                raise KickoffError(
                    "an edge did not take the route over; the others have it",
                    code=ExitCode.UNREACHABLE,
                    causes=error.causes,
                    hint="restart that edge: it reads the route when it starts",
                ) from error
            transaction.replace(self.tree, {name: v for name, v in before.items() if name != STAMP})
            with suppress(KickoffError):  # whoever asks the public address next shall meet the route before
                self._await_written()
            raise

    def weights(self) -> dict[Colour, int]:
        """Return the public weights of the route in etcd; none where there is none, or none of ours."""
        return weights_of(self._written())

    def shown(self) -> Shown:
        """Return what each Traefik shows of the route in etcd."""
        return self.edges.shown({"http": {}, **self._written()})

    def metrics(self) -> Readings:
        """Return the counters of each service, by service name without provider.

        Raises:
            MetricsUnreadable: Too few Traefiks answer (exit 4).
        """
        return self.edges.metrics()

    def _await_written(self) -> None:
        replace(self.edges, quorum=1).await_shown({"http": {}, **self._written()}, min(APPLY_SECONDS, 5.0))

    def _written(self) -> dict[str, Any]:
        client = Client(self.members)
        try:
            pairs = client.below(self.tree)
        finally:
            client.close()
        return from_keys(
            {pair.key.removeprefix(self.tree): pair.value.decode(errors="replace") for pair in pairs}
        )


def open_router(root: Path, apis: Sequence[str], quorum: int = 0) -> EtcdRouter:
    """Open the router of the environment with this state folder, whose ``etcd.json`` names further edges."""
    members = Members.of(root)
    every = tuple(dict.fromkeys([*apis, *(members.edges or ())]))
    return EtcdRouter(members, Keys.of(root).route, Edges(every, "etcd", quorum))


def provider(root: Path) -> dict[str, Any]:
    """Return how Traefik reads the route of the environment with this state folder."""
    members = Members.of(root)
    section: dict[str, Any] = {
        "endpoints": [urlsplit(one).netloc for one in members.endpoints],
        "rootKey": Keys.of(root).route.rstrip("/"),
    }
    if members.encrypted:
        section["tls"] = {"ca": members.ca, "cert": members.certificate, "key": members.key}
    return {"etcd": section}
