"""How an answer is sent: what belongs together goes out together, and nothing stays behind."""

import asyncio
from typing import cast

from app.protocol import JoinedTransport


class Transport:
    """Records what is sent."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


def joined() -> tuple[JoinedTransport, Transport]:
    transport = Transport()
    return JoinedTransport(cast(asyncio.Transport, transport), asyncio.get_running_loop()), transport


async def test_head_and_body_are_sent_together() -> None:
    sender, transport = joined()
    for data in (b"head 1, ", b"body 1", b"head 2, ", b"", b"head 3, ", b"body 3"):
        sender.write(data)
    assert transport.done == [b"head 1, body 1", b"head 2, ", b"head 3, body 3"]
    await asyncio.sleep(0)
    assert len(transport.done) == 3


async def test_a_head_alone_is_not_kept_waiting() -> None:
    sender, transport = joined()
    sender.write(b"head")
    assert transport.done == []
    await asyncio.sleep(0)
    assert transport.done == [b"head"]
    sender.write(b"body")
    await asyncio.sleep(0)
    assert transport.done == [b"head", b"body"]


async def test_hanging_up_leaves_nothing_behind() -> None:
    sender, transport = joined()
    sender.write(b"the last words")
    sender.close()
    assert transport.done == [b"the last words", "closed"]
    assert sender.is_closing()
