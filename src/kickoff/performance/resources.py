"""Resources of the service while the load ran: processor and memory, sampled once a second."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psutil

_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A process with its children: processor seconds used since it started, and resident memory in bytes."""

    cpu_seconds: float
    memory_bytes: int


Probe = Callable[[], Reading | None]
"""Reads one side's process; ``None`` while there is none."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One second of one side.

    Attributes:
        time: End of the second, in seconds since the epoch.
        arm: ``candidate`` or ``live``.
        cpu: Processors used (1.0 is one core).
        memory_bytes: Resident memory at its end.
    """

    time: float
    arm: str
    cpu: float
    memory_bytes: int


class Monitor:
    """Samples every probe once a second until the block ends."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.usage: list[Usage] = []

    def __enter__(self) -> Self:
        if self._probes:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        before: dict[str, tuple[float, Reading]] = {}
        while True:
            for arm, probe in self._probes.items():
                reading, now = probe(), time.time()
                if reading is None:
                    before.pop(arm, None)
                    continue
                if arm in before:
                    then, last = before[arm]
                    used = max(reading.cpu_seconds - last.cpu_seconds, 0.0) / max(now - then, 1e-3)
                    self.usage.append(Usage(now, arm, used, reading.memory_bytes))
                before[arm] = now, reading
            if self._stop.wait(_SECONDS):
                return


def of_process(pid: int) -> Probe:
    """Return a probe of a process and its children on this machine."""

    def probe() -> Reading | None:
        cpu, memory = 0.0, 0
        try:
            parent = psutil.Process(pid)
            family = [parent, *parent.children(recursive=True)]
        except psutil.Error:
            return None
        for process in family:
            try:
                times = process.cpu_times()
                cpu += times.user + times.system
                memory += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # a child that has just ended
            except psutil.Error:
                return None
        return Reading(cpu, memory)

    return probe


def listening_on(url: str) -> int:
    """Return the process of this user that listens on a loopback address; 0 when none can be seen."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return 0
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = [
        connection.pid
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr.port == port
        and connection.pid
    ]
    # A parent that forks workers listens together with them; its figures include theirs.
    return min(found, default=0, key=lambda pid: psutil.Process(pid).create_time())
