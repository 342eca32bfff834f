"""Programs that are not ours, each in a process group of its own of which nothing is left running."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kickoff import masking

WISHES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which somebody asks a program to stop."""


@contextmanager
def handling(
    handler: Callable[[int, Any], Any], numbers: Sequence[signal.Signals] = WISHES
) -> Iterator[None]:
    """Let a handler take signals, and put back what took them before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class Stop:
    """The wish to end: it kills the process group of everything that runs, and of what begins later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._wished = False

    def begins(self, process: "subprocess.Popen[str]") -> None:
        """Note a process that leads a session of its own."""
        with self._lock:
            self._running.add(process)
            if self._wished:
                _kill(process)

    def ends(self, process: "subprocess.Popen[str]") -> None:
        """Forget a process, before its number may become another's."""
        with self._lock:
            self._running.discard(process)

    def all(self) -> None:
        """End everything."""
        with self._lock:
            self._wished = True
            for process in self._running:
                _kill(process)


@contextmanager
def started(
    line: Sequence[str], folder: Path, environ: Mapping[str, str], *, stderr: int = subprocess.STDOUT
) -> Iterator["subprocess.Popen[str]"]:
    """Yield a program that runs in ``folder`` without a shell; at the end its whole group is killed."""
    with subprocess.Popen(
        line,
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            _kill(process)


def run(
    line: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    *,
    seconds: float,
    write: Callable[[str], object],
    stop: Stop | None = None,
) -> int | None:
    """Run a program and pass its lines on, masked; return its exit code, ``None`` when its time ran out.

    Args:
        line: Its path and its arguments.
        folder: Where it runs.
        environ: Its environment.
        seconds: Its time limit.
        write: Called with each line of its output, line end included.
        stop: Ends it, where several run at once.
    """
    expired, wish = threading.Event(), stop or Stop()
    with started(line, folder, environ) as process:

        def end() -> None:
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                expired.set()
            # Whatever the program started and left behind holds the pipe open, and the machine busy.
            _kill(process)

        watcher = threading.Thread(target=end, daemon=True)
        watcher.start()
        wish.begins(process)
        try:
            for raw in process.stdout or ():
                write(masking.text(raw))
            watcher.join()
        finally:
            wish.ends(process)
    return None if expired.is_set() else process.returncode


def _kill(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
