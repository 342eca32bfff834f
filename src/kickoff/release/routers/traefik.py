"""Traefik on this host: its static configuration, and the router that gives it the route in a file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kickoff.errors import KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route, render, to_yaml, weights_in
from kickoff.release.routers import Readings, Shown
from kickoff.release.routers.edges import Edges
from kickoff.release.stores import Transaction

# Boundaries in seconds, about 25 % apart: a quantile is known to one bucket.
BUCKETS = (
    *(0.002, 0.004, 0.006, 0.008, 0.01, 0.0125, 0.016, 0.02, 0.025, 0.032, 0.04, 0.05, 0.063, 0.08),
    *(0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.63, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 4.0, 5.0, 8.0, 16.0),
)

APPLY_SECONDS = 15.0
"""How long Traefik may take to show a route."""


def static_configuration(
    provider: dict[str, Any], *, public: int, candidate: int, admin: int, slow_seconds: float
) -> str:
    """Return Traefik's static configuration as YAML.

    Args:
        provider: How it reads the route.
        public: Port users reach.
        candidate: Loopback port of the private entry point.
        admin: Loopback port of API and metrics.
        slow_seconds: A bucket boundary is put here, so that the response-time rule counts exactly.
    """
    return yaml.safe_dump(
        {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {
                "public": {"address": f"127.0.0.1:{public}"},
                "candidate": {"address": f"127.0.0.1:{candidate}"},
                "traefik": {"address": f"127.0.0.1:{admin}"},
            },
            "api": {"insecure": True, "dashboard": False},
            "ping": {},
            "log": {"level": "INFO"},
            "metrics": {
                "prometheus": {
                    "addServicesLabels": True,
                    "addEntryPointsLabels": True,
                    "buckets": sorted({*BUCKETS, slow_seconds}),
                }
            },
            "providers": {
                # Traefik's default of 2 s would be the length of every switch.
                "providersThrottleDuration": "50ms",
                **provider,
            },
        },
        sort_keys=True,
    )


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running Traefik that reads the route from a file.

    Attributes:
        api: Base address of API and metrics.
        folder: The file provider's folder.
    """

    api: str
    folder: Path

    @property
    def _file(self) -> Path:
        return self.folder / "route.yml"

    @property
    def _edges(self) -> Edges:
        return Edges((self.api,), "file")

    def weights(self) -> dict[Colour, int]:
        """Return the public weights in the route file; none when there is no file, or none of ours."""
        return weights_in(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}

    def apply(
        self, route: Route, transaction: Transaction | None = None, *, forward: bool = False
    ) -> Mapping[str, str]:
        """Make ``route`` what Traefik does, or leave what it did before; the caller holds the fence.

        Raises:
            KickoffError: Traefik did not take the route over; the previous file was restored (exit 4).
        """
        del transaction, forward  # while it is open nobody else writes here; the one proxy has to answer
        before = self._file.read_text(encoding="utf-8") if self._file.exists() else None
        self._write(to_yaml(route))
        try:
            return self._edges.await_shown(render(route), APPLY_SECONDS)
        except KickoffError:
            if before is None:
                self._file.unlink()
            else:
                self._write(before)
            raise

    def shown(self) -> Shown:
        """Return nothing: of one proxy, users' requests tell."""
        return Shown()

    def metrics(self) -> Readings:
        """Return the counters of each service, by service name without provider.

        Raises:
            MetricsUnreadable: The metrics endpoint does not answer (exit 4).
        """
        return self._edges.metrics()

    def _write(self, text: str) -> None:
        # A hidden name: Traefik's watcher never reads the half-written file.
        temporary = self.folder / ".route.yml.new"
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            # In a container Traefik is another user; the state folder keeps other users of the host out.
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        temporary.replace(self._file)


def open_router(root: Path, apis: Sequence[str], _quorum: int = 0) -> Proxy:
    """Open the router of the environment with this state folder."""
    (api,) = apis
    return Proxy(api, root / "traefik" / "dynamic")


def provider(root: Path) -> dict[str, Any]:
    """Return how Traefik reads the route of the environment with this state folder."""
    return {"file": {"directory": str(root / "traefik" / "dynamic"), "watch": True}}
