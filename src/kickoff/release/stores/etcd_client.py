"""etcd over its JSON gateway: the calls that the store needs, to whichever member answers.

Every call is repeated, at another member if need be, until one answers or the patience ends. So every change
is made to be repeated: a transaction compares what it replaces, and what it wrote is recognized when the
answer to its first try was lost.
"""

import base64
import itertools
import ssl
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

import httpx

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.stores.etcd_members import Members

PATIENCE_SECONDS = 12.0
"""How long a member is looked for that answers: longer than an election takes."""
_CONNECT_SECONDS, _ANSWER_SECONDS = 2.0, 4.0
_PAUSE_SECONDS = 0.1
_NOT_FOUND, _EXHAUSTED = 5, 8
# Cancelled, deadline exceeded, aborted, internal, unavailable: an election, a member that stops, no quorum.
_PASSING = {1, 4, 10, 13, 14}

Document = dict[str, Any]
"""A comparison or an operation of a transaction, in the form of the gateway."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and its value.

    Attributes:
        created: Revision at which the key was made.
        modified: Revision at which it was last written.
        lease: Lease that it goes with; 0 for none.
    """

    key: str
    value: bytes
    created: int
    modified: int
    lease: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a transaction.

    Attributes:
        done: The comparisons held, or an earlier try of the same transaction was applied.
        found: What each range operation found.
    """

    done: bool
    found: list[list[Pair]]


class How(TypedDict, total=False):
    """How keys are asked for.

    Attributes:
        by: Order: ``KEY``, ``CREATE`` or ``MOD``.
        descending: Last first.
        limit: How many; 0 for all.
        keys_only: Leave the values out.
    """

    by: str
    descending: bool
    limit: int
    keys_only: bool


class LeaseGoneError(Exception):
    """The lease expired or was revoked."""


def put(key: str, value: bytes, lease: int = 0) -> Document:
    """Write a key."""
    return {"request_put": {"key": _encoded(key), "value": _base64(value), "lease": str(lease)}}


def delete(key: str) -> Document:
    """Remove a key."""
    return {"request_delete_range": {"key": _encoded(key)}}


def read(key: str) -> Document:
    """Read a key."""
    return {"request_range": {"key": _encoded(key)}}


def unchanged(key: str, modified: int) -> Document:
    """True while a key is as it was at this revision; 0 for one that is not there."""
    return {"target": "MOD", "result": "EQUAL", "key": _encoded(key), "mod_revision": str(modified)}


def untouched(prefix: str, revision: int) -> Document:
    """True while nothing below a prefix was written after this revision."""
    return {
        "target": "MOD",
        "result": "LESS",
        "key": _encoded(prefix),
        "range_end": _encoded(_end(prefix)),
        "mod_revision": str(revision + 1),
    }


def kept(key: str, created: int) -> Document:
    """True while a key that was made at this revision was not removed."""
    return {"target": "CREATE", "result": "EQUAL", "key": _encoded(key), "create_revision": str(created)}


def holds(key: str, value: bytes) -> Document:
    """True while a key has this value."""
    return {"target": "VALUE", "result": "EQUAL", "key": _encoded(key), "value": _base64(value)}


@dataclass
class Client:
    """A connection to a cluster.

    Args:
        members: The addresses, and the certificates to reach them by.
        patience: Seconds after which nobody is looked for any more.
    """

    members: Members
    patience: float = PATIENCE_SECONDS
    _clients: list[httpx.Client] = field(init=False)
    _current: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        verify = self.members.context() if self.members.encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        limits = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        self._clients = [
            httpx.Client(base_url=one, verify=verify, timeout=limits, trust_env=False)
            for one in self.members.endpoints
        ]
        weakref.finalize(self, _close, self._clients)

    def close(self) -> None:
        """Close the connections; they close with the last user of this client, too."""
        _close(self._clients)

    def get(self, key: str) -> Pair | None:
        """Return a key with its value, as a quorum knows it; ``None`` when it is not there."""
        found = _pairs(self._call("kv/range", {"key": _encoded(key)})[0])
        return found[0] if found else None

    def seen(self, prefix: str) -> tuple[dict[str, Pair], str]:
        """Return what is below a prefix, by its key, and the identity of the cluster.

        A restored cluster has another one. Reads are no transactions: a full database refuses those, too.
        """
        answer = self._call("kv/range", {"key": _encoded(prefix), "range_end": _encoded(_end(prefix))})[0]
        return {pair.key: pair for pair in _pairs(answer)}, str(answer["header"]["cluster_id"])

    def below(self, prefix: str, **how: Unpack[How]) -> list[Pair]:
        """Return what is below a prefix that ends in a slash; all of it, in the order of the keys."""
        return self.between(prefix, _end(prefix), **how)

    def between(self, key: str, end: str, **how: Unpack[How]) -> list[Pair]:
        """Return what is from ``key`` on and before ``end``."""
        question = {
            "key": _encoded(key),
            "range_end": _encoded(end),
            "limit": str(how.get("limit", 0)),
            "keys_only": how.get("keys_only", False),
            "sort_target": how.get("by", "KEY"),
            "sort_order": "DESCEND" if how.get("descending") else "ASCEND",
        }
        return _pairs(self._call("kv/range", question)[0])

    def transact(
        self, compare: Sequence[Document], then: Sequence[Document], otherwise: Sequence[Document] = ()
    ) -> Answer:
        """Write ``then`` if all comparisons hold, else do ``otherwise``, in one step.

        The first operation removes a key, or puts a value that nothing else writes. When an answer was lost,
        the same transaction is sent again, and its comparisons fail; that value then says that the lost one
        was applied. Where it was not, it never will be: it compares the same.

        Raises:
            LeaseGoneError: A key was to go with a lease that is gone.
            KickoffError: Nobody answers, or etcd refuses (exit 4).
        """
        first = then[0].get("request_put")
        asked = [*([{"request_range": {"key": first["key"]}}] if first else []), *otherwise]
        body = {"compare": list(compare), "success": list(then), "failure": asked}
        answer, repeated = self._call("kv/txn", body, writes=True)
        done, found = bool(answer.get("succeeded")), _found(answer)
        if not done and first:
            ours, *found = found
            done = repeated and any(_base64(one.value) == first["value"] for one in ours)
        return Answer(done, found)

    def grant(self, seconds: int) -> int:
        """Return a new lease; one whose answer was lost expires by itself."""
        return int(self._call("lease/grant", {"TTL": str(seconds), "ID": "0"})[0]["ID"])

    def keep_alive(self, lease: int) -> int:
        """Let a lease begin anew; return its seconds, 0 when it is gone."""
        answer = self._call("lease/keepalive", {"ID": str(lease)})[0]
        return int(answer.get("result", answer).get("TTL", 0))

    def revoke(self, lease: int) -> None:
        """End a lease, and the keys that go with it."""
        try:
            self._call("lease/revoke", {"ID": str(lease)})
        except LeaseGoneError:
            return

    def _call(self, path: str, body: Document, *, writes: bool = False) -> tuple[Document, bool]:
        """Return the first answer of a member, and whether an earlier try may have been applied.

        Raises:
            LeaseGoneError: It says so.
            KickoffError: No member answers, or etcd refuses (exit 4).
        """
        silent: dict[str, str] = {}
        deadline, repeated = time.monotonic() + self.patience, False
        for number in itertools.count(1):
            current = self._current
            name = self.members.endpoints[current]
            try:
                response = self._clients[current].post(f"/v3/{path}", json=body)
                answer = _document(response)
            except httpx.HTTPError as error:
                silent[name] = str(error) or type(error).__name__
                repeated = repeated or not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            else:
                if response.status_code == httpx.codes.OK:
                    return answer, repeated
                silent[name] = self._passing(answer, response.status_code)
                repeated = True
            if time.monotonic() >= deadline and number >= len(self._clients):  # each was asked
                raise self._unreachable(silent, unknown=repeated and writes)
            with self._lock:  # another thread may have gone on to the next one already
                if self._current == current:
                    self._current = (current + 1) % len(self._clients)
            if number % len(self._clients) == 0:
                time.sleep(_PAUSE_SECONDS)
        raise AssertionError  # the count has no end

    def _passing(self, answer: Document, status: int) -> str:
        """Return what a member said that another one, or a later moment, may answer otherwise.

        Raises:
            LeaseGoneError: It says so.
            KickoffError: All members would say the same (exit 4).
        """
        code, said = answer.get("code", 0), str(answer.get("message") or answer.get("error") or status)
        if code == _NOT_FOUND and "lease" in said:
            raise LeaseGoneError(said)
        if code == _EXHAUSTED and "space" in said:
            raise KickoffError(
                "etcd takes no more writes: its database is full (alarm NOSPACE)",
                code=ExitCode.UNREACHABLE,
                causes=[said],
                at=", ".join(self.members.endpoints),
                hint="on a member: `etcdctl compact --physical REVISION`, `etcdctl defrag`, "
                "then `etcdctl alarm disarm`",
            )
        if code in _PASSING or status >= httpx.codes.INTERNAL_SERVER_ERROR or "too many requests" in said:
            return said
        raise KickoffError(
            f"etcd refuses: {said}",
            code=ExitCode.UNREACHABLE,
            at=", ".join(self.members.endpoints),
        )

    def _unreachable(self, silent: dict[str, str], *, unknown: bool) -> KickoffError:
        rest = (
            "; whether the last write was applied is not known, and the next command looks" if unknown else ""
        )
        return KickoffError(
            f"no answer from etcd within {self.patience:g} s{rest}",
            code=ExitCode.UNREACHABLE,
            causes=[f"{name}: {why}" for name, why in silent.items()],
            at=", ".join(silent),
            hint="a quorum of its members must run: `etcdctl endpoint health --cluster` says which do not",
        )


def _close(clients: Sequence[httpx.Client]) -> None:
    for client in clients:
        client.close()


def _document(response: httpx.Response) -> Document:
    try:
        answer = response.json()
    except ValueError:
        raise httpx.DecodingError(f"status {response.status_code} without JSON") from None
    return answer if isinstance(answer, dict) else {}


def _found(answer: Document) -> list[list[Pair]]:
    responses = answer.get("responses", ())
    return [_pairs(one["response_range"]) for one in responses if "response_range" in one]


def _pairs(answer: Document) -> list[Pair]:
    return [
        Pair(
            base64.b64decode(one["key"]).decode(),
            base64.b64decode(one.get("value", "")),
            int(one["create_revision"]),
            int(one["mod_revision"]),
            int(one.get("lease", 0)),
        )
        for one in answer.get("kvs", ())
    ]


def _end(prefix: str) -> str:
    """Return the end of the keys below ``prefix``, which ends in a slash: 0 is what follows it."""
    return f"{prefix.removesuffix('/')}0"


def _encoded(key: str) -> str:
    return _base64(key.encode())


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
