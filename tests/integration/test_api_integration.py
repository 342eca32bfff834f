"""The HTTP interface through a real server process, on PostgreSQL and Redis.

Tests that ask for ``api`` run against any address too: see ``--base-url`` in ``conftest.py``.
"""

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import psutil
import pytest
from httpx import AsyncClient, Limits, Response

from tests.integration.support import (
    CHECK,
    MARKER,
    MATCH,
    Deployed,
    eventually,
    history,
    results_seen,
)
from tests.unit.app.support import ServerProcess

RESULT = {**MATCH, "home_goals": 2, "away_goals": 1}


def problem_of(response: Response, status: int) -> dict[str, Any]:
    """Return the problem document, after checking what every problem has."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    return found


async def test_it_says_who_answers(api: AsyncClient) -> None:
    response = await api.get("/health")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found = response.json()
    assert found.pop("environment")
    assert found == {"status": "ok", "service": "football", "release": response.headers["x-release"]}


async def test_it_is_alive(api: AsyncClient) -> None:
    response = await api.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_it_is_ready_on_postgresql_and_redis(client: AsyncClient) -> None:
    response = await client.get("/health/ready")
    assert response.status_code == 200
    found = response.json()
    assert found["status"] == "ready"
    assert found["checks"]["database"]["detail"] == "postgresql"
    assert found["checks"]["cache"]["detail"] == "memory+redis"
    assert all(check["milliseconds"] > 0 for check in found["checks"].values())


async def test_it_is_ready_and_tells_of_each_dependency(api: AsyncClient) -> None:
    response = await api.get("/health/ready")
    assert response.status_code == 200
    found = response.json()
    assert found["status"] in {"ready", "degraded"}
    assert found["release"] == response.headers["x-release"]
    assert found["checks"]["database"]["status"] == "up"
    assert {"database", "cache"} <= set(found["checks"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/health/live", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/predictions", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/predictions", 405),
        ("POST", "/predictions", 422),
    ],
)
async def test_every_response_names_the_release_once(
    api: AsyncClient, method: str, path: str, status: int
) -> None:
    """The client looks at the header of every response."""
    assert (await api.request(method, path)).status_code == status


async def test_a_prediction_is_stored_as_it_was_answered(api: AsyncClient) -> None:
    response = await api.post("/predictions", json={**MATCH, "match_id": "m1"})
    assert response.status_code == 201
    made = response.json()
    assert math.isclose(sum(made["probabilities"].values()), 1, abs_tol=1e-9)
    assert await history(api) == [made]


@pytest.mark.parametrize(
    "name", ["1. FC Köln", "Ħamrun Spartans", "横浜F・マリノス", "Ⅻ 🏟", "O'Brien; --", "ß" * 64]
)
async def test_names_of_all_scripts_survive(client: AsyncClient, name: str) -> None:
    result = {"home_team": name, "away_team": "Chelsea", "home_goals": 3, "away_goals": 0}
    assert (await client.post("/matches/m1/result", json=result)).status_code == 201
    made = (await client.post("/predictions", json={"home_team": name, "away_team": "Leeds"})).json()
    assert made["home_team"] == name
    assert made["expected_score"]["home"] > 1.5
    assert (await history(client))[0]["home_team"] == name


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"home_team": "Arsenal"},
        {**MATCH, "home_team": "a\x00b"},
        {**MATCH, "home_team": None},
        {**MATCH, "match_id": "../etc"},
        {"home_team": "Leeds", "away_team": " LEEDS "},
    ],
)
async def test_a_wrong_match_is_refused_and_not_stored(api: AsyncClient, body: object) -> None:
    found = problem_of(await api.post("/predictions", json=body), 422)
    assert found["errors"]
    assert await history(api) == []


async def test_half_a_surrogate_is_refused(api: AsyncClient) -> None:
    body = b'{"home_team": "\\ud800", "away_team": "Chelsea"}'
    response = await api.post("/predictions", content=body, headers={"Content-Type": "application/json"})
    problem_of(response, 422)


async def test_a_full_batch_is_stored_in_order(api: AsyncClient) -> None:
    body = {"matches": [{"home_team": f"H{n}", "away_team": f"A{n}"} for n in range(100)]}
    response = await api.post("/predictions/batch", json=body)
    assert response.status_code == 201
    made = response.json()["predictions"]
    assert [one["home_team"] for one in made] == [f"H{n}" for n in range(100)]
    assert list(reversed(await history(api))) == made


async def test_a_batch_with_one_wrong_match_stores_nothing(api: AsyncClient) -> None:
    body = {"matches": [*([MATCH] * 50), {"home_team": "Leeds", "away_team": "Leeds"}]}
    problem_of(await api.post("/predictions/batch", json=body), 422)
    assert await history(api) == []


async def test_a_result_teaches_scores_and_counts(client: AsyncClient) -> None:
    before = (await client.post("/predictions", json={**MATCH, "match_id": "m1"})).json()
    other = (await client.post("/predictions", json={**MATCH, "match_id": "m2"})).json()
    settled = await client.post("/matches/m1/result", json=RESULT)
    assert settled.status_code == 201
    assert settled.json()["predictions_scored"] == 1
    after = (await client.post("/predictions", json=MATCH)).json()
    assert after["probabilities"] != before["probabilities"]
    assert after["results_seen"] == 1
    scored = {one["id"]: one["score"] for one in await history(client)}
    assert scored[before["id"]]["log_loss"] == pytest.approx(-math.log(before["probabilities"]["home"]))
    assert scored[other["id"]] is None
    assert "predictions_settled_total" in (await client.get("/metrics")).text


async def test_a_result_is_final(api: AsyncClient) -> None:
    first = await api.post("/matches/m1/result", json=RESULT)
    again = await api.post("/matches/m1/result", json=RESULT)
    assert (first.status_code, again.status_code) == (201, 200)
    problem_of(await api.post("/matches/m1/result", json={**RESULT, "home_goals": 5}), 409)


async def test_a_result_scores_the_predictions_of_its_match(api: AsyncClient) -> None:
    made = (await api.post("/predictions", json={**MATCH, "match_id": "m1"})).json()
    other = (await api.post("/predictions", json={**MATCH, "match_id": "m2"})).json()
    settled = (await api.post("/matches/m1/result", json=RESULT)).json()
    # It comes from a check: nobody's ratings change.
    assert (settled["predictions_scored"], settled["rated"]) == (1, False)
    scored = {one["id"]: one["score"] for one in await history(api)}
    assert scored[made["id"]]["log_loss"] == pytest.approx(-math.log(made["probabilities"]["home"]))
    assert scored[other["id"]] is None


async def test_a_check_sees_and_forgets_its_own_data_alone(api: AsyncClient, deployed: Deployed) -> None:
    async with deployed.client(f"another-{uuid.uuid4().hex}") as another:
        kept = (await api.post("/predictions", json={**MATCH, "match_id": "m1"})).json()
        headers = {"Idempotency-Key": "k"}
        theirs = (await another.post("/predictions", json=MATCH, headers=headers)).json()
        await another.post("/matches/m1/result", json=RESULT)
        assert (await history(api), await history(another)) == ([kept], [theirs])
        forgotten = await another.delete("/checks")
        assert (forgotten.status_code, forgotten.json()) == (200, {"deleted": 2})
        assert (await history(api), await history(another)) == ([kept], [])
        # The answer that belonged to the key is forgotten too, and the match is open again.
        assert (await another.post("/predictions", json=MATCH, headers=headers)).json()["id"] != theirs["id"]
        assert (await another.post("/matches/m1/result", json=RESULT)).status_code == 201
        assert (await another.delete("/checks")).json() == {"deleted": 2}
        assert (await another.delete("/checks")).json() == {"deleted": 0}


async def test_only_a_check_can_be_forgotten(client: AsyncClient) -> None:
    await client.post("/predictions", json=MATCH)
    problem_of(await client.delete("/checks"), 422)
    problem_of(await client.delete("/checks", headers={MARKER: ""}), 422)
    assert len(await history(client)) == 1


async def test_checks_of_the_pipeline_change_nothing_for_others(client: AsyncClient) -> None:
    await client.post("/predictions", json={**MATCH, "match_id": "m1"}, headers=CHECK)
    settled = await client.post("/matches/m1/result", json=RESULT, headers=CHECK)
    assert (settled.json()["rated"], settled.json()["predictions_scored"]) == (False, 1)
    assert await history(client) == []
    assert await results_seen(client) == 0


async def test_a_hundred_clients_lose_and_double_nothing(server: ServerProcess, client: AsyncClient) -> None:
    """Each client has a connection of its own and sends five predictions and a batch of three."""

    async def visitor(number: int) -> list[str]:
        async with AsyncClient(base_url=server.url, timeout=60, limits=Limits(max_connections=1)) as own:
            made: list[str] = []
            for turn in range(5):
                response = await own.post("/predictions", json={**MATCH, "match_id": f"m{number}.{turn}"})
                assert response.status_code == 201
                made.append(response.json()["id"])
            batch = await own.post("/predictions/batch", json={"matches": [MATCH] * 3})
            assert batch.status_code == 201
            return made + [one["id"] for one in batch.json()["predictions"]]

    answered = [one for group in await asyncio.gather(*map(visitor, range(100))) for one in group]
    stored = [one["id"] for one in await history(client)]
    assert len(stored) == len(set(stored)) == 800
    assert set(stored) == set(answered)


async def test_a_hundred_clients_with_one_key_get_one_answer(api: AsyncClient) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    answers = await together(100, lambda _: api.post("/predictions", json=MATCH, headers=headers))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(await history(api)) == 1


async def test_parallel_posts_of_one_result_teach_once(client: AsyncClient) -> None:
    answers = await together(30, lambda _: client.post("/matches/m1/result", json=RESULT))
    assert sorted(answer.status_code for answer in answers) == [200] * 29 + [201]
    assert await results_seen(client) == 1


async def test_parallel_results_are_all_learned(client: AsyncClient) -> None:
    """All matches share teams, so every update meets the others."""

    def post(number: int) -> Awaitable[Response]:
        teams = ["Arsenal", "Chelsea", "Leeds"]
        home, away = teams[number % 3], teams[(number + 1) % 3]
        body = {"home_team": home, "away_team": away, "home_goals": number % 4, "away_goals": number % 3}
        return client.post(f"/matches/m{number}/result", json=body)

    answers = await together(60, post)
    assert {answer.status_code for answer in answers} == {201}
    assert await results_seen(client) == 60


async def test_conflicting_results_in_parallel_leave_one_winner(api: AsyncClient) -> None:
    answers = await together(
        10, lambda number: api.post("/matches/m1/result", json={**RESULT, "home_goals": number})
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


async def together(count: int, call: Callable[[int], Awaitable[Response]]) -> list[Response]:
    """Make that many calls at once."""
    return list(await asyncio.gather(*(call(number) for number in range(count))))


async def test_pages_are_complete_while_others_write(api: AsyncClient) -> None:
    for _ in range(3):
        await api.post("/predictions/batch", json={"matches": [MATCH] * 20})
    before = {one["id"] for one in await history(api)}
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await api.post("/predictions", json=MATCH)

    writer = asyncio.create_task(write())
    seen = [one["id"] for one in await history(api, limit=7)]
    stop.set()
    await writer
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


async def test_history_of_one_match(api: AsyncClient) -> None:
    for match_id in ("m1", "m2", "m1"):
        await api.post("/predictions", json={**MATCH, "match_id": match_id})
    assert [one["match_id"] for one in await history(api, match_id="m1")] == ["m1", "m1"]


@pytest.mark.parametrize("path", ["/predictions", "/predictions/batch", "/matches/m1/result"])
async def test_a_key_repeats_the_first_answer(api: AsyncClient, path: str) -> None:
    bodies = {"/predictions": MATCH, "/predictions/batch": {"matches": [MATCH]}}
    headers = {"Idempotency-Key": "once"}
    first = await api.post(path, json=bodies.get(path, RESULT), headers=headers)
    again = await api.post(path, json=bodies.get(path, RESULT), headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.text == again.text
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_body_without_declared_length_has_a_limit(api: AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 4096

    response = await api.post("/predictions", content=endless(), headers={"Content-Type": "application/json"})
    problem_of(response, 413)
    assert (await api.get("/health")).status_code == 200


async def test_requests_in_flight_return_to_zero(client: AsyncClient) -> None:
    await together(50, lambda _: client.post("/predictions", json=MATCH))
    assert "\nhttp_requests_in_flight 0.0\n" in (await client.get("/metrics")).text
    assert "\ndatabase_connections_in_use 0.0\n" in (await client.get("/metrics")).text


async def test_blue_and_green_share_what_they_know(database_url: str, redis_url: str) -> None:
    """Two releases run on one database at once: what one is told the other knows."""
    shared = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "CACHE_TTL": "10m"}
    with (
        ServerProcess(**shared, KICKOFF_RELEASE="blue") as blue,
        ServerProcess(**shared, KICKOFF_RELEASE="green") as green,
    ):
        async with (
            AsyncClient(base_url=blue.url, timeout=30) as on_blue,
            AsyncClient(base_url=green.url, timeout=30) as on_green,
        ):
            assert [await results_seen(one) for one in (on_blue, on_green)] == [0, 0]
            settled = await on_blue.post("/matches/m1/result", json=RESULT)
            assert settled.headers["x-release"] == "blue"

            async def known() -> bool:
                return await results_seen(on_green) == 1

            await eventually(known, "green hears of the result that blue was told")
            made = await on_green.post("/predictions", json=MATCH)
            assert made.headers["x-release"] == "green"
            assert await history(on_blue) == [made.json()]


async def test_two_workers_serve_one_service(database_url: str, redis_url: str) -> None:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "CACHE_TTL": "10m", "API_WORKERS": "2"}
    with ServerProcess(**settings, SHUTDOWN_GRACE="4s") as server:

        async def post(number: int) -> int:
            async with AsyncClient(base_url=server.url, timeout=60) as own:
                body = {**RESULT, "home_goals": number % 5}
                return (await own.post(f"/matches/m{number}/result", json=body)).status_code

        assert set(await asyncio.gather(*map(post, range(40)))) == {201}

        async def both_know() -> bool:
            async def ask() -> int:
                async with AsyncClient(base_url=server.url, timeout=60) as own:
                    return await results_seen(own)

            return set(await asyncio.gather(*(ask() for _ in range(8)))) == {40}

        await eventually(both_know, "both workers know all results")


def test_workers_add_up_their_metrics_and_all_end(database_url: str) -> None:
    with ServerProcess(DATABASE_URL=database_url, API_WORKERS="2", SHUTDOWN_GRACE="4s") as server:
        for _ in range(20):
            # A new connection each time, so that both workers get some.
            assert httpx.post(f"{server.url}/predictions", json=MATCH).status_code == 201
        assert "\npredictions_made_total 20.0\n" in httpx.get(f"{server.url}/metrics").text
        children = psutil.Process(server.pid).children(recursive=True)
        assert len(children) >= 2
        server.terminate()
        assert server.wait() == 0
        # The interpreter's resource tracker ends a moment after the workers it served.
        _, left = psutil.wait_procs(children, timeout=10)
        assert [child for child in left if child.status() != psutil.STATUS_ZOMBIE] == []


async def test_writes_need_the_key_where_there_is_one(database_url: str) -> None:
    with ServerProcess(DATABASE_URL=database_url, API_KEY="0123456789abcdef") as server:
        async with AsyncClient(base_url=server.url, timeout=30) as client:
            problem_of(await client.post("/predictions", json=MATCH, headers=CHECK), 401)
            right = {"X-API-Key": "0123456789abcdef"}
            assert (await client.post("/predictions", json=MATCH, headers=right)).status_code == 201
            assert len(await history(client)) == 1
