"""What the service uses while the load runs, and who listens on an address."""

import os
import threading
from contextlib import closing
from pathlib import Path
from socket import socket

from kickoff.performance import resources
from kickoff.performance.resources import Monitor, Reading


def test_a_process_is_read_and_one_that_ended_is_not() -> None:
    reading = resources.of_process(os.getpid())()
    assert reading is not None
    assert reading.cpu_seconds > 0
    assert reading.memory_bytes > 1_000_000
    unused = max(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()) + 100_000
    assert resources.of_process(unused)() is None


def test_the_monitor_turns_readings_into_shares_of_a_core() -> None:
    enough = threading.Event()
    calls = []

    def probe() -> Reading:
        calls.append(1)
        if len(calls) == 3:
            enough.set()
        return Reading(cpu_seconds=100.0 * len(calls), memory_bytes=7)

    with Monitor({"candidate": probe, "live": lambda: None}) as monitor:
        assert enough.wait(30)
    assert {entry.arm for entry in monitor.usage} == {"candidate"}
    assert len(monitor.usage) >= 2
    assert all(entry.memory_bytes == 7 and entry.cpu > 1 for entry in monitor.usage)


def test_nothing_to_watch_needs_no_thread() -> None:
    before = threading.active_count()
    with Monitor({}) as monitor:
        assert threading.active_count() == before
    assert monitor.usage == []


def test_who_listens_on_an_address() -> None:
    with closing(socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert resources.listening_on(f"http://127.0.0.1:{port}/x") == os.getpid()
    assert resources.listening_on(f"http://127.0.0.1:{port}") == 0
    assert resources.listening_on("http://example.org") == 0
