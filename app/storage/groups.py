"""One journey to the database for all who ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.storage.engine import DatabaseUnavailableError

T = TypeVar("T")
R = TypeVar("R")

_LARGEST_GROUP = 500
# Others want their turn as well, and a connection is to be checked now and then.
_MOST_GROUPS_IN_A_ROW = 16


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    done: asyncio.Future[R]


class Groups(Generic[T, R]):
    """Does a kind of work for many callers at once.

    While one group is served the next one gathers. So nobody waits for company, and a journey to the database
    costs the same for one caller and for a hundred. Groups that follow on each other share a connection.

    Args:
        connect: Gives a connection.
        work: Does the work for a group in one transaction; returns one result for each item, in their order.
        name: What the work is called in a list of tasks.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        work: Callable[[AsyncConnection, Sequence[T]], Awaitable[Sequence[R]]],
        *,
        name: str,
    ) -> None:
        self._connect = connect
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
            group: Sequence[_Waiting[T, R]] = ()
            try:
                async with self._connect() as connection:
                    for _ in range(_MOST_GROUPS_IN_A_ROW):
                        if group := self._next():
                            await self._serve_group(connection, group)
                            group = ()
            except Exception as error:
                await self._failed(group or self._next(), error)

    def _next(self) -> Sequence[_Waiting[T, R]]:
        """Return who is waiting, without those who stopped: for them none is done."""
        group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
        return [entry for entry in group if not entry.done.done()]

    async def _serve_group(self, connection: AsyncConnection, group: Sequence[_Waiting[T, R]]) -> None:
        results = await self._work(connection, [entry.item for entry in group])
        for entry, result in zip(group, results, strict=True):
            if not entry.done.done():
                entry.done.set_result(result)

    async def _failed(self, group: Sequence[_Waiting[T, R]], error: Exception) -> None:
        if len(group) == 1 or isinstance(error, DatabaseUnavailableError):
            for entry in group:
                if not entry.done.done():
                    entry.done.set_exception(error)
            return
        # One item spoiled it for all: find out which.
        for entry in group:
            try:
                async with self._connect() as connection:
                    await self._serve_group(connection, [entry])
            except Exception as own:
                await self._failed([entry], own)
