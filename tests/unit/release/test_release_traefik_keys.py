"""A route as keys of a store: what Traefik reads is what the file says, and nothing is read as something else."""

from typing import Any

import pytest

from kickoff.errors import KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route, render, weights_of
from kickoff.release.routers.traefik_keys import from_keys, to_keys

BLUE, GREEN = Colour.BLUE, Colour.GREEN
SERVERS = {BLUE: ("http://127.0.0.1:9001",), GREEN: ("http://127.0.0.1:9002",)}
LIVE = dict.fromkeys(Colour, "/live")
ROUTES = [
    Route({}, {}, None, False, {}),
    Route({BLUE: SERVERS[BLUE]}, {BLUE: 100}, None, False, LIVE),
    Route(SERVERS, {BLUE: 95, GREEN: 5}, None, True, LIVE, private_paths=("/metrics", "/docs")),
    Route(SERVERS, {GREEN: 100}, BLUE, True, LIVE, ("public", "websecure")),
    Route(
        SERVERS, {BLUE: 5, GREEN: 95}, BLUE, True, LIVE, ("public", "local"), ("/metrics",), drops_traces=True
    ),
]


def as_text(value: Any) -> Any:
    """The document as keys can say it: every value is text, and an empty list or object has no fields."""
    if isinstance(value, dict):
        return {n: as_text(one) for n, one in value.items() if one != []} if value else "true"
    if isinstance(value, list | tuple):
        return [as_text(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("route", ROUTES)
def test_keys_say_what_the_file_says(route: Route) -> None:
    keys = to_keys(render(route))
    assert from_keys(keys) == as_text(render(route))
    assert weights_of(from_keys(keys)) == route.weights
    assert all(key.startswith("http/") and not key.endswith("/") for key in keys)


def test_any_two_routes_change_in_one_transaction_of_etcd() -> None:
    names = [set(to_keys(render(route))) for route in ROUTES]
    assert max(len(one | other) for one in names for other in names) + 1 <= 128


def test_lists_of_more_than_ten_keep_their_order_as_text() -> None:
    points = [f"p{number}" for number in range(12)]
    keys = to_keys({"http": {"entryPoints": points}})
    assert [keys[key] for key in sorted(keys)] == points
    assert from_keys(keys) == {"http": {"entryPoints": points}}


@pytest.mark.parametrize(
    "document",
    [
        {"http": {"services": {"Blue": {"x": 1}}}},
        {"http": {"services": {"1": {"x": 1}}}},
        {"http": {"routers": {"a/b": {"x": 1}}}},
        {"http": {"middlewares": {"": {"x": 1}}}},
        {"http": {"routers": {"a": {"0": 1}}}},
        {"/http": {"routers": {}}},
    ],
)
def test_a_name_that_would_be_read_as_something_else_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(KickoffError, match="cannot be a name"):
        to_keys(document)


@pytest.mark.parametrize(
    "keys", [{}, {"http": "x", "http/services": "y"}, {"a/b": "1", "a/b/c": "2"}, {"/": ""}]
)
def test_keys_that_somebody_else_wrote_are_no_route(keys: dict[str, str]) -> None:
    assert weights_of(from_keys(keys)) == {}
