"""The route: what is refused, and that it survives rendering."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kickoff.errors import KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route, render, to_yaml, weights_in

SERVERS: dict[Colour, tuple[str, ...]] = {
    Colour.BLUE: ("http://127.0.0.1:9001",),
    Colour.GREEN: ("http://127.0.0.1:9002",),
}


def route(
    weights: dict[Colour, int],
    servers: Mapping[Colour, tuple[str, ...]] | None = None,
    fallback: Colour | None = None,
    *,
    sticky: bool = False,
) -> Route:
    served = SERVERS if servers is None else servers
    return Route(served, weights, fallback, sticky, dict.fromkeys(served, "/health/live"))


def references(node: dict[str, Any]) -> set[str]:
    """Every service a document refers to."""
    found: set[str] = set()
    for router in node["http"].get("routers", {}).values():
        found.add(router["service"])
    for service in node["http"].get("services", {}).values():
        found |= {entry["name"] for entry in service.get("weighted", {}).get("services", [])}
        found |= {service["failover"][key] for key in ("service", "fallback") if "failover" in service}
    return found


@pytest.mark.parametrize(
    ("weights", "total"),
    [({Colour.BLUE: 99}, 99), ({Colour.BLUE: 60, Colour.GREEN: 60}, 120), ({Colour.BLUE: 0}, 0)],
)
def test_weights_that_do_not_add_up_are_refused(weights: dict[Colour, int], total: int) -> None:
    with pytest.raises(KickoffError, match=f"add up to {total}, not 100"):
        route(weights)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(KickoffError, match="negative"):
        route({Colour.BLUE: 150, Colour.GREEN: -50})


def test_a_weight_or_fallback_without_a_server_is_refused() -> None:
    blue = {Colour.BLUE: SERVERS[Colour.BLUE]}
    with pytest.raises(KickoffError, match="green, which has no server"):
        route({Colour.BLUE: 95, Colour.GREEN: 5}, blue)
    with pytest.raises(KickoffError, match="green, which has no server"):
        route({Colour.BLUE: 100}, blue, Colour.GREEN)


def test_without_a_live_release_users_are_told_to_come_back_later() -> None:
    document = render(route({}, {}))
    assert document["http"]["services"] == {
        "maintenance": {"loadBalancer": {"servers": [], "passHostHeader": True}}
    }
    assert [router["service"] for router in document["http"]["routers"].values()] == ["maintenance"]
    assert weights_in(yaml.safe_dump(document)) == {}


def test_servers_without_weights_are_reached_privately_only() -> None:
    document = render(route({}))
    reached = {router["service"]: router["entryPoints"] for router in document["http"]["routers"].values()}
    assert reached.pop("maintenance") == ["public"]
    assert set(map(tuple, reached.values())) == {("candidate",)}


@settings(deadline=None)
@given(
    percent=st.integers(0, 100),
    fallback=st.sampled_from([None, *Colour]),
    sticky=st.booleans(),
    ports=st.lists(
        st.lists(st.integers(1, 65535), min_size=1, max_size=5, unique=True), min_size=2, max_size=2
    ),
)
def test_weights_survive_rendering_and_every_reference_exists(
    percent: int, fallback: Colour | None, sticky: bool, ports: list[list[int]]
) -> None:
    servers = {
        colour: tuple(f"http://127.0.0.1:{port}" for port in own)
        for colour, own in zip(Colour, ports, strict=True)
    }
    weights = {Colour.BLUE: percent, Colour.GREEN: 100 - percent}
    wanted = route(weights, servers, fallback, sticky=sticky)
    document = yaml.safe_load(to_yaml(wanted))
    assert document == render(wanted)
    assert weights_in(to_yaml(wanted)) == {colour: weight for colour, weight in weights.items() if weight}
    assert references(document) <= set(document["http"]["services"])
    for colour, urls in servers.items():
        found = document["http"]["services"][str(colour)]["loadBalancer"]["servers"]
        assert found == [{"url": url} for url in urls]


def test_sticky_sets_a_cookie_and_otherwise_none() -> None:
    weights = {Colour.BLUE: 100}
    assert "sticky" in render(route(weights, sticky=True))["http"]["services"]["split"]["weighted"]
    assert "sticky" not in render(route(weights))["http"]["services"]["split"]["weighted"]


def test_only_reads_are_answered_by_the_fallback_before_the_health_check_fails() -> None:
    document = render(route({Colour.GREEN: 100}, fallback=Colour.BLUE))["http"]
    by_rule = {
        router["rule"]: document["services"][router["service"]] for router in document["routers"].values()
    }
    assert "errors" not in by_rule["PathPrefix(`/`)"]["failover"]
    assert by_rule["Method(`GET`) || Method(`HEAD`)"]["failover"]["errors"] == {"status": ["503"]}


def test_the_service_does_not_see_which_way_a_check_came() -> None:
    document = render(route({Colour.BLUE: 100}))["http"]
    private = [r for r in document["routers"].values() if r["entryPoints"] == ["candidate"]]
    assert [router["middlewares"] for router in private] == [["like-public"]] * 2
    assert document["middlewares"]["like-public"] == {
        "headers": {"customRequestHeaders": {"X-Kickoff-Colour": ""}}
    }


def test_only_reads_are_retried() -> None:
    routers = render(route({Colour.BLUE: 100}))["http"]["routers"]
    retried = {name for name, router in routers.items() if "retry" in router.get("middlewares", [])}
    assert {routers[name]["rule"] for name in retried} == {"Method(`GET`) || Method(`HEAD`)"}


def test_each_colour_is_asked_for_the_health_path_of_its_own_release() -> None:
    route = Route(SERVERS, {Colour.BLUE: 100}, None, False, {Colour.BLUE: "/old", Colour.GREEN: "/new"})
    services = render(route)["http"]["services"]
    paths = {colour: services[colour]["loadBalancer"]["healthCheck"]["path"] for colour in ("blue", "green")}
    assert paths == {"blue": "/old", "green": "/new"}
    with pytest.raises(KickoffError, match="no liveness path"):
        Route(SERVERS, {Colour.BLUE: 100}, None, False, {Colour.BLUE: "/old"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "http: 1",
        "http: {services: []}",
        "\x00",
        to_yaml(route({Colour.BLUE: 100}, {Colour.BLUE: SERVERS[Colour.BLUE]})).replace("blue", "azure"),
    ],
)
def test_a_file_that_is_none_of_ours_routes_nobody(text: str) -> None:
    assert weights_in(text) == {}


def test_private_paths_are_left_out_of_the_public_entry_point_alone() -> None:
    wanted = replace(
        route({Colour.BLUE: 100}), entry_points=("public", "local"), private_paths=("/metrics", "/a.b/")
    )
    rules = {name: router["rule"] for name, router in render(wanted)["http"]["routers"].items()}
    left_out = r" && !PathRegexp(`^(/metrics|/a\.b)(/|$)`)"
    assert rules["public"] == "(PathPrefix(`/`))" + left_out
    assert rules["public-idempotent"] == "(Method(`GET`) || Method(`HEAD`))" + left_out
    assert rules["local"] == "PathPrefix(`/`)"
    assert not any("PathRegexp" in rule for name, rule in rules.items() if not name.startswith("public"))


def test_a_trace_from_outside_is_taken_off_before_the_private_paths_and_retries_are_lost() -> None:
    plain = replace(route({Colour.BLUE: 100}), entry_points=("public", "local"), private_paths=("/metrics",))
    routers = render(replace(plain, drops_traces=True))["http"]["routers"]
    added = {name: routers.pop(name) for name in ("public-own-trace", "public-idempotent-own-trace")}
    assert routers == render(plain)["http"]["routers"], "others stay as they are"
    for name, router in added.items():
        behind = routers[name.removesuffix("-own-trace")]
        assert router["rule"] == f"({behind['rule']}) && HeaderRegexp(`Traceparent`, `.`)"
        assert router["service"] == behind["service"]
        assert router["middlewares"] == ["own-trace", *behind.get("middlewares", ())]
        assert router["observability"] == {"tracing": False}
        # Without one, the longer rule comes first.
        assert router.get("priority", len(router["rule"])) > behind.get("priority", len(behind["rule"]))
    assert (
        added["public-own-trace"].get("priority", 0) < 1000 < added["public-idempotent-own-trace"]["priority"]
    )
