"""The shorter way to an operation: same answers as the framework's, and no operation that needs more."""

import json
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Query, Response
from httpx import AsyncClient
from starlette.types import Message, Receive, Scope, Send

from app.api import checks, health, matches, predictions
from app.api.call import CurrentCall, require_key
from app.api.direct import Direct
from app.api.schemas import MatchRequest
from app.main import create_app
from app.settings import Settings
from tests.unit.app.support import serving

MATCH = {"home_team": "Arsenal", "away_team": "Chelsea"}
DIRECT, USUAL = "application/json", "application/json; charset=utf-8"
DIFFERENT = {"id", "created_at", "request_id"}


class Passed:
    """Stands in the framework's place, and counts what comes through."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        self.bodies.append(body)


async def passed_on(direct: Direct, passed: Passed, path: str, *parts: bytes, **headers: str) -> bytes | None:
    """Return the body that went the framework's way; ``None`` when none did."""
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is answered here")

    await direct(scope, receive, send)
    return passed.bodies.pop() if passed.bodies else None


def without_differences(document: Any) -> Any:
    """Return a document without what differs between two equal requests."""
    if isinstance(document, dict):
        return {key: without_differences(value) for key, value in document.items() if key not in DIFFERENT}
    return [without_differences(one) for one in document] if isinstance(document, list) else document


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predictions", json.dumps(MATCH)),
        ("/predictions", json.dumps({**MATCH, "match_id": "m1"})),
        ("/predictions", ' {"home_team": " S\\u00e3o Paulo ", "away_team": "B", "match_id": null}\n'),
        ("/predictions", '{"home_team": "A", "home_team": "C", "away_team": "B"}'),
        ("/predictions", '{"home_team": "\\ud800", "away_team": "B"}'),
        ("/predictions", '{"home_team": NaN, "away_team": "B"}'),
        ("/predictions", json.dumps({**MATCH, "stake": 1})),
        ("/predictions", '{"home_team": "A",'),
        ("/predictions", ""),
        ("/predictions", "[]"),
        ("/predictions", "\ufeff{}"),
        ("/predictions/batch", json.dumps({"matches": [MATCH, {"home_team": "C", "away_team": "D"}]})),
        ("/predictions/batch", json.dumps({"matches": []})),
    ],
)
async def test_both_ways_answer_alike(client: AsyncClient, path: str, body: str) -> None:
    direct, usual = [
        await client.post(path, content=body.encode(), headers={"Content-Type": kind})
        for kind in (DIRECT, USUAL)
    ]
    assert direct.status_code == usual.status_code
    assert direct.headers["content-type"] == usual.headers["content-type"]
    assert without_differences(direct.json()) == without_differences(usual.json())


async def test_both_ways_keep_a_check_apart_and_need_the_key(settings: Callable[..., Settings]) -> None:
    async with serving(create_app(settings(api_key="secret", cors_origins="https://a.example"))) as client:
        for kind in (DIRECT, USUAL):
            headers = {"Content-Type": kind, "Origin": "https://a.example", "X-Kickoff-Check": f"way {kind}"}
            refused = await client.post("/predictions", json=MATCH, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "ApiKey"
            made = await client.post("/predictions", json=MATCH, headers={**headers, "X-API-Key": "secret"})
            assert made.status_code == 201
            assert made.headers["access-control-allow-origin"] == "https://a.example"
            listed = await client.get("/predictions", headers={"X-Kickoff-Check": f"way {kind}"})
            assert listed.json()["items"] == [made.json()]
        assert (await client.get("/predictions")).json()["items"] == []


async def test_both_ways_are_counted_by_route(client: AsyncClient) -> None:
    async def count() -> float:
        text = (await client.get("/metrics")).text
        start = 'http_request_duration_seconds_count{method="POST",route="/predictions",status="201"'
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(start))

    before = await count()
    for kind in (DIRECT, USUAL):
        await client.post("/predictions", json=MATCH, headers={"Content-Type": kind})
    assert await count() == before + 2


async def test_what_is_out_of_the_ordinary_is_passed_on_whole() -> None:
    passed = Passed()
    every = [route for module in (predictions, matches, checks, health) for route in module.router.routes]
    direct = Direct(passed, routes=every, handlers={})
    body = json.dumps(MATCH).encode()
    key = {"content_type": DIRECT, "idempotency_key": "k"}
    assert await passed_on(direct, passed, "/predictions", body, **key) == body
    assert await passed_on(direct, passed, "/predictions", body, content_type=USUAL) == body
    assert await passed_on(direct, passed, "/predictions", body) == body
    assert await passed_on(direct, passed, "/predictions", body[:9], body[9:], content_type=DIRECT) == body
    assert await passed_on(direct, passed, "/predictions", b"{", content_type=DIRECT) == b"{"
    assert await passed_on(direct, passed, "/matches/m1/result", body, content_type=DIRECT) == body


async def test_an_operation_that_needs_more_than_a_document_is_passed_on() -> None:
    router = APIRouter()

    async def other() -> None:
        """Be one more dependency."""

    async def operation(match: MatchRequest, call: CurrentCall) -> Response:
        return Response(f"{match} {call}")

    async def with_query(match: MatchRequest, call: CurrentCall, limit: Annotated[int, Query()]) -> Response:
        return Response(f"{match} {call} {limit}")

    key = Depends(require_key)
    router.post("/plain", dependencies=[key])(operation)
    router.post("/open")(operation)
    router.post("/more", dependencies=[key, Depends(other)])(operation)
    router.post("/query", dependencies=[key])(with_query)

    passed = Passed()
    direct = Direct(passed, routes=router.routes, handlers={})
    body = json.dumps(MATCH).encode()
    for path in ("/open", "/more", "/query"):
        assert await passed_on(direct, passed, path, body, content_type=DIRECT) == body
    with pytest.raises(KeyError, match="app"):
        await passed_on(direct, passed, "/plain", body, content_type=DIRECT)
