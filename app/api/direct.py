"""A shorter way to an operation for the requests that most callers send.

The framework finds and reads every header and field through machinery that costs several times what a
prediction does. The shorter way reads a plain JSON document and calls the same operation. Whatever is out of
the ordinary, and everything that is wrong, goes the framework's way, which alone decides what is refused and
in which words.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from opentelemetry import trace
from pydantic import BaseModel, ValidationError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.call import call_of, current_call, require_key
from app.api.envelope import MARKER

_JSON = b"application/json"
_IDEMPOTENCY_KEY, _MARKER, _API_KEY = b"idempotency-key", MARKER.lower().encode(), b"x-api-key"

ErrorHandler = Callable[[Request, Any], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation that needs a document, the call and the key for writes, and nothing else."""

    route: APIRoute
    model: type[BaseModel]
    document: str
    call: str

    def read(self, message: Message) -> BaseModel | None:
        """Return the document, if the message holds all of a valid one."""
        if message["type"] != "http.request" or message.get("more_body"):
            return None
        try:
            return self.model.model_validate_json(message.get("body", b""))
        except ValidationError:
            return None


class Direct:
    """Answers ordinary requests itself, and passes all others on.

    Args:
        app: The framework's way.
        routes: All operations; those that need more than a document keep to the framework's way.
        handlers: How the application answers errors, by their class.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], handlers: Mapping[Any, ErrorHandler]
    ) -> None:
        self._app = app
        # The one for any other error belongs to the layer around everything.
        self._handlers = {kind: handler for kind, handler in handlers.items() if kind is not Exception}
        self._operations = dict(_operations(routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        operation = self._operation(scope)
        if operation is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = operation.route
        request = Request(scope, receive, send)
        try:
            message = await receive()
            document = operation.read(message)
            if document is not None:
                response = await self._answer(operation, request, document)
        except Exception as error:
            response = await self._refuse(request, error)
        else:
            if document is None:
                await self._app(scope, _again(message, receive), send)
                return
        await response(scope, receive, send)

    def _operation(self, scope: Scope) -> _Operation | None:
        """Return what an ordinary request asks for."""
        operation = self._operations.get((scope.get("method", ""), scope.get("path", "")))
        # The spans of a traced request are the framework's.
        if operation is None or trace.get_current_span().is_recording():
            return None
        headers = _headers(scope)
        ordinary = headers.get(b"content-type") == _JSON and _IDEMPOTENCY_KEY not in headers
        return operation if ordinary else None

    async def _answer(self, operation: _Operation, request: Request, document: BaseModel) -> Response:
        headers = _headers(request.scope)
        await require_key(request, _text(headers.get(_API_KEY)))
        call = call_of(request, _text(headers.get(_MARKER)), None)
        response: Response = await operation.route.endpoint(
            **{operation.document: document, operation.call: call}
        )
        return response

    async def _refuse(self, request: Request, error: Exception) -> Response:
        for kind in type(error).__mro__:
            if kind in self._handlers:
                answer = self._handlers[kind](request, error)
                return await answer if inspect.isawaitable(answer) else answer
        raise error


def _operations(routes: Sequence[BaseRoute]) -> Iterator[tuple[tuple[str, str], _Operation]]:
    for route in routes:
        if not isinstance(route, APIRoute):
            continue
        needs = route.dependant
        others = [*needs.path_params, *needs.query_params, *needs.header_params, *needs.cookie_params]
        needed = {one.call: one.name for one in needs.dependencies}
        models = [field.field_info.annotation for field in needs.body_params]
        if others or needed.keys() != {current_call, require_key} or len(models) != 1:
            continue
        (model,) = models
        call = needed[current_call]
        if isinstance(model, type) and issubclass(model, BaseModel) and call is not None:
            for method in route.methods or ():
                yield (method, route.path), _Operation(route, model, needs.body_params[0].name, call)


def _again(message: Message, receive: Receive) -> Receive:
    """Return ``receive`` as it was before the message was taken."""
    messages = [message]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def _headers(scope: Scope) -> dict[bytes, bytes]:
    # Of several headers with one name the first counts.
    return dict(reversed(scope["headers"]))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
