"""The end of tasks that would run for ever."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

_LOG = logging.getLogger(__name__)
_STEP_SECONDS: Final = 0.25
_MOST_STEPS: Final = 8


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended, for two seconds at most; what they raised is logged.

    Once is not enough: up to Python 3.11 ``asyncio.wait_for``, through which redis-py sends and SQLAlchemy
    takes connections, gives its result to a task that is cancelled at the same moment, and the task goes on.
    """
    ended, left = set[asyncio.Task[Any]](), set(tasks)
    for _ in range(_MOST_STEPS):
        for task in left:
            task.cancel()
        if left:
            done, left = await asyncio.wait(left, timeout=_STEP_SECONDS)
            ended |= done
    for task in ended:
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a task failed", exc_info=error, extra={"task": task.get_name()})
    for task in left:
        _LOG.error("a task does not end", extra={"task": task.get_name()})
