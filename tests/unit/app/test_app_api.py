"""The HTTP interface, in this process on SQLite."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient, Response
from prometheus_client import REGISTRY

from app.api.envelope import LARGEST_BODY
from app.api.schemas import LARGEST_BATCH, cursor_of, place_of
from app.main import Service, create_app
from app.settings import Settings
from tests.unit.app.support import RELEASE, serving

MATCH = {"home_team": "Arsenal", "away_team": "Chelsea"}
CHECK = {"X-Kickoff-Check": "unit-test"}


def problem_of(response: Response, status: int) -> dict[str, Any]:
    """Return the problem document, after checking what every problem has."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["request_id"] == response.headers["x-request-id"]
    return found


async def test_health_names_service_and_release(client: AsyncClient) -> None:
    response = await client.get("/health")
    assert response.json() == {
        "status": "ok",
        "service": "football",
        "release": RELEASE,
        "environment": "development",
    }


async def test_liveness_asks_nobody_else(settings: Callable[..., Settings]) -> None:
    async with serving(create_app(settings(database_url="sqlite:////nowhere/at/all.db"))) as client:
        response = await client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_readiness_details_every_dependency(client: AsyncClient) -> None:
    response = await client.get("/health/ready")
    assert response.status_code == 200
    found = response.json()
    assert found["status"] == "ready"
    assert found["checks"]["database"]["status"] == "up"
    assert found["checks"]["database"]["detail"] == "sqlite"
    assert found["checks"]["cache"] == {"status": "up", "detail": "memory", "milliseconds": 0.0}


async def test_without_schema_it_is_alive_but_not_ready(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    app = create_app(settings(database_url=f"sqlite:///{tmp_path / 'empty.db'}"))
    async with serving(app) as client:
        assert (await client.get("/health/live")).status_code == 200
        response = await client.get("/health/ready")
    assert response.status_code == 503
    assert "alembic upgrade head" in response.json()["checks"]["database"]["detail"]


async def test_without_database_it_answers_503(settings: Callable[..., Settings]) -> None:
    app = create_app(settings(database_url="sqlite:////nowhere/at/all.db"))
    async with serving(app) as client:
        ready = await client.get("/health/ready")
        made = await client.post("/predictions", json=MATCH)
    assert ready.json()["checks"]["database"]["status"] == "down"
    assert problem_of(made, 503)["detail"] == "the database is unavailable"
    assert made.headers["retry-after"] == "1"


async def test_a_prediction_sums_to_one_and_is_listed(client: AsyncClient) -> None:
    response = await client.post("/predictions", json=MATCH)
    assert response.status_code == 201
    made = response.json()
    assert math.isclose(sum(made["probabilities"].values()), 1, abs_tol=1e-9)
    assert made["expected_score"] == {"home": 1.5, "away": 1.2}
    assert made["score"] is None
    listed = (await client.get("/predictions")).json()
    assert listed == {"items": [made], "next_cursor": None}


async def test_a_batch_keeps_the_order(client: AsyncClient) -> None:
    pairs = [("A", "B"), ("C", "D"), ("E", "F")]
    body = {"matches": [{"home_team": home, "away_team": away} for home, away in pairs]}
    response = await client.post("/predictions/batch", json=body)
    assert response.status_code == 201
    made = response.json()["predictions"]
    assert [(one["home_team"], one["away_team"]) for one in made] == pairs
    assert len({one["id"] for one in made}) == 3


async def test_a_batch_with_one_wrong_match_stores_nothing(client: AsyncClient) -> None:
    body = {"matches": [MATCH, {"home_team": "Leeds", "away_team": "leeds "}]}
    found = problem_of(await client.post("/predictions/batch", json=body), 422)
    assert found["errors"] == [{"location": "body.matches.1", "message": "a team cannot play against itself"}]
    assert (await client.get("/predictions")).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body.home_team"),
        ({**MATCH, "home_team": ""}, "body.home_team"),
        ({**MATCH, "home_team": "   "}, "body.home_team"),
        ({**MATCH, "home_team": "x" * 65}, "body.home_team"),
        ({**MATCH, "home_team": "a\x00b"}, "body.home_team"),
        ({**MATCH, "home_team": 7}, "body.home_team"),
        ({**MATCH, "match_id": "no spaces"}, "body.match_id"),
        ({**MATCH, "stake": 10}, "body.stake"),
        ({"home_team": "Arsenal", "away_team": " ARSENAL"}, "body"),
    ],
)
async def test_a_wrong_field_is_named(client: AsyncClient, body: dict[str, Any], location: str) -> None:
    found = problem_of(await client.post("/predictions", json=body), 422)
    assert location in [error["location"] for error in found["errors"]]


