"""One trace from the proxy to database and cache, through a real Traefik with the flags of the stack."""

import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from httpx import Client, HTTPError, get

from kickoff.release.model import Colour
from kickoff.release.route import Route
from kickoff.release.routers.traefik import Proxy
from tests.integration.support import PATIENCE_SECONDS, unused_port
from tests.otlp import Receiver, Span, receiving
from tests.unit.app.support import ROOT, ServerProcess

FROM_OUTSIDE = "ab" * 16
SAMPLED = {"traceparent": f"00-{FROM_OUTSIDE}-{'cd' * 8}-01"}
FOUR = {("traefik", ""), ("football", ""), ("football", "postgresql"), ("football", "redis")}


def flags(stack: str, **values: str) -> list[str]:
    """Return what the stack tells Traefik of traces, with an environment's values."""
    text = (ROOT / f"docker-compose.{stack}.yml").read_text(encoding="utf-8")
    found = re.findall(r"^ +- (--tracing\S+?\$\{.*\}\S*|--tracing\S+)$", text, re.MULTILINE)
    assert len(found) == 4
    return [re.sub(r"\$\{(\w+)[^}]*\}", lambda name: values[name[1]], flag) for flag in found]


@contextmanager
def traefik(folder: Path, service: str, given: list[str], *, drops_traces: bool) -> Iterator[str]:
    """Run Traefik in front of the service, routed as a release is; give its address."""
    binary = shutil.which("traefik", path=str(Path(sys.executable).parent)) or shutil.which("traefik")
    assert binary is not None
    (folder / "dynamic").mkdir()
    ports = {name: unused_port() for name in ("public", "candidate", "traefik")}
    command = [
        binary,
        *(f"--entryPoints.{name}.address=127.0.0.1:{port}" for name, port in ports.items()),
        *("--ping=true", "--api.insecure=true", f"--providers.file.directory={folder / 'dynamic'}"),
        *("--providers.providersThrottleDuration=50ms", *given),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}) as process:
        try:
            admin = f"http://127.0.0.1:{ports['traefik']}"
            end = time.monotonic() + PATIENCE_SECONDS
            while not answers(f"{admin}/ping"):
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            route = Route(
                {Colour.BLUE: (service,)},
                {Colour.BLUE: 100},
                None,
                sticky=False,
                live_paths={Colour.BLUE: "/health/live"},
                drops_traces=drops_traces,
            )
            Proxy(admin, folder / "dynamic").apply(route)
            yield f"http://127.0.0.1:{ports['public']}"
        finally:
            process.terminate()  # what it has still to send goes out now


def answers(url: str) -> bool:
    try:
        return get(url, trust_env=False, timeout=2).status_code == 200
    except HTTPError:
        return False


class Stack:
    """The service behind Traefik, on PostgreSQL and Redis, and a receiver of both's traces."""

    def __init__(self, folder: Path, database: str, redis: str) -> None:
        self._folder, self._database, self._redis = folder, database, redis

    @contextmanager
    def running(
        self, endpoint: str, *, proxy: str, service: str, drops_traces: bool = True
    ) -> Iterator[Client]:
        """Run it with a share of traced requests for each; give a client of the proxy."""
        values = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "APP_ENV": "staging"}
        given = flags("staging", OTEL_TRACES_SAMPLER_ARG=proxy, **values)
        values |= {
            "OTEL_TRACES_SAMPLER_ARG": service,
            "DATABASE_URL": self._database,
            "REDIS_URL": self._redis,
        }
        with (
            ServerProcess(**values) as process,
            traefik(self._folder, process.url, given, drops_traces=drops_traces) as url,
            Client(base_url=url, trust_env=False, timeout=30) as client,
        ):
            yield client


@pytest.fixture
def stack(tmp_path: Path, database_url: str, redis_url: str) -> Stack:
    return Stack(tmp_path, database_url, redis_url)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def predict(client: Client, headers: dict[str, str] | None = None) -> None:
    """Ask for teams that no cache knows."""
    match = {"home_team": f"Home {uuid.uuid4().hex}", "away_team": f"Away {uuid.uuid4().hex}"}
    client.post("/predictions", json=match, headers=headers).raise_for_status()


def parts(spans: list[Span]) -> set[tuple[str, str]]:
    return {(span.service, span.system) for span in spans}


def test_one_trace_goes_from_the_proxy_to_database_and_cache(stack: Stack, receiver: Receiver) -> None:
    with stack.running(receiver.url, proxy="1", service="0") as client:
        predict(client)
    spans = receiver.spans(lambda found: parts(found) >= FOUR)
    assert len({span.trace for span in spans}) == 1
    by_id = {span.id: span for span in spans}
    for span in spans:
        above = by_id.get(span.parent)
        if span.system:
            assert above is not None and (above.service, above.name) == ("football", "POST /predictions")
        elif span.service == "football":
            assert above is not None and above.service == "traefik"
        assert span.resource["deployment.environment.name"] == "staging"
    text = "".join(span.text for span in spans)
    assert "Home " not in text and "Away " not in text


def test_what_the_proxy_does_not_choose_is_not_traced(stack: Stack, receiver: Receiver) -> None:
    with stack.running(receiver.url, proxy="0", service="1") as client:
        for _ in range(10):
            predict(client)
    assert receiver.spans() == []


def test_no_caller_decides_what_is_traced(stack: Stack, receiver: Receiver) -> None:
    with stack.running(receiver.url, proxy="0", service="0") as client:
        predict(client, SAMPLED)
        client.get("/predictions", headers=SAMPLED).raise_for_status()
    assert receiver.spans() == []


def test_a_trace_from_outside_is_not_continued(stack: Stack, receiver: Receiver) -> None:
    with stack.running(receiver.url, proxy="1", service="1") as client:
        predict(client, SAMPLED)
    spans = receiver.spans()
    assert parts(spans) == FOUR - {("traefik", "")}
    assert FROM_OUTSIDE not in {span.trace for span in spans}


def test_where_it_is_to_be_continued_the_caller_decides(stack: Stack, receiver: Receiver) -> None:
    with stack.running(receiver.url, proxy="0", service="0", drops_traces=False) as client:
        predict(client, SAMPLED)
    spans = receiver.spans(lambda found: parts(found) >= FOUR)
    assert {span.trace for span in spans} == {FROM_OUTSIDE}


def test_a_receiver_that_is_away_fails_no_request(stack: Stack, free_port: int) -> None:
    with stack.running(f"http://127.0.0.1:{free_port}", proxy="1", service="1") as client:
        for _ in range(20):
            predict(client)
