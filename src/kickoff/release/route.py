"""The route: which colour gets which share of traffic, and its form as Traefik's dynamic configuration.

Pure: typed data in, YAML out, and back again. Every reference in the document is made here, so a route
that names a colour without a server cannot be rendered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kickoff.errors import KickoffError
from kickoff.release.model import Colour

COLOUR_HEADER = "X-Kickoff-Colour"
PUBLIC = "public"
CANDIDATE = "candidate"
SPLIT = "split"
MAINTENANCE = "maintenance"
_IDEMPOTENT = "idempotent"
_OWN_TRACE = "own-trace"
_TRACE_HEADERS = ("Traceparent", "Tracestate", "Baggage")
_EVERYTHING = "PathPrefix(`/`)"
SERVICES = frozenset(
    {
        *(PUBLIC, f"{PUBLIC}-{_IDEMPOTENT}", SPLIT, MAINTENANCE),
        *Colour,
        *(f"{colour}-{CANDIDATE}" for colour in Colour),
    }
)
"""Names of every service that a route may have; others in the folder belong to somebody else."""
HEALTH_SECONDS = 3
"""How long the proxy waits for an answer of the liveness path."""
# What a server answers that knows it cannot serve. Not 502 or 504: a request that killed one release, or
# hangs in it, must not be handed to the other.
_UNAVAILABLE = ["503"]
# Long enough for the health check to fail, and so for the last attempts to go to the fallback.
# A lost host answers no attempt to connect, and none is worth waiting for longer than its health check waits.
_TIMEOUTS = {"idleConnTimeout": "3s", "dialTimeout": f"{HEALTH_SECONDS}s"}
_RETRY = {"attempts": 8, "initialInterval": "200ms"}


@dataclass(frozen=True, slots=True)
class Route:
    """The distribution of requests.

    Attributes:
        servers: Addresses of each running colour, ``http://127.0.0.1:PORT``: one for each of its instances.
        weights: Percent of public traffic per colour; sums to 100, or empty when nothing is live yet.
        fallback: Colour that takes over when every weighted colour fails its health check.
        sticky: Keep a client on its colour by cookie.
        live_paths: Path of each colour's liveness check, as its own release names it. Readiness would remove
            both colours in a cache outage.
        entry_points: The proxy's entry points that requests come in by; ``public`` is the one for users.
        private_paths: Paths that ``public`` does not lead to, with all below them.
        drops_traces: Whether traces that requests bring to ``public`` are taken off them.
    """

    servers: Mapping[Colour, tuple[str, ...]]
    weights: dict[Colour, int]
    fallback: Colour | None
    sticky: bool
    live_paths: dict[Colour, str]
    entry_points: tuple[str, ...] = (PUBLIC,)
    private_paths: tuple[str, ...] = ()
    drops_traces: bool = False

    def __post_init__(self) -> None:
        """Refuse a route that would drop traffic.

        Raises:
            KickoffError: A weight or the fallback names a colour without a server, or weights do not add up.
        """
        missing = [c for c in (*self.weights, self.fallback) if c is not None and c not in self.servers]
        missing += [colour for colour, urls in self.servers.items() if not urls]
        missing += self.servers.keys() - self.live_paths.keys()
        if missing:
            raise KickoffError(f"the route names {missing[0]}, which has no server or no liveness path")
        if any(weight < 0 for weight in self.weights.values()):
            raise KickoffError("the route has a negative weight")
        if self.weights and sum(self.weights.values()) != 100:
            raise KickoffError(f"the route's weights add up to {sum(self.weights.values())}, not 100")


def render(route: Route) -> dict[str, Any]:
    """Return Traefik's dynamic configuration for ``route``.

    Public requests go through two routers. GET and HEAD are tried again while no connection can be made,
    until the server's health check fails; then the fallback answers, as it does at once for a 503. What was
    sent is not sent again when the connection breaks: that request may be what broke it. Other methods are
    never repeated, because they may have had an effect. Once the health check has failed, all go to the
    fallback.
    The candidate entry point reaches each colour by header, which the service does not see, through services
    of its own, because Traefik's service counters do not tell entry points apart.
    """
    services: dict[str, Any] = {}
    routers: dict[str, Any] = {}
    for colour, urls in sorted(route.servers.items()):
        pool: dict[str, Any] = {
            "servers": [{"url": url} for url in urls],
            "passHostHeader": True,
            "serversTransport": "kickoff",
        }
        services[f"{colour}-{CANDIDATE}"] = {"loadBalancer": dict(pool)}
        routers[f"{CANDIDATE}-{colour}"] = {
            "entryPoints": [CANDIDATE],
            "rule": f"Header(`{COLOUR_HEADER}`, `{colour}`)",
            "middlewares": ["like-public"],
            "service": f"{colour}-{CANDIDATE}",
        }
        pool["healthCheck"] = {
            "path": route.live_paths[colour],
            "interval": "1s",
            "timeout": f"{HEALTH_SECONDS}s",
            "followRedirects": False,
        }
        services[str(colour)] = {"loadBalancer": pool}
    public_services, public_routers = _public(route) if route.weights else _maintenance(route)
    http: dict[str, Any] = {
        "middlewares": {
            "retry": {"retry": _RETRY},
            "like-public": {"headers": {"customRequestHeaders": {COLOUR_HEADER: ""}}},
            _OWN_TRACE: {"headers": {"customRequestHeaders": dict.fromkeys(_TRACE_HEADERS, "")}},
        },
        # Shorter than any server's keep-alive, so that a request is never sent down a closing connection.
        "serversTransports": {"kickoff": {"forwardingTimeouts": _TIMEOUTS}},
    }
    return {"http": http | {"services": services | public_services, "routers": routers | public_routers}}


def _public(route: Route) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the services and routers of users' requests."""
    services: dict[str, Any] = {}
    routers: dict[str, Any] = {}
    split: dict[str, Any] = {
        "services": [{"name": str(c), "weight": w} for c, w in sorted(route.weights.items()) if w > 0],
        "healthCheck": {},
    }
    if route.sticky:
        split["sticky"] = {"cookie": {"name": "kickoff_colour", "httpOnly": True, "sameSite": "lax"}}
    services[SPLIT] = {"weighted": split}
    entry = idempotent = SPLIT
    if route.fallback is not None:
        # Without a health check of its own, which only a service above it would need: as a key of a store
        # Traefik refuses one.
        failover = {"service": SPLIT, "fallback": str(route.fallback)}
        entry, idempotent = PUBLIC, f"{PUBLIC}-{_IDEMPOTENT}"
        services[entry] = {"failover": failover}
        services[idempotent] = {"failover": failover | {"errors": {"status": _UNAVAILABLE}}}
    # A router for each: Traefik renames one with several, when any of them has settings of its own.
    for point in route.entry_points:
        private = route.private_paths if point == PUBLIC else ()
        routers[point] = {"entryPoints": [point], "rule": _without(private, _EVERYTHING), "service": entry}
        routers[f"{point}-{_IDEMPOTENT}"] = {
            "entryPoints": [point],
            "rule": _without(private, "Method(`GET`) || Method(`HEAD`)"),
            "priority": 1000,
            "middlewares": ["retry"],
            "service": idempotent,
        }
    if route.drops_traces:
        names = (PUBLIC, f"{PUBLIC}-{_IDEMPOTENT}")
        routers |= {f"{name}-{_OWN_TRACE}": _anew(routers[name]) for name in names}
    return services, routers


