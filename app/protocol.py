"""What differs from uvicorn's protocol: the answer to what is not HTTP, and how an answer is sent."""

import asyncio
import json
import os
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol; its refusal of a malformed request names the release and is a problem document."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a connection."""
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, JoinedTransport(transport, self.loop))

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and hang up."""
        problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": msg}
        body = json.dumps(problem).encode()
        release = os.environ.get("KICKOFF_RELEASE") or "unreleased"
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"x-release: {release}\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class JoinedTransport:
    """Sends two writes of the same moment as one: the server writes head and body of an answer separately.

    Args:
        transport: What it sends with.
        loop: The event loop; a write that stays alone is sent in its next round.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._first = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes, now or in a moment."""
        if self._first:
            first, self._first = self._first, b""
            self._transport.write(first + data)
        else:
            self._first = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is left, and hang up."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._first:
            first, self._first = self._first, b""
            self._transport.write(first)
