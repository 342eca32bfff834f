"""The lock of an environment in etcd: who holds it under which token, and the lease that says until when.

The token is a counter in the key that every write compares, raised by the transaction that gives it away.
That key stays when the lease expires and when the lock is freed, so no token comes twice. A revision of etcd
would have grown as well, but both go back when a snapshot is restored, which shows by the cluster's identity.
"""

import json
import math
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from kickoff import __version__
from kickoff.errors import ExitCode, KickoffError
from kickoff.release.stores import UNLOCK, migrations
from kickoff.release.stores.etcd_client import (
    Client,
    Document,
    LeaseGoneError,
    Pair,
    delete,
    holds,
    put,
    unchanged,
)
from kickoff.release.stores.etcd_keys import Keys
from kickoff.release.stores.lease import Lease

VERSION = 1
"""The version of what this code writes."""
RESTORED = 1_000_000
"""Tokens that are left out after a restore: more than can have been given since the snapshot."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The lock, and what it was read from.

    Attributes:
        owner: Key of the lock's content.
        holder: Key of token and attempt.
        alive: Key that is there until the lease expires.
        version: Key of the version.
        cluster: Identity of the cluster that answered.
        place: Prefix of the environment, for people.
    """

    owner: Pair | None
    holder: Pair | None
    alive: Pair | None
    version: Pair | None
    cluster: str
    place: str

    @property
    def restored(self) -> bool:
        """True when another cluster wrote this: the one here was restored from a snapshot."""
        return bool(self.version) and self.written_by().get("cluster") != self.cluster

    def written_by(self) -> dict[str, Any]:
        """Return the version's document; empty when nothing was ever written.

        Raises:
            KickoffError: A newer version of Kickoff wrote it (exit 2), or the record is damaged (exit 4).
        """
        if self.version is None:
            return {}
        try:
            document = dict(json.loads(self.version.value))
            migrations.known(int(document["version"]), VERSION, str(document["kickoff"]), self.version.key)
        except (ValueError, KeyError, TypeError):
            raise KickoffError(
                "the version of the state is damaged",
                code=ExitCode.UNREACHABLE,
                at=self.version.key,
                hint="restore a snapshot of etcd",
            ) from None
        return document

    def understood(self) -> Lease:
        """Return the lease.

        Raises:
            KickoffError: It is damaged (exit 4).
        """
        if self.owner is None and self.holder is None:
            return Lease(0, "", None, 0.0)
        try:
            document = json.loads(self.owner.value) if self.owner else {}
            lease = Lease.from_document(document)
            if self.holder is None or self.holder.value != _holder(lease):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise KickoffError(
                "the lock is damaged",
                code=ExitCode.UNREACHABLE,
                at=f"{self.place}lock/",
                hint=UNLOCK.format(self.place.rstrip("/").rpartition("/")[2]),
            ) from None
        if lease.owner is None:
            return lease
        here = socket.gethostname()
        owner = replace(lease.owner, host="" if lease.owner.host == here else lease.owner.host)
        if self.alive is None:
            return replace(lease, owner=owner, expires=0.0)
        # etcd says that it lasts, so a clock that says otherwise is wrong: this one's, or the holder's.
        return replace(lease, owner=owner, expires=max(lease.expires, time.time() + 1))


class Lock:
    """The lock of an environment.

    Args:
        client: The cluster.
        keys: The keys of the environment.
    """

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client, self._keys = client, keys

    def look(self) -> Seen:
        """Return the lock as it is at this moment.

        Raises:
            KickoffError: A newer version of Kickoff wrote it (exit 2), or no member answers (exit 4).
        """
        found, cluster = self._client.seen(self._keys.lock)
        keys = (self._keys.owner, self._keys.holder, self._keys.alive, self._keys.version)
        owner, holder, alive, version = map(found.get, keys)
        seen = Seen(owner, holder, alive, version, cluster, self._keys.prefix)
        seen.written_by()
        return seen

    def guard(self, lease: Lease) -> Document:
        """Return the comparison that holds while ``lease`` owns the lock."""
        if not lease.token:
            return unchanged(self._keys.holder, 0)
        return holds(self._keys.holder, _holder(lease))

    def settle(self) -> None:
        """Record version and cluster where they are not; after a restore, raise the token above all.

        Raises:
            KickoffError: A newer version of Kickoff wrote the state (exit 2), or no member answers (exit 4).
        """
        while True:
            seen = self.look()
            if seen.version and not seen.restored:
                return
            document = {"version": VERSION, "kickoff": __version__, "cluster": seen.cluster}
            text = json.dumps(document | {"write": secrets.token_hex(8)})
            version = put(self._keys.version, text.encode())
            compare = [unchanged(self._keys.version, seen.version.modified if seen.version else 0)]
            if not seen.restored:
                if self._client.transact(compare, [version]).done:
                    return
                continue
            try:
                lease = seen.understood()
            except KickoffError:  # it is still known as restored once it was unlocked
                return
            lifted = self._put(replace(lease, token=lease.token + RESTORED))
            if self._client.transact([*compare, *self._as_seen(seen)], [version, *lifted]).done:
                return

    def write(self, seen: Seen, lease: Lease, ttl: float, more: Sequence[Document] = ()) -> bool:
        """Write a lease in the place of what was seen; return False when that has changed meanwhile.

        Args:
            seen: What it is written over.
            lease: The lease.
            ttl: Seconds until it expires; in etcd, by whose clock.
            more: Further operations of the same transaction.
        """
        seconds, old = math.ceil(ttl), seen.alive.lease if seen.alive else 0
        same = seen.holder is not None and seen.holder.value == _holder(lease)
        while True:
            alive, renewed = delete(self._keys.alive), 0
            if lease.owner is not None and seconds > 0:
                # An overtaken run may still renew the lease that it had: the next holder has one of its own.
                if same and old and self._client.keep_alive(old) == seconds:
                    renewed = old
                else:
                    renewed = self._client.grant(seconds)
                alive = put(self._keys.alive, str(lease.token).encode(), renewed)
            try:
                done = self._client.transact(self._as_seen(seen), [*self._put(lease), alive, *more]).done
            except LeaseGoneError:
                old = 0
                continue
            if done and old and old != renewed:
                with suppress(KickoffError):  # it expires
                    self._client.revoke(old)
            return done

    def _as_seen(self, seen: Seen) -> list[Document]:
        return [
            unchanged(self._keys.owner, seen.owner.modified if seen.owner else 0),
            unchanged(self._keys.holder, seen.holder.modified if seen.holder else 0),
        ]

    def _put(self, lease: Lease) -> list[Document]:
        if lease.owner is not None and not lease.owner.host:
            lease = replace(lease, owner=replace(lease.owner, host=socket.gethostname()))
        text = json.dumps(lease.to_document() | {"write": secrets.token_hex(8)})
        return [put(self._keys.owner, text.encode()), put(self._keys.holder, _holder(lease))]


def _holder(lease: Lease) -> bytes:
    return f"{lease.token} {lease.attempt}".encode()
