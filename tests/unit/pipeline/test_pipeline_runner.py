"""The keeper of act, with small programs in act's place."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from kickoff.pipeline.runner import Runner, parse

LIMIT = 30.0


def run(
    folder: Path, program: str, *, signals: tuple[int, ...] = (), stop_limit: float = 20
) -> tuple[int, list[str], bool]:
    """Run ``program``; send ourselves each signal after a line ``ready`` was read."""
    runner = Runner(
        [sys.executable, "-u", "-c", program],
        root=folder,
        env=dict(os.environ),
        work=folder / "work",
        stop_limit=stop_limit,
    )
    lines: list[str] = []
    waiting = list(signals)

    def take(line: str) -> None:
        lines.append(line)
        if line == "ready" and waiting:
            os.kill(os.getpid(), waiting.pop(0))

    status = runner.run(take, lambda: None)
    return status, lines, runner.interrupted


def gone(pid: int) -> bool:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_lines_of_both_streams_and_the_exit_code(tmp_path: Path) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    status, lines, interrupted = run(tmp_path, program)
    assert (status, sorted(lines), interrupted) == (3, ["err", "out"], False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_wish_to_stop_reaches_act_as_an_interrupt(tmp_path: Path, number: int) -> None:
    program = (
        "import time\ntry:\n print('ready'); time.sleep(60)\n"
        "except KeyboardInterrupt:\n print('tidied'); raise SystemExit(1)"
    )
    status, lines, interrupted = run(tmp_path, program, signals=(number,))
    assert (status, lines[-1], interrupted) == (1, "tidied", True)


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready'); time.sleep(60)"
    )
    status, _, interrupted = run(tmp_path, program, signals=(signal.SIGINT,), stop_limit=0.3)
    assert (status, interrupted) == (-signal.SIGKILL, True)


def test_asking_twice_kills_at_once(tmp_path: Path) -> None:
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: print('ready', flush=True))\n"
        "print('ready')\nfor _ in range(600): time.sleep(0.1)"
    )
    status, _, _ = run(tmp_path, program, signals=(signal.SIGINT, signal.SIGINT), stop_limit=600)
    assert status == -signal.SIGKILL


def test_steps_are_ended_when_act_is_killed_and_what_was_deployed_stays(tmp_path: Path) -> None:
    # The step has a session of its own, as under act; it deploys something that leaves this session.
    program = (
        "import os, subprocess, sys, time\n"
        "step = 'import subprocess, sys, time;"
        'p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],'
        " start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        'print("deployed", p.pid, flush=True); time.sleep(60)\'\n'
        "p = subprocess.Popen([sys.executable, '-c', step], start_new_session=True)\n"
        "print('step', p.pid)\ntime.sleep(60)"
    )
    runner = Runner(
        [sys.executable, "-u", "-c", program], root=tmp_path, env=dict(os.environ), work=tmp_path / "work"
    )
    pids: dict[str, int] = {}
    both = threading.Event()

    def take(line: str) -> None:
        name, _, pid = line.partition(" ")
        pids[name] = int(pid)
        if len(pids) == 2:
            both.set()

    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += both.is_set()
        if ticks == 3:  # the keeper has seen the step by now
            psutil.Process(psutil.Process(pids["step"]).ppid()).kill()

    try:
        assert runner.run(take, tick) == -signal.SIGKILL
        assert gone(pids["step"])
        assert psutil.pid_exists(pids["deployed"])
    finally:
        if "deployed" in pids:
            psutil.Process(pids["deployed"]).kill()


def test_signal_handlers_are_given_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(tmp_path, "print('x')")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("line", "record"), [('{"a": 1}', {"a": 1}), ("Error: Job failed", None), ("[1]", None), ("", None)]
)
def test_lines_that_are_no_records(line: str, record: dict[str, int] | None) -> None:
    assert parse(line) == record
