"""The fence of an environment in etcd: one writer at a time, for as long as it lives.

It lets no writer begin before the effects of another have ended. That a writer which lost it unknowingly
changes nothing is the business of each write's comparison, not of the fence.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kickoff.errors import KickoffError
from kickoff.release.stores.etcd_client import Client, LeaseGoneError, Pair, delete, kept, put, read
from kickoff.release.stores.lease import Owner, birth_of_this_process

SECONDS = 10
"""Seconds after which the fence of a holder that shows no life, on another host, falls."""
_LOOK_AGAIN = 0.05


class Fence:
    """A key that one writer makes and removes; it goes with a lease that the writer keeps alive.

    Args:
        client: The cluster.
        key: The key.
    """

    def __init__(self, client: Client, key: str) -> None:
        self._client = client
        self.key = key
        self._lease, self._alive_at = 0, 0.0
        self._left: set[bytes] = set()

    @contextmanager
    def held(self) -> Iterator[int]:
        """Wait until nobody else is inside; yield the revision at which the key was made.

        Raises:
            KickoffError: etcd does not answer, or takes no writes (exit 4).
        """
        me = self._name()
        try:
            created = self._take(me)
        except KickoffError:
            self._left.add(me)  # what was sent may yet arrive
            raise
        over = threading.Event()
        threading.Thread(target=self._keep_alive, args=(self._lease, over), daemon=True).start()
        try:
            yield created
        finally:
            over.set()
            try:
                self._client.transact([kept(self.key, created)], [delete(self.key)])
            except KickoffError:  # what was written is durable, and the key expires
                self._left.add(me)

    def _name(self) -> bytes:
        mine = {"host": socket.gethostname(), "pid": os.getpid(), "born": birth_of_this_process()}
        return json.dumps(mine | {"nonce": secrets.token_hex(8)}).encode()

    def _take(self, me: bytes) -> int:
        look = [read(self.key)]
        while True:
            try:
                write = put(self.key, me, self._living_lease())
                answer = self._client.transact([kept(self.key, 0)], [write, *look], look)
            except LeaseGoneError:
                self._lease = 0
                continue
            for holder in answer.found[0]:
                if holder.value == me:
                    return holder.created
                self._outlast(holder)

    def _outlast(self, holder: Pair) -> None:
        """Wait until a holder is gone, and remove what it left; reading alone costs the cluster little."""
        now: Pair | None = holder
        while now is not None and now.value == holder.value:
            if holder.value in self._left or _died_here(holder.value):
                self._client.transact([kept(self.key, holder.created)], [delete(self.key)])
            else:
                time.sleep(_LOOK_AGAIN)
            now = self._client.get(self.key)

    def _living_lease(self) -> int:
        """Return a lease that lasts at least until it is first kept alive."""
        if not self._lease or time.monotonic() - self._alive_at > SECONDS / 2:
            self._lease, self._alive_at = self._client.grant(SECONDS), time.monotonic()
        return self._lease

    def _keep_alive(self, lease: int, over: threading.Event) -> None:
        while not over.wait(SECONDS / 4):
            now = time.monotonic()
            # The writer itself meets what keeps etcd from answering.
            with suppress(KickoffError, LeaseGoneError):
                if self._client.keep_alive(lease):
                    self._alive_at = now


def _died_here(value: bytes) -> bool:
    """True when the holder was a process of this host, and is no more."""
    try:
        holder = json.loads(value)
        here = holder["host"] == socket.gethostname()
        return here and not Owner("", "", int(holder["pid"]), float(holder["born"])).at_work
    except (ValueError, KeyError, TypeError):
        return False  # it expires
