"""Traces: what leaves the process, what never does, and what an absent receiver costs."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from app.main import create_app
from app.settings import Settings
from app.telemetry import logs
from tests.otlp import Receiver, receiving
from tests.unit.app.support import RELEASE, serving

MATCH = {"home_team": "Arsenal", "away_team": "Chelsea"}
SAMPLED, NOT_SAMPLED = (f"00-{'ab' * 16}-{'cd' * 8}-{flag}" for flag in ("01", "00"))
Make = Callable[..., Settings]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


async def test_a_request_is_traced_with_its_statements_and_its_log_line_names_the_trace(
    settings: Make, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.access")
    async with serving(create_app(settings(otel_exporter_otlp_endpoint=receiver.url))) as client:
        (await client.post("/predictions", json=MATCH)).raise_for_status()
    spans = receiver.spans()
    [request] = [span for span in spans if not span.parent]
    assert request.name == "POST /predictions"
    assert {span.trace for span in spans} == {request.trace}
    statements = [span for span in spans if span.system == "sqlite"]
    assert {span.name for span in statements} >= {"SELECT", "INSERT"}
    assert all(span.attributes["db.query.text"].startswith(span.name) for span in statements)
    assert request.resource["service.version"] == RELEASE
    logged = [vars(record).get("trace_id") for record in caplog.records if record.name == "app.access"]
    assert logged == [request.trace]


async def test_nothing_that_users_send_leaves_with_a_trace(settings: Make, receiver: Receiver) -> None:
    app = create_app(settings(otel_exporter_otlp_endpoint=receiver.url))

    @app.get("/twice/{key}")
    async def twice(key: str) -> None:
        async with app.state.database.write() as connection:
            await connection.execute(sa.text("CREATE TABLE kept (key TEXT PRIMARY KEY)"))
            for _ in range(2):
                await connection.execute(sa.text("INSERT INTO kept VALUES (:key)"), {"key": "of-a-user"})

    async with serving(app) as client:
        (await client.post("/predictions", json=MATCH)).raise_for_status()
        assert (await client.get("/twice/anything")).status_code == 500
    spans = receiver.spans()
    assert "IntegrityError" in {span.attributes.get("error.type") for span in spans}
    text = "".join(span.text for span in spans)
    assert "Arsenal" not in text
    assert "of-a-user" not in text


async def test_health_and_metrics_are_not_traced(settings: Make, receiver: Receiver) -> None:
    async with serving(create_app(settings(otel_exporter_otlp_endpoint=receiver.url))) as client:
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            (await client.get(path, headers={"traceparent": SAMPLED})).raise_for_status()
    assert receiver.spans() == []


@pytest.mark.parametrize(
    ("ratio", "parent", "traced"),
    [(0, "", False), (1, "", True), (0, SAMPLED, True), (1, NOT_SAMPLED, False)],
    ids=["none of its own", "all of its own", "the proxy wants it", "the proxy does not"],
)
async def test_who_asks_decides_and_without_a_trace_the_ratio(
    settings: Make,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    *,
    ratio: float,
    parent: str,
    traced: bool,
) -> None:
    caplog.set_level(logging.INFO, "app.access")
    values = {"otel_exporter_otlp_endpoint": receiver.url, "otel_traces_sampler_arg": ratio}
    async with serving(create_app(settings(**values))) as client:
        await client.get("/predictions", headers={"traceparent": parent} if parent else {})
    assert bool(receiver.spans()) is traced
    [line] = [vars(record) for record in caplog.records if record.name == "app.access"]
    assert ("trace_id" in line) is traced, "a log line names no trace that nobody has"


@pytest.mark.parametrize(
    ("name", "level"), [("opentelemetry.exporter.otlp", "warning"), ("app.access", "error")]
)
def test_a_trace_that_is_not_sent_is_no_error_of_the_service(name: str, level: str) -> None:
    record = logging.makeLogRecord({"name": name, "levelno": logging.ERROR, "levelname": "ERROR"})
    assert logs.no_failure(record)
    assert json.loads(logs.JsonFormatter(RELEASE).format(record))["level"] == level


async def test_without_an_endpoint_nothing_is_traced(
    settings: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{receiver.url}/v1/traces")
    async with serving(create_app(settings())) as client:
        await client.get("/predictions", headers={"traceparent": SAMPLED})
    assert receiver.spans() == []


@pytest.fixture(params=["refuses", "hangs"])
def absent(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a receiver that is not there, or takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if request.param == "hangs":
            listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_a_receiver_that_is_away_costs_no_request_and_is_not_waited_for_at_the_end(
    settings: Make, absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is tried for longer than a test may take.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")
    before = set(threading.enumerate())
    async with serving(create_app(settings(otel_exporter_otlp_endpoint=absent))) as client:
        answers = await asyncio.gather(*(client.get("/predictions") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    left = set(threading.enumerate()) - before
    assert [thread for thread in left if thread.name.startswith("OtelBatch")], "it still tries"
    # The event loop's own threads are idle, and end with it.
    assert all(thread.daemon for thread in left if not thread.name.startswith("asyncio"))
