"""Where history is read: on a replica, which may be a moment behind, or on the primary when none answers."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pybreaker
import sqlalchemy as sa

from app.storage.engine import Database, DatabaseUnavailableError

_LOG = logging.getLogger(__name__)
# A replica that hangs must not cost a request its own time limit.
_LONGEST_SECONDS = 2.0
_PAUSE_SECONDS = 2
_ALIVE = sa.select(sa.literal(1))


class ReplicaFirst:
    """Asks the replica, and the primary while the replica does not answer.

    After a failure the replica is left alone for two seconds, so an outage costs few requests any time.

    Args:
        primary: Answers when the replica does not.
        replica: A database that follows the primary.
    """

    def __init__(self, primary: Database, replica: Database) -> None:
        self._primary = primary
        self._replica = replica
        self._abandoned: set[asyncio.Task[Sequence[sa.RowMapping]]] = set()
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=1, reset_timeout=_PAUSE_SECONDS, exclude=[asyncio.CancelledError], name="replica"
        )

    @property
    def used(self) -> bool:
        """Whether history is read on the replica at present."""
        return bool(self._breaker.current_state == pybreaker.STATE_CLOSED)

    @property
    def connections_in_use(self) -> int:
        """The number of connections to the replica in use."""
        return self._replica.connections_in_use

    async def rows(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        """Return what a query finds, on whichever of the two answers.

        Raises:
            DatabaseUnavailableError: Neither answers.
        """
        try:
            return await self._ask(query)
        except DatabaseUnavailableError:
            return await self._primary.rows(query)

    async def check(self) -> None:
        """Ask the replica for a sign of life.

        Raises:
            DatabaseUnavailableError: There is none; the primary answers in its place.
        """
        await self._ask(_ALIVE)

    async def close(self) -> None:
        """Close the connections to the replica."""
        if self._abandoned:
            await asyncio.wait(self._abandoned, timeout=_LONGEST_SECONDS)
        await self._replica.close()

    async def _ask(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        try:
            with self._breaker.calling():
                found = await self._in_time(query)
        except pybreaker.CircuitBreakerError as error:
            self._lost(error)
            raise DatabaseUnavailableError("left alone for a moment after a failure") from error
        except TimeoutError as error:
            self._lost(error)
            raise DatabaseUnavailableError(f"no answer within {_LONGEST_SECONDS:g} s") from error
        except DatabaseUnavailableError as error:
            self._lost(error)
            raise
        return found

    async def _in_time(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        """Ask the replica, and do not wait for a query that was given up: to cancel one takes seconds too."""
        task = asyncio.create_task(self._replica.rows(query), name="replica-query")
        try:
            await asyncio.wait({task}, timeout=_LONGEST_SECONDS)
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                self._abandoned.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Sequence[sa.RowMapping]]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.debug("a query that was given up failed", extra={"cause": str(error)})

    def _lost(self, error: Exception) -> None:
        _LOG.debug("the replica does not answer: the primary does", extra={"cause": str(error)})
