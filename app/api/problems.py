"""Errors as problem documents (RFC 9457, ``application/problem+json``)."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from app.service import ResultConflictError
from app.storage.engine import DatabaseUnavailableError
from app.storage.idempotency import KeyReusedError
from app.telemetry.logs import REQUEST_ID

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
MISTAKE = "the service made a mistake"
# Python before 3.13 knows these two by the names of an older standard.
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}


class FieldError(BaseModel):
    """What is wrong with one field."""

    location: str = Field(examples=["body.away_team"])
    message: str = Field(examples=["String should have at least 1 character"])


class Problem(BaseModel):
    """An error. Send the request id along when you report one."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["1 field is wrong"])
    request_id: str = Field(examples=["0c1f6b1a7a3e4b0f9b0f6b1a7a3e4b0f"])
    errors: list[FieldError] = Field(default_factory=list)


def problem(
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error response."""
    return Response(body(status, detail, errors=errors), status, dict(headers or {}), MEDIA_TYPE)


def body(status: int, detail: str, *, errors: Sequence[Mapping[str, str]] = ()) -> bytes:
    """Return a problem document as JSON."""
    return json.dumps(
        {
            "type": "about:blank",
            "title": _phrase(status),
            "status": status,
            "detail": detail,
            "request_id": REQUEST_ID.get(),
            "errors": list(errors),
        }
    ).encode()


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of the errors an operation answers with."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": _phrase(status), "content": {MEDIA_TYPE: schema}} for status in statuses}


def schemas() -> dict[str, Any]:
    """Return OpenAPI's description of a problem document."""
    problem_schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**problem_schema.pop("$defs"), "Problem": problem_schema}


def _methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """Return the methods of all operations at this path; the framework names those of the first one alone."""
    found = [route for route in routes if route.matches(scope)[0] is not Match.NONE]
    return sorted({method for route in found if isinstance(route, Route) for method in route.methods or ()})


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer every error of the application with a problem document.

    Args:
        app: The application.
        routes: The operations of its routers.
    """

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods([*routes, *app.routes], request.scope))
        return problem(error.status_code, str(error.detail), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        errors = [
            {
                "location": ".".join(str(part) for part in one["loc"]),
                "message": str(one["msg"]).removeprefix("Value error, "),
            }
            for one in error.errors()
        ]
        count = "1 field is" if len(errors) == 1 else f"{len(errors)} fields are"
        return problem(422, f"{count} wrong", errors=errors)

    @app.exception_handler(ResultConflictError)
    async def conflict(_request: Request, _error: ResultConflictError) -> Response:
        return problem(409, "the match was settled before, with another result")

    @app.exception_handler(KeyReusedError)
    async def key_reused(_request: Request, _error: KeyReusedError) -> Response:
        return problem(422, "this Idempotency-Key was used before, for a different request")

    @app.exception_handler(DatabaseUnavailableError)
    async def no_database(_request: Request, error: DatabaseUnavailableError) -> Response:
        _LOG.error("the database is unavailable", extra={"cause": str(error)})
        return problem(503, "the database is unavailable", headers={"Retry-After": "1"})
