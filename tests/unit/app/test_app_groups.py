"""Work for many callers at once: nobody waits for company, and nobody pays for another's mistake."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from sqlalchemy.ext.asyncio import AsyncConnection

from app.storage.engine import DatabaseUnavailableError
from app.storage.groups import Groups


@asynccontextmanager
async def connect() -> AsyncIterator[AsyncConnection]:
    """Give what stands for a connection: the work does not use it."""
    yield cast(AsyncConnection, None)


class Work:
    """Doubles numbers, and remembers with whom."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.error: Exception | None = None

    async def __call__(self, _connection: AsyncConnection, numbers: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(numbers))
        self.begun.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


async def test_the_next_group_gathers_while_one_is_served() -> None:
    work = Work()
    work.go_on.clear()
    groups: Groups[int, int] = Groups(connect, work, name="doubling")
    first = asyncio.create_task(groups.do(1))
    await work.begun.wait()
    others = [asyncio.create_task(groups.do(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    work.go_on.set()
    assert [await first, *[await one for one in others]] == [2, 4, 6, 8]
    assert work.groups == [[1], [2, 3, 4]]


async def test_a_bad_item_fails_alone() -> None:
    groups: Groups[int, int] = Groups(connect, work := Work(), name="doubling")
    found = await asyncio.gather(*(groups.do(number) for number in (1, 13, 3)), return_exceptions=True)
    assert found[0] == 2
    assert isinstance(found[1], ValueError)
    assert found[2] == 6
    assert work.groups == [[1, 13, 3], [1], [13], [3]]


async def test_without_database_all_fail_at_once_and_the_next_is_served() -> None:
    groups: Groups[int, int] = Groups(connect, work := Work(), name="doubling")
    work.error = DatabaseUnavailableError("gone")
    found = await asyncio.gather(*(groups.do(number) for number in (1, 2)), return_exceptions=True)
    assert [type(one) for one in found] == [DatabaseUnavailableError] * 2
    assert work.groups == [[1, 2]]
    work.error = None
    assert await groups.do(3) == 6


async def test_who_stops_waiting_costs_nothing_and_harms_nobody() -> None:
    work = Work()
    work.go_on.clear()
    groups: Groups[int, int] = Groups(connect, work, name="doubling")
    inside = asyncio.create_task(groups.do(1))
    await work.begun.wait()
    outside, patient = asyncio.create_task(groups.do(2)), asyncio.create_task(groups.do(3))
    await asyncio.sleep(0)
    inside.cancel()
    outside.cancel()
    work.go_on.set()
    assert await patient == 6
    assert work.groups == [[1], [3]]


async def test_closing_waits_for_what_is_being_done() -> None:
    work = Work()
    groups: Groups[int, int] = Groups(connect, work, name="doubling")
    await groups.close()
    work.go_on.clear()
    task = asyncio.create_task(groups.do(1))
    await work.begun.wait()
    closing = asyncio.create_task(groups.close())
    await asyncio.sleep(0)
    assert not closing.done()
    work.go_on.set()
    await closing
    assert await task == 2


async def test_without_a_connection_all_who_wait_learn_why() -> None:
    @asynccontextmanager
    async def nothing() -> AsyncIterator[AsyncConnection]:
        raise DatabaseUnavailableError("no connection is free")
        yield

    groups: Groups[int, int] = Groups(nothing, work := Work(), name="doubling")
    found = await asyncio.gather(*(groups.do(number) for number in (1, 2)), return_exceptions=True)
    assert [str(one) for one in found] == ["no connection is free"] * 2
    assert work.groups == []


async def test_groups_share_a_connection_while_they_follow_on_each_other() -> None:
    connected = 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[AsyncConnection]:
        nonlocal connected
        connected += 1
        yield cast(AsyncConnection, None)

    work = Work()
    work.go_on.clear()
    groups: Groups[int, int] = Groups(counted, work, name="doubling")
    first = asyncio.create_task(groups.do(1))
    await work.begun.wait()
    second = asyncio.create_task(groups.do(2))
    await asyncio.sleep(0)
    work.go_on.set()
    assert [await first, await second] == [2, 4]
    assert (work.groups, connected) == ([[1], [2]], 1)
    assert await groups.do(3) == 6
    assert connected == 2
