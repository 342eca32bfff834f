"""Traefiks in front of the colours: what each of them shows of a route, and what it has counted.

The only module that knows Traefik's API. One that does not answer is named; whether the others are enough is
a matter of how many have to.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from kickoff.errors import ExitCode, KickoffError
from kickoff.probing.http import open_client
from kickoff.prometheus import samples
from kickoff.release.route import SERVICES
from kickoff.release.routers import MetricsUnreadable, Readings, Shown, Traffic

SILENT_SECONDS = 1.0
"""How long an edge is asked again before the others do without it."""
_ANSWER_SECONDS, _ALONE_SECONDS = 2.0, 5.0
"""How long an answer may take: the only edge gets longer, because nothing goes on without it."""
_PAUSE_SECONDS = 0.01
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Edges:
    """Traefiks that have the same route.

    Attributes:
        apis: Base address of API and metrics of each.
        provider: Traefik's name of the provider that they read the route by.
        quorum: How many have to answer; 0 for all but one, of one that one.
    """

    apis: tuple[str, ...]
    provider: str
    quorum: int = 0

    @property
    def needed(self) -> int:
        """How many have to answer."""
        return self.quorum or max(1, len(self.apis) - 1)

    def await_shown(self, wanted: dict[str, Any], seconds: float) -> Mapping[str, str]:
        """Wait until every edge that answers shows a rendered route, and enough do, at most ``seconds``.

        Returns:
            Those that do not answer, and why.

        Raises:
            KickoffError: One shows another route, or too few answer (exit 4).
        """
        began = time.monotonic()
        while True:
            shown = self.shown(wanted)
            problem, waited = shown.problem, time.monotonic() - began
            if not problem and (not shown.silent or waited >= SILENT_SECONDS):
                return shown.silent
            if problem and waited >= seconds:
                raise KickoffError(
                    "the proxy did not take the new route over, so the previous one was restored",
                    code=ExitCode.UNREACHABLE,
                    causes=[problem],
                    hint="`kickoff logs --env NAME --process traefik` shows what Traefik objected to",
                )
            time.sleep(_PAUSE_SECONDS)

    def shown(self, wanted: dict[str, Any]) -> Shown:
        """Return what each edge shows of a rendered route at this moment."""
        differing: dict[str, str] = {}
        found, silent = self._ask("/api/rawdata", httpx.Response.json)
        for api, raw in found.items():
            if problem := difference(wanted, raw, self.provider):
                differing[api] = problem
        return Shown(self.apis, silent, differing, self.needed)

    def metrics(self) -> Readings:
        """Return the counters of each service, by service name without provider, of each edge that answers.

        Raises:
            MetricsUnreadable: Too few answer, or they cannot be added up (exit 4).
        """
        found, silent = self._ask("/metrics", lambda answer: parse_metrics(answer.text))
        if len(found) < self.needed:
            raise MetricsUnreadable(
                f"Traefik's metrics cannot be read: {Shown(self.apis, silent, {}, self.needed).problem}",
                code=ExitCode.UNREACHABLE,
            )
        # Their sum would say nothing of what is slow.
        if len({frozenset(one.buckets) for of in found.values() for one in of.values() if one.buckets}) > 1:
            raise MetricsUnreadable(
                "the edges' metrics cannot be added up: they count durations by different boundaries",
                code=ExitCode.UNREACHABLE,
                at=", ".join(found),
                hint="give all of them the same metrics.prometheus.buckets, as in docs/how-to/edges.md",
            )
        return found

    def _ask(
        self, path: str, understood: Callable[[httpx.Response], _Found]
    ) -> tuple[Mapping[str, _Found], dict[str, str]]:
        """Ask all at once; return what was understood, and why it was not, by address."""
        seconds = _ANSWER_SECONDS if len(self.apis) > 1 else _ALONE_SECONDS

        def one(api: str) -> _Found | str:
            try:
                with open_client(api, {}, seconds=seconds) as client:
                    answer = client.get(path)
                answer.raise_for_status()
                return understood(answer)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                return f"its API does not answer ({type(error).__name__})"

        with ThreadPoolExecutor(len(self.apis)) as pool:
            answers = list(pool.map(one, self.apis))
        pairs = list(zip(self.apis, answers, strict=True))
        found = {api: answer for api, answer in pairs if not isinstance(answer, str)}
        return found, {api: answer for api, answer in pairs if isinstance(answer, str)}


def difference(wanted: dict[str, Any], raw: dict[str, Any], provider: str) -> str:
    """Compare a rendered route with what Traefik's API reports of a provider; empty when they agree."""
    services, routers = (_of(provider, raw.get(kind) or {}) for kind in ("services", "routers"))
    wanted_services = wanted["http"].get("services", {})
    extra = (SERVICES & services.keys()) - wanted_services.keys()
    problems = (
        *(_service(name, one, services.get(name)) for name, one in wanted_services.items()),
        *(_router(name, one, routers) for name, one in wanted["http"].get("routers", {}).items()),
        f"service {sorted(extra)[0]} should be gone" if extra else "",
    )
    return next(filter(None, problems), "")


def _of(provider: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return what comes from a provider, by its name there."""
    return {
        name.removesuffix(f"@{provider}"): one for name, one in found.items() if name.endswith(f"@{provider}")
    }


def _service(name: str, wanted: dict[str, Any], found: dict[str, Any] | None) -> str:
    if found is None:
        return f"service {name} is unknown to it"
    if "weighted" in wanted:
        weights = {
            s["name"].split("@")[0]: s["weight"] for s in found.get("weighted", {}).get("services", [])
        }
        if weights != {s["name"]: int(s["weight"]) for s in wanted["weighted"]["services"]}:
            return f"service {name} has weights {weights}"
    if "loadBalancer" in wanted:
        urls = [server["url"] for server in found.get("loadBalancer", {}).get("servers", [])]
        if urls != [server["url"] for server in wanted["loadBalancer"].get("servers", [])]:
            return f"service {name} points to {urls}"
    fallback = found.get("failover", {}).get("fallback", "nothing")
    if "failover" in wanted and fallback != wanted["failover"]["fallback"]:
        return f"service {name} falls back to {fallback}"
    return ""


def _router(name: str, wanted: dict[str, Any], routers: dict[str, Any]) -> str:
    found = routers.get(name, {})
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
