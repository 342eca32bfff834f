"""Commands side by side: a thread and a process each, and one way to end all of them."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from typing import TypeVar

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
Task = TypeVar("Task")
Result = TypeVar("Result")


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


def each(
    tasks: Sequence[Task],
    work: Callable[[Task, Stop], Result],
    ended: Callable[[Task, Result], object],
) -> list[Result]:
    """Do the work for each task, as many at a time as there are processors; return the results in order.

    Args:
        tasks: The tasks, begun in this order.
        work: Runs in a thread; it tells its :class:`Stop` of every process.
        ended: Called with each task and its result in this thread, in the order in which they end.

    Raises:
        KeyboardInterrupt: Somebody asked to stop; nothing runs any more.
    """
    stop = Stop()
    with _interrupted(), ThreadPoolExecutor(_processors()) as pool:
        futures = {pool.submit(work, task, stop): task for task in tasks}
        try:
            for future in as_completed(futures):
                ended(futures[future], future.result())
        except BaseException:
            stop.all()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _processors() -> int:
    """Return how many processors this process may use; not every system has a mask of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _interrupted() -> Iterator[None]:
    """Let a request to end interrupt the main thread as Ctrl-C does: nobody else knows of the processes."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
