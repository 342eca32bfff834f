"""One journey to the database for all who ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.storage.engine import DatabaseUnavailableError

T = TypeVar("T")
R = TypeVar("R")

_LARGEST_GROUP = 500


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    done: asyncio.Future[R]


class Groups(Generic[T, R]):
    """Does a kind of work for many callers at once.

    While one group is served the next one gathers. So nobody waits for company, and a journey to the database
    costs the same for one caller and for a hundred.

    Args:
        work: Does the work for a group; returns one result for each item, in their order, or does nothing.
        name: What the work is called in a list of tasks.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, name: str) -> None:
        self._work = work
        self._name = name
        self._waiting: list[_Waiting[T, R]] = []
        self._task: asyncio.Task[None] | None = None

    async def do(self, item: T) -> R:
        """Return the result for one item.

        Raises:
            Exception: What the work raised for this item; nothing was done for it.
        """
        entry: _Waiting[T, R] = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve(), name=self._name)
        return await entry.done

    async def close(self) -> None:
        """Wait for what is being done."""
        if self._task is not None:
            await self._task

    async def _serve(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
            # For whoever stopped waiting before the work began, none is done.
            group = [entry for entry in group if not entry.done.done()]
            if group:
                await self._serve_group(group)

    async def _serve_group(self, group: Sequence[_Waiting[T, R]]) -> None:
        try:
            results = await self._work([entry.item for entry in group])
        except Exception as error:
            if len(group) > 1 and not isinstance(error, DatabaseUnavailableError):
                # One item spoiled it for all: find out which.
                for entry in group:
                    await self._serve_group([entry])
                return
            for entry in group:
                if not entry.done.done():
                    entry.done.set_exception(error)
        else:
            for entry, result in zip(group, results, strict=True):
                if not entry.done.done():
                    entry.done.set_result(result)
