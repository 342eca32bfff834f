"""Prometheus metrics, summed over all worker processes.

With several workers ``PROMETHEUS_MULTIPROC_DIR`` names a folder that they share; ``app.__main__`` sets it.
"""

import os
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from app.telemetry.container import ContainerUsage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

IN_FLIGHT = Gauge(
    "http_requests_in_flight",
    "Requests being answered now, without those for health and metrics.",
    multiprocess_mode="livesum",
)
REQUESTS = Histogram(
    "http_request_duration_seconds",
    "Time to the last byte, by route template. Traffic is user or synthetic (checks of the pipeline).",
    ("method", "route", "status", "traffic"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ACTIVE_CLIENTS = Gauge(
    "http_clients_active",
    "Different addresses seen within a minute, without checks; one that two workers saw counts twice.",
    multiprocess_mode="livesum",
)
RELEASE = Gauge(
    "app_release_info", "Always 1; the label is the release.", ("release",), multiprocess_mode="livemax"
)
DRAINING = Gauge(
    "app_draining", "1 while the process finishes its last requests.", multiprocess_mode="livemax"
)
DATABASE_CONNECTIONS = Gauge(
    "database_connections_in_use", "Connections taken from the pool.", multiprocess_mode="livesum"
)
DATABASE_REPLICA_UP = Gauge(
    "database_replica_up",
    "1 while history is read on the replica; 0 while the primary does it, or there is no replica.",
    multiprocess_mode="livemin",
)
CACHE_LOOKUPS = Counter(
    "cache_lookups_total",
    "Lookups by the level that was asked (memory, redis, database) and what it said (hit, miss, error).",
    ("level", "result"),
)
CACHE_REMOTE_UP = Gauge(
    "cache_redis_up",
    "1 while Redis is used; 0 while the service makes do with memory.",
    multiprocess_mode="livemin",
)
KEYS_USED = Counter(
    "api_key_uses_total",
    "Writes by the key that they came with (now, next), without checks: who has not changed over yet.",
    ("key",),
)
PREDICTIONS = Counter("predictions_made_total", "Stored predictions, without synthetic ones.")
SETTLED = Counter("predictions_settled_total", "Predictions whose match was played.", ("favourite_won",))
LOG_LOSS = Histogram(
    "prediction_log_loss",
    "Log loss of settled predictions; 1.0986 is a guess.",
    buckets=(0.25, 0.5, 0.75, 1.0, 1.0986, 1.25, 1.5, 2, 3, 5),
)
# Not of a process: it joins whichever registry is rendered.
_CONTAINER = ContainerUsage()
REGISTRY.register(_CONTAINER)


def render() -> bytes:
    """Return all metrics as text."""
    if _FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_CONTAINER)
    return generate_latest(registry)


def forget_dead_workers() -> None:
    """Remove the gauges of workers that died: what they had in flight is gone."""
    if _FOLDER not in os.environ:
        return
    for path in Path(os.environ[_FOLDER]).glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not _alive(pid):
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
