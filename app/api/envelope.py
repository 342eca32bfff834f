"""What every request gets, whatever happens inside: request id, time limit, metrics, a log line."""

import asyncio
import logging
import os
import re
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems
from app.drain import Drain
from app.telemetry import metrics
from app.telemetry.clients import ActiveClients
from app.telemetry.logs import REQUEST_ID, current_trace

_LOG = logging.getLogger("app.access")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# The pipeline drains a release until nothing is in flight; its own questions must not count.
_UNCOUNTED = ("/health", "/metrics")

MARKER = "X-Kickoff-Check"
_MARKER = MARKER.lower().encode()
LARGEST_BODY = 64 * 1024


class Envelope:
    """The outermost middleware.

    Args:
        app: Everything else.
        drain: Knows whether the process is about to end.
        clients: Counts who was here.
        timeout: Seconds after which a request is answered with 504.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain, clients: ActiveClients, timeout: float) -> None:
        self._app = app
        self._clients = clients
        self._drain = drain
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._drain)
        token = REQUEST_ID.set(exchange.request_id)
        counted = not scope["path"].startswith(_UNCOUNTED)
        if counted:
            self._drain.request_arrived()
            if exchange.traffic == "user" and scope.get("client"):
                self._clients.seen(scope["client"][0])
            metrics.IN_FLIGHT.inc()
        try:
            await self._run(exchange, scope, receive)
        finally:
            if counted:
                metrics.IN_FLIGHT.dec()
            exchange.finish()
            REQUEST_ID.reset(token)

    async def _run(self, exchange: "_Exchange", scope: Scope, receive: Receive) -> None:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                await self._app(scope, exchange.limited(receive), exchange.send)
        except TimeoutError:
            if not limit.expired():
                await exchange.fail(500, problems.MISTAKE)
                return
            await exchange.fail(504, f"not finished within {self._timeout:g} s")
        except Exception:
            _LOG.exception("unhandled error", extra={"path": scope["path"]})
            await exchange.fail(500, problems.MISTAKE)


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, send: Send, drain: Drain) -> None:
        self._scope = scope
        self._send = send
        self._drain = drain
        self._begun = time.perf_counter()
        self._status = 0
        self._complete = False
        self._trace_id = ""
        # Of several headers with one name the first counts.
        headers = dict(reversed(scope["headers"]))
        given = headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        self.traffic = "synthetic" if headers.get(_MARKER) else "user"

    def limited(self, receive: Receive) -> Receive:
        """Return ``receive`` with a limit on the body, whether or not its length was declared."""
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise HTTPException(413, f"a body may have {LARGEST_BODY} bytes")
            return message

        return receive_some

    async def send(self, message: Message) -> None:
        """Send a part of the response, with our headers on the first one."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._trace_id = current_trace()
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            if self._drain.draining:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        else:
            self._complete = not message.get("more_body", False)
        await self._send(message)

    async def fail(self, status: int, detail: str) -> None:
        """Answer with an error, unless there is an answer; half of one ends the connection."""
        if self._complete:
            return
        if self._status:
            raise ConnectionError(f"{detail}, after the response had begun")
        body = problems.body(status, detail)
        headers = [
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def finish(self) -> None:
        """Count and log the request."""
        seconds = time.perf_counter() - self._begun
        route = getattr(self._scope.get("route"), "path", "unmatched")
        method = self._scope["method"] if route != "unmatched" else "any"
        metrics.REQUESTS.labels(method, route, self._status, self.traffic).observe(seconds)
        level = logging.DEBUG if self._scope["path"].startswith(_UNCOUNTED) else logging.INFO
        if _LOG.isEnabledFor(level):
            _LOG.log(
                level,
                "%s %s %s",
                self._scope["method"],
                self._scope["path"],
                self._status,
                extra={
                    "route": route,
                    "status": self._status,
                    "milliseconds": round(seconds * 1000, 2),
                    "traffic": self.traffic,
                    **({"trace_id": self._trace_id} if self._trace_id else {}),
                },
            )