def _anew(router: dict[str, Any]) -> dict[str, Any]:
    """Return a router that comes before another for requests which bring a trace, and takes it off.

    The proxy itself traces none of them: it reads the trace before any of its middlewares.
    """
    before = {"priority": router["priority"] + 1} if "priority" in router else {}
    return {
        **router,
        **before,
        "rule": f"({router['rule']}) && HeaderRegexp(`Traceparent`, `.`)",
        "middlewares": [_OWN_TRACE, *router.get("middlewares", ())],
        "observability": {"tracing": False},
    }


def _without(paths: tuple[str, ...], rule: str) -> str:
    """Return a rule without the paths and all below them; Traefik answers 404 for these by itself."""
    escaped = "|".join(re.escape(path.rstrip("/")) for path in paths)
    return f"({rule}) && !PathRegexp(`^({escaped})(/|$)`)" if paths else rule


def _maintenance(route: Route) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the services and routers of users' requests while nothing is live."""
    # Traefik answers 503 for a service without servers: come back later, where 404 would say never. The
    # other field keeps it there where an empty list cannot be written.
    services: dict[str, Any] = {MAINTENANCE: {"loadBalancer": {"servers": [], "passHostHeader": True}}}
    return services, {
        point: {"entryPoints": [point], "rule": _EVERYTHING, "service": MAINTENANCE}
        for point in route.entry_points
    }


def to_yaml(route: Route) -> str:
    """Return the file Traefik reads."""
    return "# Written by Kickoff; changes are overwritten.\n" + yaml.safe_dump(render(route), sort_keys=True)


def weights_in(text: str) -> dict[Colour, int]:
    """Read the weights back from a route file; empty when it routes no public traffic, or is none of ours."""
    try:
        return weights_of(yaml.load(text, yaml.CSafeLoader))
    except yaml.YAMLError:
        return {}


def weights_of(document: Any) -> dict[Colour, int]:  # noqa: ANN401 - anybody may have written it
    """Read the weights back from a rendered route; empty when it gives users nothing, or is none of ours."""
    try:
        split = document["http"]["services"][SPLIT]["weighted"]["services"]
        return {Colour(one["name"]): int(one["weight"]) for one in split}
    except (LookupError, TypeError, ValueError):
        return {}
