"""Traefik: its static configuration, applying a route and reading it back, and its metrics.

The only module that knows Traefik's API.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from kickoff.errors import ExitCode, KickoffError
from kickoff.probing.http import open_client
from kickoff.prometheus import samples
from kickoff.release.model import Colour
from kickoff.release.route import SERVICES, Route, render, to_yaml, weights_in
from kickoff.release.routers import MetricsUnreadable, Traffic

# Boundaries in seconds, about 25 % apart: a quantile is known to one bucket.
BUCKETS = (
    *(0.002, 0.004, 0.006, 0.008, 0.01, 0.0125, 0.016, 0.02, 0.025, 0.032, 0.04, 0.05, 0.063, 0.08),
    *(0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.63, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 4.0, 5.0, 8.0, 16.0),
)
APPLY_SECONDS = 15.0


def static_configuration(root: Path, *, public: int, candidate: int, admin: int, slow_seconds: float) -> str:
    """Return Traefik's static configuration as YAML.

    Args:
        root: Folder that holds ``dynamic/``.
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
                "file": {"directory": str(root / "dynamic"), "watch": True},
            },
        },
        sort_keys=True,
    )


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running Traefik.

    Attributes:
        api: Base address of API and metrics.
        folder: The file provider's folder.
    """

    api: str
    folder: Path

    @property
    def _file(self) -> Path:
        return self.folder / "route.yml"

    def weights(self) -> dict[Colour, int]:
        """Return the public weights in the route file; none when there is no file, or none of ours."""
        return weights_in(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}

    def apply(self, route: Route) -> float:
        """Make ``route`` what Traefik does, or leave what it did before.

        Returns:
            Seconds from the write to Traefik reporting the new route.

        Raises:
            KickoffError: Traefik did not take the route over; the previous file was restored (exit 4).
        """
        before = self._file.read_text(encoding="utf-8") if self._file.exists() else None
        started = time.monotonic()
        self._write(to_yaml(route))
        try:
            self._wait_for(render(route))
        except KickoffError:
            if before is None:
                self._file.unlink()
            else:
                self._write(before)
            raise
        return time.monotonic() - started

    def metrics(self) -> dict[str, Traffic]:
        """Return the counters of each service, by service name without provider.

        Raises:
            MetricsUnreadable: The metrics endpoint does not answer (exit 4).
        """
        try:
            with open_client(self.api, {}, seconds=5) as client:
                answer = client.get("/metrics")
            answer.raise_for_status()
            return parse_metrics(answer.text)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise MetricsUnreadable(
                f"Traefik's metrics cannot be read: {error}", code=ExitCode.UNREACHABLE
            ) from error

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

    def _wait_for(self, wanted: dict[str, Any]) -> None:
        deadline = time.monotonic() + APPLY_SECONDS
        problem = "no answer"
        with open_client(self.api, {}, seconds=2) as client:
            while time.monotonic() < deadline:
                try:
                    problem = difference(wanted, client.get("/api/rawdata").json())
                except (httpx.HTTPError, ValueError) as error:
                    problem = f"its API does not answer ({type(error).__name__})"
                if not problem:
                    return
                time.sleep(0.01)
        raise KickoffError(
            "the proxy did not take the new route over, so the previous one was restored",
            code=ExitCode.UNREACHABLE,
            causes=[problem],
            hint="`kickoff logs --env NAME --process traefik` shows what Traefik objected to",
        )


def difference(wanted: dict[str, Any], raw: dict[str, Any]) -> str:
    """Compare a rendered route with what Traefik's API reports; empty when they agree."""
    services, routers = raw.get("services") or {}, raw.get("routers") or {}
    wanted_services = wanted["http"].get("services", {})
    extra = {name for name in SERVICES if f"{name}@file" in services} - set(wanted_services)
    problems = (
        *(_service(name, one, services.get(f"{name}@file")) for name, one in wanted_services.items()),
        *(_router(name, one, routers) for name, one in wanted["http"].get("routers", {}).items()),
        f"service {sorted(extra)[0]} should be gone" if extra else "",
    )
    return next(filter(None, problems), "")


def _service(name: str, wanted: dict[str, Any], found: dict[str, Any] | None) -> str:
    if found is None:
        return f"service {name} is unknown to it"
    if "weighted" in wanted:
        weights = {
            s["name"].split("@")[0]: s["weight"] for s in found.get("weighted", {}).get("services", [])
        }
        if weights != {s["name"]: s["weight"] for s in wanted["weighted"]["services"]}:
            return f"service {name} has weights {weights}"
    if "loadBalancer" in wanted:
        urls = [server["url"] for server in found.get("loadBalancer", {}).get("servers", [])]
        if urls != [server["url"] for server in wanted["loadBalancer"]["servers"]]:
            return f"service {name} points to {urls}"
    fallback = found.get("failover", {}).get("fallback", "nothing")
    if "failover" in wanted and fallback != wanted["failover"]["fallback"]:
        return f"service {name} falls back to {fallback}"
    return ""


def _router(name: str, wanted: dict[str, Any], routers: dict[str, Any]) -> str:
    found = routers.get(f"{name}@file", {})
    if found.get("status") != "enabled":
        return f"router {name} is not enabled"
    return "" if found.get("rule") == wanted["rule"] else f"router {name} has the rule {found.get('rule')}"


_REQUESTS, _BUCKET = "traefik_service_requests_total", "traefik_service_request_duration_seconds_bucket"


def parse_metrics(text: str) -> dict[str, Traffic]:
    """Read per-service counters from Prometheus text.

    Raises:
        ValueError: It is none.
    """
    found: dict[str, Traffic] = {}
    for sample in samples(text, _REQUESTS, _BUCKET):
        traffic = found.setdefault(sample.labels["service"].split("@")[0], Traffic())
        if sample.name == _REQUESTS:
            code = int(sample.labels["code"])
            traffic.codes[code] = traffic.codes.get(code, 0) + int(sample.value)
        else:
            bound = float(sample.labels["le"])
            traffic.buckets[bound] = traffic.buckets.get(bound, 0) + int(sample.value)
    return found


open_router = Proxy
