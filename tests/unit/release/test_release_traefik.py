"""Reading Traefik back: its API and its metrics."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route, render
from kickoff.release.routers import Traffic, traefik
from kickoff.release.routers.edges import difference, parse_metrics
from kickoff.release.routers.traefik import Proxy, provider, static_configuration

INF = math.inf
WANTED = render(
    Route(
        {Colour.BLUE: ("http://127.0.0.1:9001",), Colour.GREEN: ("http://127.0.0.1:9002",)},
        {Colour.BLUE: 75, Colour.GREEN: 25},
        Colour.BLUE,
        False,
        dict.fromkeys(Colour, "/health/live"),
    )
)


def reported() -> dict[str, Any]:
    """What Traefik's API says when it has taken ``WANTED`` over."""
    http = copy.deepcopy(WANTED["http"])
    routers = {f"{name}@file": router | {"status": "enabled"} for name, router in http["routers"].items()}
    services = {f"{name}@file": service for name, service in http["services"].items()}
    return {
        "routers": routers | {"ping@internal": {"status": "enabled"}},
        "services": services | {"api@internal": {"status": "enabled"}},
    }


def test_agreement_is_the_empty_text() -> None:
    assert difference(WANTED, reported(), "file") == ""


def lose_a_service(raw: dict[str, Any]) -> None:
    del raw["services"]["green@file"]


def other_weights(raw: dict[str, Any]) -> None:
    raw["services"]["split@file"]["weighted"]["services"][0]["weight"] = 74


def other_server(raw: dict[str, Any]) -> None:
    raw["services"]["blue@file"]["loadBalancer"]["servers"] = [{"url": "http://127.0.0.1:1"}]


def other_fallback(raw: dict[str, Any]) -> None:
    raw["services"]["public@file"]["failover"]["fallback"] = "green"


def other_kind(raw: dict[str, Any]) -> None:
    raw["services"]["split@file"] = {"loadBalancer": {"servers": []}}


def router_with_an_error(raw: dict[str, Any]) -> None:
    raw["routers"]["public@file"]["status"] = "disabled"


def lose_a_router(raw: dict[str, Any]) -> None:
    del raw["routers"]["public-idempotent@file"]


def know_nothing(raw: dict[str, Any]) -> None:
    raw["services"] = None
    raw["routers"] = None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lose_a_service, "service green is unknown to it"),
        (other_weights, "service split has weights {'blue': 74, 'green': 25}"),
        (other_server, "service blue points to ['http://127.0.0.1:1']"),
        (other_fallback, "service public falls back to green"),
        (other_kind, "service split has weights {}"),
        (router_with_an_error, "router public is not enabled"),
        (lose_a_router, "router public-idempotent is not enabled"),
        (know_nothing, "is unknown to it"),
    ],
)
def test_each_difference_is_named(change: Callable[[dict[str, Any]], None], text: str) -> None:
    raw = reported()
    change(raw)
    assert text in difference(WANTED, raw, "file")


def test_what_is_left_of_an_older_route_is_a_difference_and_what_others_made_is_none() -> None:
    alone = Route(
        {Colour.BLUE: ("http://127.0.0.1:9001",)},
        {Colour.BLUE: 100},
        None,
        sticky=False,
        live_paths={Colour.BLUE: "/health/live"},
    )
    raw = reported()
    raw["services"]["split@file"]["weighted"]["services"] = [{"name": "blue", "weight": 100}]
    raw["services"]["grafana@file"] = {"loadBalancer": {"servers": []}}
    assert difference(render(alone), raw, "file") == "service green should be gone"
    del raw["services"]["green@file"], raw["services"]["green-candidate@file"]
    del raw["services"]["public@file"], raw["services"]["public-idempotent@file"]
    assert difference(render(alone), raw, "file") == ""


METRICS = """\
# HELP traefik_service_request_duration_seconds How long it took to process the request on a service.
# TYPE traefik_service_request_duration_seconds histogram
traefik_service_request_duration_seconds_bucket{code="200",method="GET",protocol="http",service="blue@file",le="0.1"} 90
traefik_service_request_duration_seconds_bucket{code="200",method="GET",protocol="http",service="blue@file",le="1"} 99
traefik_service_request_duration_seconds_bucket{code="200",method="GET",protocol="http",service="blue@file",le="+Inf"} 100
traefik_service_request_duration_seconds_sum{code="200",method="GET",protocol="http",service="blue@file"} 4.2
traefik_service_request_duration_seconds_count{code="200",method="GET",protocol="http",service="blue@file"} 100
traefik_service_request_duration_seconds_bucket{code="502",method="GET",protocol="http",service="blue@file",le="0.1"} 5
traefik_service_request_duration_seconds_bucket{code="502",method="GET",protocol="http",service="blue@file",le="1"} 5
traefik_service_request_duration_seconds_bucket{code="502",method="GET",protocol="http",service="blue@file",le="+Inf"} 5
# HELP traefik_service_requests_total How many HTTP requests processed on a service.
# TYPE traefik_service_requests_total counter
traefik_service_requests_total{code="200",method="GET",protocol="http",service="blue@file"} 60
traefik_service_requests_total{code="200",method="POST",protocol="http",service="blue@file"} 40
traefik_service_requests_total{code="502",method="GET",protocol="http",service="blue@file"} 5
traefik_service_requests_total{code="200",method="EXT\\"ENSION",protocol="http",service="green@file"} 1.2e+06
traefik_entrypoint_requests_total{code="200",entrypoint="public",method="GET",protocol="http"} 999
traefik_service_server_up{service="blue@file",url="http://127.0.0.1:9001"} 1
go_goroutines 55
"""