async def test_broken_json_is_a_problem_too(client: AsyncClient) -> None:
    response = await client.post("/predictions", content=b"{", headers={"Content-Type": "application/json"})
    problem_of(response, 422)


async def test_a_batch_has_a_limit(client: AsyncClient) -> None:
    full = {"matches": [MATCH] * LARGEST_BATCH}
    assert (await client.post("/predictions/batch", json=full)).status_code == 201
    problem_of(await client.post("/predictions/batch", json={"matches": [MATCH] * (LARGEST_BATCH + 1)}), 422)
    problem_of(await client.post("/predictions/batch", json={"matches": []}), 422)


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_has_a_limit_whether_declared_or_not(client: AsyncClient, declared: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (LARGEST_BODY // 2)

    content = b" " * (LARGEST_BODY + 1) if declared else parts()
    response = await client.post(
        "/predictions", content=content, headers={"Content-Type": "application/json"}
    )
    problem_of(response, 413)


async def test_a_result_teaches_and_scores(client: AsyncClient) -> None:
    before = (await client.post("/predictions", json={**MATCH, "match_id": "m1"})).json()
    result = {"home_team": "arsenal", "away_team": "Chelsea", "home_goals": 4, "away_goals": 0}
    response = await client.post("/matches/m1/result", json=result)
    assert response.status_code == 201
    assert response.json()["predictions_scored"] == 1
    assert response.json()["rated"] is True
    after = (await client.post("/predictions", json=MATCH)).json()
    assert after["probabilities"]["home"] > before["probabilities"]["home"]
    assert (before["results_seen"], after["results_seen"]) == (0, 1)
    scored = (await client.get("/predictions", params={"match_id": "m1"})).json()["items"][0]["score"]
    assert scored["outcome"] == "home"
    assert scored["log_loss"] == pytest.approx(-math.log(before["probabilities"]["home"]))
    assert 0 < scored["rps"] < 1


async def test_the_same_result_twice_teaches_once_and_another_is_a_conflict(client: AsyncClient) -> None:
    result = {**MATCH, "home_goals": 1, "away_goals": 0}
    first = await client.post("/matches/m1/result", json=result)
    second = await client.post("/matches/m1/result", json=result)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["created"] is False
    assert second.json()["settled_at"] == first.json()["settled_at"]
    problem_of(await client.post("/matches/m1/result", json={**result, "away_goals": 1}), 409)
    assert (await client.post("/predictions", json=MATCH)).json()["results_seen"] == 1


@pytest.mark.parametrize("change", [{"home_goals": -1}, {"home_goals": 100}, {"away_goals": 1.5}])
async def test_impossible_goals_are_refused(client: AsyncClient, change: dict[str, Any]) -> None:
    result = {**MATCH, "home_goals": 1, "away_goals": 0, **change}
    problem_of(await client.post("/matches/m1/result", json=result), 422)


async def test_checks_of_the_pipeline_leave_no_trace_in_the_business(client: AsyncClient) -> None:
    before = business_metrics((await client.get("/metrics")).text)
    made = await client.post("/predictions", json={**MATCH, "match_id": "m1"}, headers=CHECK)
    result = {**MATCH, "home_goals": 9, "away_goals": 0}
    settled = await client.post("/matches/m1/result", json=result, headers=CHECK)
    assert made.status_code == settled.status_code == 201
    assert settled.json()["rated"] is False
    assert settled.json()["predictions_scored"] == 1
    assert (await client.get("/predictions")).json()["items"] == []
    assert len((await client.get("/predictions", headers=CHECK)).json()["items"]) == 1
    assert (await client.post("/predictions", json=MATCH, headers=CHECK)).json()["results_seen"] == 0
    assert business_metrics((await client.get("/metrics")).text) == before
    # The real match of that name is still to come.
    assert (await client.post("/matches/m1/result", json={**result, "home_goals": 0})).status_code == 201


def business_metrics(text: str) -> list[str]:
    """Return the lines that count predictions and how they fared."""
    names = ("predictions_made_total", "predictions_settled_total", "prediction_log_loss_count")
    return [line for line in text.splitlines() if line.startswith(names)]


async def test_pages_follow_each_other_while_rows_arrive(client: AsyncClient) -> None:
    for number in range(5):
        await client.post("/predictions", json={**MATCH, "match_id": f"m{number}"})
    first = (await client.get("/predictions", params={"limit": 2})).json()
    await client.post("/predictions", json={**MATCH, "match_id": "late"})
    second = (await client.get("/predictions", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    third = (await client.get("/predictions", params={"limit": 2, "cursor": second["next_cursor"]})).json()
    seen = [item["match_id"] for page in (first, second, third) for item in page["items"]]
    assert seen == ["m4", "m3", "m2", "m1", "m0"]
    assert third["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=%00", "cursor=p", "cursor=p01", "cursor=1", "match_id=a%20b"],
)
async def test_a_wrong_query_is_refused(client: AsyncClient, query: str) -> None:
    problem_of(await client.get(f"/predictions?{query}"), 422)


@pytest.mark.parametrize("place", [0, 1, 10**17])
def test_a_cursor_leads_back(place: int) -> None:
    assert place_of(cursor_of(place)) == place


async def test_a_key_makes_a_request_happen_once(client: AsyncClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await client.post("/predictions", json=MATCH, headers=headers)
    again = await client.post("/predictions", json=MATCH, headers=headers)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len((await client.get("/predictions")).json()["items"]) == 1


async def test_a_key_belongs_to_one_request(client: AsyncClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    await client.post("/predictions", json=MATCH, headers=headers)
    other = {"home_team": "Leeds", "away_team": "Everton"}
    problem_of(await client.post("/predictions", json=other, headers=headers), 422)
    # Another path, and another tenant, have keys of their own.
    assert (
        await client.post("/predictions/batch", json={"matches": [MATCH]}, headers=headers)
    ).status_code == 201
    made = await client.post("/predictions", json=other, headers={**headers, **CHECK})
    assert made.status_code == 201


async def test_a_refused_request_does_not_use_up_its_key(client: AsyncClient) -> None:
    result = {**MATCH, "home_goals": 1, "away_goals": 0}
    await client.post("/matches/m1/result", json=result)
    headers = {"Idempotency-Key": "k-1"}
    changed = {**result, "home_goals": 2}
    problem_of(await client.post("/matches/m1/result", json=changed, headers=headers), 409)
    assert (await client.post("/matches/m1/result", json=result, headers=headers)).status_code == 200


async def test_parallel_requests_with_one_key_store_one_row(client: AsyncClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(
        *(client.post("/predictions", json=MATCH, headers=headers) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get("/predictions")).json()["items"]) == 1


@pytest.mark.parametrize("key", ["", "with space", "ä", "x" * 129])
async def test_a_malformed_idempotency_key_is_refused(client: AsyncClient, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    problem_of(await client.post("/predictions", json=MATCH, headers=headers), 422)


@pytest.fixture
def guarded(settings: Callable[..., Settings]) -> Service:
    return create_app(settings(api_key="0123456789abcdef"))


@pytest.mark.parametrize("given", [None, "", "0123456789abcde", "0123456789abcdefg", "Ünïcode"])
async def test_writes_need_the_key(guarded: Service, given: str | None) -> None:
    headers = {b"X-Kickoff-Check": b"unit-test"}
    if given is not None:
        headers[b"X-API-Key"] = given.encode()
    result = {**MATCH, "home_goals": 1, "away_goals": 0}
    async with serving(guarded) as client:
        for path, body in {
            "/predictions": MATCH,
            "/predictions/batch": {"matches": [MATCH]},
            "/matches/m1/result": result,
        }.items():
            response = await client.post(path, json=body, headers=headers)
            problem_of(response, 401)
            assert response.headers["www-authenticate"] == "ApiKey"
        problem_of(await client.delete("/checks", headers=headers), 401)
        assert (await client.get("/predictions")).json()["items"] == []


async def test_the_right_key_opens_writes(guarded: Service) -> None:
    async with serving(guarded) as client:
        headers = {"X-API-Key": "0123456789abcdef"}
        assert (await client.post("/predictions", json=MATCH, headers=headers)).status_code == 201


async def test_a_second_key_opens_writes_while_callers_change_over(settings: Callable[..., Settings]) -> None:
    app = create_app(settings(api_key="0123456789abcdef", api_key_next="fedcba9876543210"))

    def counted() -> list[float]:
        found = [REGISTRY.get_sample_value("api_key_uses_total", {"key": key}) for key in ("now", "next")]
        return [value or 0 for value in found]

    before = counted()
    async with serving(app) as client:
        for key, status in {
            "0123456789abcdef": 201,
            "fedcba9876543210": 201,
            "0123456789ABCDEF": 401,
        }.items():
            headers = {"X-API-Key": key}
            assert (await client.post("/predictions", json=MATCH, headers=headers)).status_code == status
        await client.post("/predictions", json=MATCH, headers={**headers, "X-Kickoff-Check": "unit-test"})
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1]


async def test_a_second_key_alone_guards_nothing(settings: Callable[..., Settings]) -> None:
    async with serving(create_app(settings(api_key_next="fedcba9876543210"))) as client:
        assert (await client.post("/predictions", json=MATCH)).status_code == 201


async def test_every_response_has_a_request_id_and_every_error_is_a_problem(app: Service) -> None:
    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("on purpose")

    async with serving(app) as client:
        for method, path, status in [
            ("GET", "/health", 200),
            ("GET", "/metrics", 200),
            ("GET", "/openapi.json", 200),
            ("GET", "/nowhere", 404),
            ("GET", "/predictions/", 404),
            ("DELETE", "/predictions", 405),
            ("POST", "/predictions", 422),
            ("GET", "/broken", 500),
        ]:
            response = await client.request(method, path)
            assert (path, response.status_code) == (path, status)
            assert response.headers["x-request-id"]
            if status >= 400:
                problem_of(response, status)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/predictions", "GET, POST"),
        ("/predictions/batch", "POST"),
        ("/matches/m1/result", "POST"),
        ("/checks", "DELETE"),
        ("/health", "GET"),
        ("/openapi.json", "GET, HEAD"),
    ],
)
async def test_what_is_allowed_is_told(client: AsyncClient, path: str, allowed: str) -> None:
    response = await client.put(path)
    problem_of(response, 405)
    assert response.headers["allow"] == allowed


async def test_a_mistake_of_ours_tells_nothing_of_the_inside(app: Service) -> None:
    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret detail")

    async with serving(app) as client:
        response = await client.get("/broken")
    assert problem_of(response, 500)["detail"] == "the service made a mistake"
    assert "secret" not in response.text


async def test_a_slow_request_ends_with_504(settings: Callable[..., Settings]) -> None:
    app = create_app(settings(request_timeout=0.05))
    cancelled = asyncio.Event()

    @app.get("/slow")
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with serving(app) as client:
        problem_of(await client.get("/slow"), 504)
    assert cancelled.is_set()


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("two words", False), ("x" * 65, False)])
async def test_request_ids_are_kept_when_they_are_harmless(
    client: AsyncClient, given: str, kept: bool
) -> None:
    response = await client.get("/health", headers={"X-Request-ID": given})
    assert (response.headers["x-request-id"] == given) is kept


async def test_metrics_count_by_route_template_and_traffic(client: AsyncClient) -> None:
    result = {**MATCH, "home_goals": 1, "away_goals": 0}
    await client.post("/matches/some-match/result", json=result, headers=CHECK)
    await client.get("/wp-admin.php")
    text = (await client.get("/metrics")).text
    assert (
        'http_request_duration_seconds_count{method="POST",route="/matches/{match_id}/result",'
        'status="201",traffic="synthetic"}' in text
    )
    assert 'route="unmatched"' in text
    assert "some-match" not in text
    assert "wp-admin" not in text
    assert f'app_release_info{{release="{RELEASE}"}} 1.0' in text


async def test_requests_in_flight_are_counted_without_health_and_metrics(app: Service) -> None:
    arrived, leave = asyncio.Event(), asyncio.Event()

    @app.get("/waiting")
    async def waiting() -> None:
        arrived.set()
        await leave.wait()

    async with serving(app) as client:
        request = asyncio.create_task(client.get("/waiting"))
        await arrived.wait()
        assert "\nhttp_requests_in_flight 1.0\n" in (await client.get("/metrics")).text
        leave.set()
        await request
        assert "\nhttp_requests_in_flight 0.0\n" in (await client.get("/metrics")).text


async def test_only_known_origins_may_call_from_a_browser(settings: Callable[..., Settings]) -> None:
    app = create_app(settings(cors_origins="https://football.example"))
    preflight = {"Access-Control-Request-Method": "POST"}
    async with serving(app) as client:
        known = await client.options(
            "/predictions", headers={**preflight, "Origin": "https://football.example"}
        )
        unknown = await client.options(
            "/predictions", headers={**preflight, "Origin": "https://evil.example"}
        )
    assert known.headers["access-control-allow-origin"] == "https://football.example"
    assert "access-control-allow-origin" not in unknown.headers
    assert known.headers["x-request-id"] != unknown.headers["x-request-id"]


async def test_the_document_describes_every_operation_with_its_errors(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/predictions",
        "/predictions/batch",
        "/matches/{match_id}/result",
        "/checks",
    }
    for path in ("/predictions", "/predictions/batch", "/matches/{match_id}/result"):
        responses = document["paths"][path]["post"]["responses"]
        assert {"201", "401", "413", "422", "503"} <= set(responses)
        assert list(responses["422"]["content"]) == ["application/problem+json"]
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_while_draining_it_hangs_up_and_is_not_ready(app: Service) -> None:
    stopped = asyncio.Event()
    async with serving(app) as client:
        app.state.drain.begin(stopped.set)
        ready = await client.get("/health/ready")
        made = await client.post("/predictions", json=MATCH)
        live = await client.get("/health/live")
        await asyncio.wait_for(stopped.wait(), 10)
    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert made.status_code == 201
    assert live.status_code == 200
    assert {one.headers["connection"] for one in (ready, made, live)} == {"close"}
