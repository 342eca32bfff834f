"""Commands side by side: a thread and a process each, and one way to end all of them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

from kickoff.process_group import Stop, handling

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
Task = TypeVar("Task")
Result = TypeVar("Result")


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
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handling(signal.default_int_handler, _SIGNALS):
        yield
