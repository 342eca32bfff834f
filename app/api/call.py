"""What the operations share: who calls, on whose behalf, and whether the answer was given before."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Request, Response
from fastapi.security import APIKeyHeader
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.envelope import MARKER
from app.service import Football, tenant_of
from app.storage import idempotency
from app.storage.engine import Database, Reader
from app.storage.idempotency import Key, Reply
from app.telemetry import metrics

_API_KEY = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="Needed for writes where the environment sets `API_KEY`."
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as the operations see it.

    Attributes:
        football: The use cases.
        database: For transactions that hold more than one step.
        history: For reading what may be a moment old.
        tenant: Whose data it reads and writes; every check of the pipeline has a tenant of its own.
        scope: What an idempotency key is valid for.
        idempotency_key: The caller's key; ``None`` without one.
    """

    football: Football
    database: Database
    history: Reader
    tenant: str
    scope: str
    idempotency_key: str | None

    async def once(self, fingerprint: str, work: Callable[[AsyncConnection], Awaitable[Reply]]) -> Response:
        """Do the work in one transaction, or repeat the answer that this key got before.

        Args:
            fingerprint: The request's content; a key belongs to one content.
            work: What to do; it returns the answer.

        Raises:
            KeyReusedError: The key was used for a different request.
        """
        key = None
        if self.idempotency_key is not None:
            digest = hashlib.sha256(fingerprint.encode()).hexdigest()
            key = Key(self.scope, self.idempotency_key, digest)
        async with self.database.write() as connection:
            if key is not None and (earlier := await idempotency.claim(connection, key)) is not None:
                return respond(earlier, {"Idempotent-Replayed": "true"})
            reply = await work(connection)
            if key is not None:
                await idempotency.remember(connection, key, reply)
        return respond(reply)


def respond(reply: Reply, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(reply.body, reply.status, headers, "application/json")


async def current_call(
    request: Request,
    marker: Annotated[
        str | None, Header(alias=MARKER, description="Name of a check: marks traffic that is nobody's.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[!-~]{1,128}$",
            description="Repeat a request with its key and you get the first answer again.",
        ),
    ] = None,
) -> Call:
    """Return the call, as its headers describe it."""
    state = request.app.state
    tenant = tenant_of(marker)
    return Call(
        football=state.football,
        database=state.database,
        history=state.history,
        tenant=tenant,
        scope=f"{tenant} {request.scope['path']}",
        idempotency_key=idempotency_key,
    )


async def require_key(request: Request, given: Annotated[str | None, Depends(_API_KEY)]) -> None:
    """Refuse a write without a key of the environment; the comparison takes as long for every wrong one."""
    expected: dict[str, bytes] = request.app.state.api_keys
    text = (given or "").encode()
    found = [name for name, key in expected.items() if secrets.compare_digest(text, key)]
    if expected and not found:
        raise HTTPException(401, "a valid X-API-Key is needed", {"WWW-Authenticate": "ApiKey"})
    if found and not request.headers.get(MARKER):
        metrics.KEYS_USED.labels(found[0]).inc()


CurrentCall = Annotated[Call, Depends(current_call)]
