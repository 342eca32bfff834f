"""Idempotency keys: the answer is stored in the transaction that did the work, so both exist or neither.

A second request with the same key waits in the database until the first one's transaction ends.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.storage.engine import insert
from app.storage.tables import idempotency_keys


class KeyReusedError(Exception):
    """The key was used before for a different request."""


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key of a caller.

    Attributes:
        scope: What the key is valid for: tenant and path.
        value: The key itself.
        fingerprint: Digest of the request's body.
    """

    scope: str
    value: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was sent: status code and JSON text."""

    status: int
    body: str


async def claim(connection: AsyncConnection, key: Key) -> Reply | None:
    """Take the key for this transaction; return the stored answer if an earlier one has it.

    Raises:
        KeyReusedError: The earlier request was a different one.
    """
    taken = await connection.execute(
        insert(connection, idempotency_keys)
        .values(scope=key.scope, key=key.value, fingerprint=key.fingerprint, created_at=datetime.now(UTC))
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.key)
    )
    if taken.one_or_none() is not None:
        return None
    row = (await connection.execute(sa.select(idempotency_keys).where(*_is(key)))).one()
    if row.fingerprint != key.fingerprint:
        raise KeyReusedError
    return Reply(row.status, row.body)


async def remember(connection: AsyncConnection, key: Key, reply: Reply) -> None:
    """Store the answer beside the work."""
    await connection.execute(
        idempotency_keys.update().where(*_is(key)).values(status=reply.status, body=reply.body)
    )


def _is(key: Key) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return idempotency_keys.c.scope == key.scope, idempotency_keys.c.key == key.value
