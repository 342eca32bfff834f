"""A shorter way to an operation for the requests that most callers send.

The framework finds and reads every header and field through machinery that costs several times what a prediction
does. The shorter way reads a plain JSON document and calls the same operation. Whatever is out of the ordinary,
and everything that is wrong, goes the framework's way, which alone decides what is refused and in which words.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from opentelemetry import trace
from pydantic import BaseModel, ValidationError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.call import Call, call_of, require_key
from app.api.envelope import MARKER

_JSON = b"application/json"
_IDEMPOTENCY_KEY, _MARKER, _API_KEY = b"idempotency-key", MARKER.lower().encode(), b"x-api-key"

Handler = Callable[[Request, Any], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Operation:
    route: APIRoute
    document: type[BaseModel]
    run: Callable[[BaseModel, Call], Awaitable[Response]]

    def read(self, message: Message) -> BaseModel | None:
        """Return the document, if the message holds all of a valid one."""
        if message["type"] != "http.request" or message.get("more_body"):
            return None
        try:
            return self.document.model_validate_json(message.get("body", b""))
        except ValidationError:
            return None


class Direct:
    """Answers ordinary requests itself, and passes all others on.

    Args:
        app: The framework's way.
        routes: Operations that take one document and the call, and need the key for writes.
        handlers: How the application answers errors, by their class.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute], handlers: Mapping[Any, Handler]) -> None:
        self._app = app
        self._handlers = handlers
        self._operations = dict(_operations(routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        operation = self._operations.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        # The spans of a traced request are the framework's.
        if operation is None or trace.get_current_span().is_recording():
            await self._app(scope, receive, send)
            return
        # Of several headers with one name the first counts.
        headers = dict(reversed(scope["headers"]))
        if headers.get(b"content-type") != _JSON or _IDEMPOTENCY_KEY in headers:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            message = await receive()
            document = operation.read(message)
            if document is None:
                await self._app(scope, _again(message, receive), send)
                return
            scope["route"] = operation.route
            await require_key(request, _text(headers.get(_API_KEY)))
            response = await operation.run(document, call_of(request, _text(headers.get(_MARKER)), None))
        except Exception as error:
            response = await self._refuse(request, error)
        await response(scope, receive, send)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        for kind in type(error).__mro__:
            if kind in self._handlers and kind is not Exception:
                answer = self._handlers[kind](request, error)
                return answer if isinstance(answer, Response) else await answer
        raise error


def _operations(routes: Sequence[BaseRoute]):
    for route in routes:
        if isinstance(route, APIRoute) and len(route.dependant.body_params) == 1:
            document = route.dependant.body_params[0].field_info.annotation
            for method in route.methods:
                yield (method, route.path), _Operation(route, document, route.endpoint)


def _again(message: Message, receive: Receive) -> Receive:
    """Return ``receive`` as it was before the message was taken."""
    messages = [message]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