def test_counters_are_summed_by_service() -> None:
    found = parse_metrics(METRICS)
    assert set(found) == {"blue", "green"}
    blue = found["blue"]
    assert blue.codes == {200: 100, 502: 5}
    assert blue.buckets == {0.1: 95, 1.0: 104, INF: 105}
    assert (blue.requests, blue.timed, blue.errors) == (105, 105, 5)
    assert found["green"].requests == 1_200_000
    assert found["green"].timed == 0, "a counter without a histogram says nothing of durations"


def test_no_metrics_are_no_traffic() -> None:
    assert parse_metrics("") == {}
    assert Traffic().requests == Traffic().errors == 0


BUCKETS = {0.1: 50, 0.5: 90, 1.0: 99, INF: 100}


@pytest.mark.parametrize(
    ("q", "bound"), [(0.01, 0.1), (0.5, 0.1), (0.51, 0.5), (0.9, 0.5), (0.95, 1.0), (0.99, 1.0), (1.0, INF)]
)
def test_a_quantile_is_the_boundary_at_or_above_it(q: float, bound: float) -> None:
    assert Traffic({200: 100}, BUCKETS).quantile(q) == bound


def test_a_quantile_of_nothing_is_no_number() -> None:
    assert math.isnan(Traffic().quantile(0.5))


@pytest.mark.parametrize(
    ("seconds", "slow"), [(0.05, 50), (0.1, 50), (0.2, 10), (0.5, 10), (1.0, 1), (2.0, 0), (INF, 0)]
)
def test_slower_than_counts_beyond_the_next_boundary(seconds: float, slow: int) -> None:
    assert Traffic({200: 100}, BUCKETS).slower_than(seconds) == slow


def test_nothing_is_slower_without_requests() -> None:
    assert Traffic().slower_than(1) == 0


def test_since_subtracts() -> None:
    later = Traffic({200: 120, 500: 3}, {0.1: 60, INF: 123})
    assert later.since(Traffic({200: 100}, {0.1: 50, INF: 100})) == Traffic(
        {200: 20, 500: 3}, {0.1: 10, INF: 23}
    )
    assert later.since(Traffic()) == later


@pytest.mark.parametrize(
    "earlier",
    [
        Traffic({200: 100}, {0.1: 50, INF: 100}),
        Traffic({404: 2}, {0.1: 1, INF: 2}),  # fewer requests than now, but a code that fell
        Traffic({200: 10}, {0.1: 9, INF: 10}),  # a bucket that fell
    ],
)
def test_after_a_restart_of_the_proxy_counting_starts_again(earlier: Traffic) -> None:
    later = Traffic({200: 30}, {0.1: 5, INF: 30})
    assert later.since(earlier) == later


def test_the_slow_limit_is_a_bucket_boundary_and_every_address_is_loopback(tmp_path: Path) -> None:
    text = static_configuration(provider(tmp_path), public=1, candidate=2, admin=3, slow_seconds=0.777)
    document = yaml.safe_load(text)
    buckets = document["metrics"]["prometheus"]["buckets"]
    assert 0.777 in buckets
    assert buckets == sorted(set(buckets))
    addresses = {entry["address"] for entry in document["entryPoints"].values()}
    assert addresses == {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
    assert document["providers"]["file"]["directory"] == str(tmp_path / "traefik" / "dynamic")


def test_a_proxy_that_does_not_answer_is_unreachable_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traefik, "APPLY_SECONDS", 0.05)
    proxy = Proxy("http://127.0.0.1:9", tmp_path)  # the discard port: nothing listens there
    with pytest.raises(KickoffError, match="metrics cannot be read") as caught:
        proxy.metrics()
    assert caught.value.code is ExitCode.UNREACHABLE
    empty = Route({}, {}, None, False, {})
    with pytest.raises(KickoffError, match="previous one was restored") as caught:
        proxy.apply(empty)
    assert caught.value.code is ExitCode.UNREACHABLE
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "route.yml").write_text("http: {}\n")
    with pytest.raises(KickoffError):
        proxy.apply(empty)
    assert (tmp_path / "route.yml").read_text() == "http: {}\n"
    assert proxy.weights() == {}
