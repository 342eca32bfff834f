"""Logs and the bookkeeping of metrics."""

import json
import logging
import sqlite3
import sys
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from app.main import Service
from app.telemetry import metrics
from app.telemetry.clients import ActiveClients
from app.telemetry.container import ContainerUsage
from app.telemetry.logs import REQUEST_ID, JsonFormatter
from tests.unit.app.support import RELEASE, serving


def formatted(message: str, **extra: object) -> dict[str, object]:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "app.test", **extra})
    found: dict[str, object] = json.loads(JsonFormatter(RELEASE).format(record))
    return found


def test_a_log_line_is_an_object_with_everything_known() -> None:
    token = REQUEST_ID.set("request-1")
    try:
        found = formatted('über "alles"\nund mehr', milliseconds=1.5)
    finally:
        REQUEST_ID.reset(token)
    assert found["message"] == 'über "alles"\nund mehr'
    assert found["request_id"] == "request-1"
    assert found["release"] == RELEASE
    assert found["milliseconds"] == 1.5
    assert "trace_id" not in found


def test_an_exception_goes_into_the_same_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        found = formatted("it failed", exc_info=sys.exc_info())
    assert "ValueError: broken" in str(found["exception"])


def test_gauges_of_dead_workers_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    dead, alive = tmp_path / "gauge_livesum_4194304.db", tmp_path / "gauge_livesum_1.db"
    for path in (dead, alive):
        path.touch()
    metrics.forget_dead_workers()
    assert not dead.exists()
    assert alive.exists()


async def test_an_outage_of_the_database_leaves_no_connection_in_use(
    app: Service, mocker: MockerFixture
) -> None:
    line = "\ndatabase_connections_in_use {}.0\n"
    async with serving(app) as client:
        assert (await client.get("/predictions")).status_code == 200
        async with app.state.database.read() as connection:
            assert line.format(1) in (await client.get("/metrics")).text
            await connection.invalidate()
        connect = mocker.patch("aiosqlite.connect", side_effect=sqlite3.OperationalError("no such disk"))
        for _ in range(5):
            assert (await client.get("/predictions")).status_code == 503
        assert connect.call_count >= 5
        assert line.format(0) in (await client.get("/metrics")).text
        mocker.stopall()
        assert (await client.get("/predictions")).status_code == 200
        assert line.format(0) in (await client.get("/metrics")).text


def test_clients_are_counted_once_and_for_a_minute() -> None:
    now = 0.0
    clients = ActiveClients(timer=lambda: now)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        clients.seen(address)
    assert clients.count() == 2
    now = 59.0
    clients.seen("192.0.2.2")
    now = 61.0
    assert clients.count() == 1


def test_only_so_many_clients_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.telemetry.clients._MOST", 2)
    now = 0.0
    clients = ActiveClients(timer=lambda: now)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
        clients.seen(address)
    assert clients.count() == 2
    now = 30.0
    clients.seen("192.0.2.2")
    now = 61.0
    assert clients.count() == 1


async def test_checks_are_no_clients(app: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(ActiveClients, "seen", lambda _self, address: seen.append(address))
    async with serving(app) as client:
        await client.get("/predictions", headers={"X-Kickoff-Check": "unit-test"})
        await client.get("/health")
        assert seen == []
        await client.get("/predictions")
    assert seen == ["127.0.0.1"]


@pytest.mark.parametrize(
    "files",
    [
        {
            "memory.current": "300\n",
            "memory.max": "1000\n",
            "memory.stat": "anon 200\ninactive_file 100\n",
            "memory.events": "low 0\noom 3\noom_kill 2\n",
        },
        {
            "memory/memory.usage_in_bytes": "300\n",
            "memory/memory.limit_in_bytes": "1000\n",
            "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 100\n",
            "memory/memory.oom_control": "under_oom 0\noom_kill 2\n",
        },
    ],
    ids=["version 2", "version 1"],
)
def test_a_container_tells_of_its_memory(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "memory").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = [sample for family in ContainerUsage(tmp_path).collect() for sample in family.samples]
    assert {sample.name: sample.value for sample in found} == {
        "container_memory_working_set_bytes": 200,
        "container_memory_limit_bytes": 1000,
        "container_oom_kills_total": 2,
    }


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "150000 100000\n", "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\n"},
        {
            "cpu/cpu.cfs_quota_us": "150000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "cpuacct/cpuacct.usage": "2500000000\n",
        },
    ],
    ids=["version 2", "version 1"],
)
def test_a_container_tells_of_its_processor_time(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = [sample for family in ContainerUsage(tmp_path).collect() for sample in family.samples]
    assert {sample.name: sample.value for sample in found} == {
        "container_cpu_usage_seconds_total": 2.5,
        "container_cpu_limit_cores": 1.5,
    }


@pytest.mark.parametrize(
    "files",
    [{"cpu.max": "max 100000\n"}, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, {}],
)
def test_without_a_quota_no_processor_time_is_told(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(ContainerUsage(tmp_path).collect()) == []


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", ""])
def test_without_a_limit_there_is_nothing_to_tell(tmp_path: Path, limit: str) -> None:
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.max").write_text(limit)
    assert list(ContainerUsage(tmp_path).collect()) == []


def test_it_is_told_beside_the_metrics_of_all_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.max").write_text("1000\n")
    monkeypatch.setattr(metrics._CONTAINER, "_folder", tmp_path)
    assert b"container_memory_limit_bytes 1000.0" in metrics.render()
    (tmp_path / "workers").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "workers"))
    assert b"container_memory_limit_bytes 1000.0" in metrics.render()
