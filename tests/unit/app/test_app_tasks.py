"""Tasks end, even where a library keeps a cancellation to itself."""

import asyncio
import logging

import pytest

from app import tasks


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_STEP_SECONDS", 0.01)


async def test_a_task_that_waits_is_ended() -> None:
    task = asyncio.create_task(asyncio.sleep(3600))
    await tasks.end([task])
    assert task.cancelled()


async def test_a_cancellation_that_a_library_kept_is_repeated() -> None:
    """On Python 3.11 ``wait_for`` returns its result in place of a cancellation of the same moment."""
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def listen() -> None:
        await asyncio.wait_for(sent, 60)
        await asyncio.sleep(3600)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    sent.set_result(None)
    await tasks.end([task])
    assert task.cancelled()


async def test_who_never_ends_is_left_and_named(caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()

    async def deaf() -> None:
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf(), name="deaf")
    await asyncio.sleep(0)
    await tasks.end([task])
    assert not task.done()
    assert [(one.message, vars(one)["task"]) for one in caplog.records] == [("a task does not end", "deaf")]
    stop.set()
    await task


async def test_the_error_of_a_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise RuntimeError("disk on fire")

    task = asyncio.create_task(broken(), name="broken")
    await asyncio.sleep(0)
    await tasks.end([task])
    (record,) = caplog.records
    assert (record.levelno, record.message) == (logging.ERROR, "a task failed")
    assert record.exc_info is not None
    assert record.exc_info[1] is task.exception()
