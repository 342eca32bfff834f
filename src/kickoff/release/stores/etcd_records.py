"""Journal, history and state in etcd: how they are read, and the writes of a transaction."""

import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import now
from kickoff.release.model import State
from kickoff.release.stores import Observer
from kickoff.release.stores.etcd_client import Client, Document, delete, put, unchanged, untouched
from kickoff.release.stores.etcd_keys import Keys
from kickoff.release.stores.etcd_releases import packed
from kickoff.release.stores.history import Chain

STAMP = "kickoff"
"""Key of a tree that was replaced: different each time, and there even where the tree is empty."""
_PAGE = 64
"""Entries of the history that are asked for at once."""
_MOST = 128
"""Operations that etcd takes in a transaction by default."""


class EtcdHistory(Chain):
    """The history, one key for each entry."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client, self._keys = client, keys

    def _read(self) -> list[bytes]:
        return list(self._read_newest())[::-1]

    def _read_newest(self) -> Iterator[bytes]:
        end = f"{self._keys.history}:"  # follows the digits
        limit = 1  # mostly the newest is all that is asked for
        while pairs := self._client.between(self._keys.history, end, descending=True, limit=limit):
            for pair in pairs:
                yield pair.value
            end, limit = pairs[-1].key, _PAGE

    def _place(self, number: int) -> str:
        return self._keys.entry(number)


def record_of(keys: Keys, record: dict[str, Any]) -> tuple[dict[str, Any], list[Document]]:
    """Return a record with its time, and the operations that add it to the journal.

    A record has a key of its own below its attempt, so that what finished costs nothing to whoever asks what
    is open. etcd's revisions have the order; the key says the time to people.
    """
    record = {"at": now(), **record}
    attempt = str(record.get("attempt", ""))
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    operations = [put(f"{keys.attempt(attempt)}{record['at']}-{secrets.token_hex(8)}", text)]
    if record["event"] == "opened":
        operations.append(put(keys.opened(attempt), b""))
    elif record["event"] == "finished":
        operations.append(delete(keys.opened(attempt)))
    return record, operations


class EtcdTransaction:
    """Writes of whoever holds the fence, each a transaction of etcd.

    Args:
        client: The cluster.
        keys: The keys of the environment.
        observer: Sees each record once it is durable.
        guard: True while this writer may write; every write compares it.
        lost: Raises what is to be said when it may not.
    """

    def __init__(
        self, client: Client, keys: Keys, observer: Observer | None, guard: Document, lost: Callable[[], None]
    ) -> None:
        self._client, self._keys, self._observer = client, keys, observer
        self._guard, self._lost = guard, lost

    def save(self, state: State) -> None:
        """Record who runs where."""
        key = self._keys.state
        # Unlike any other write of the same state: so it is known whether a lost answer was a yes.
        text = json.dumps(state.to_document() | {"write": secrets.token_hex(8)}).encode()

        def operations() -> tuple[list[Document], list[Document]]:
            pair = self._client.get(key)
            return [unchanged(key, pair.modified if pair else 0)], [put(key, text)]

        self._write(operations)

    def note(self, **record: Any) -> None:  # noqa: ANN401 - records are open JSON objects
        """Record how far an attempt has come."""
        record, operations = record_of(self._keys, record)
        key = operations[0]["request_put"]["key"]
        fresh = {"target": "MOD", "result": "EQUAL", "key": key, "mod_revision": "0"}
        self._write(lambda: ([fresh], operations))
        if self._observer is not None:
            self._observer(record)

    def record(self, action: str, outcome: str, release: str, previous: str, **data: Any) -> None:  # noqa: ANN401
        """Add an entry to the history."""
        history = EtcdHistory(self._client, self._keys)

        def operations() -> tuple[list[Document], list[Document]]:
            number, line = history.following(action, outcome, release, previous, data)
            return [unchanged(self._keys.entry(number), 0)], [put(self._keys.entry(number), line)]

        self._write(operations)

    def keep_release(self, folder: Path) -> None:
        """Keep what a release folder holds, unless it is too large, for hosts that do not have it."""
        value = packed(folder)
        if value is not None:
            self._write(lambda: ([], [put(self._keys.release(folder.name), value)]))

    def forget_releases(self, kept: Collection[str]) -> None:
        """Forget all releases but these."""
        wanted = {self._keys.release(name) for name in kept}
        known = self._client.below(self._keys.releases, keys_only=True)
        gone = [pair.key for pair in known if pair.key not in wanted]
        if gone:
            self._write(lambda: ([], [delete(key) for key in gone]))

    def replace(self, tree: str, values: Mapping[str, str]) -> dict[str, str]:
        """Put keys in the place of all that is below a prefix, in one step; return what was there.

        Beside them there is the key ``STAMP``, so that who reads the tree never finds it empty.

        Args:
            tree: The prefix; ends in a slash.
            values: Value of each key, without the prefix.

        Raises:
            KickoffError: It takes more than one transaction (exit 2). Or another run took over (exit 75), or
                etcd does not answer (exit 4), and nothing was changed.
        """
        before: dict[str, str] = {}

        def operations() -> tuple[list[Document], list[Document]]:
            pairs = self._client.below(tree)
            before.clear()
            before.update(
                {pair.key.removeprefix(tree): pair.value.decode(errors="replace") for pair in pairs}
            )
            write = [put(f"{tree}{STAMP}", secrets.token_hex(8).encode())]
            write += [
                put(f"{tree}{name}", text.encode())
                for name, text in values.items()
                if before.get(name) != text
            ]
            write += [delete(f"{tree}{name}") for name in before.keys() - values.keys() - {STAMP}]
            if len(write) > _MOST:
                raise KickoffError(
                    f"{len(write)} keys are to change at once, and etcd takes {_MOST}",
                    code=ExitCode.BAD_INPUT,
                    at=tree,
                )
            return [untouched(tree, max((pair.modified for pair in pairs), default=0))], write

        self._write(operations)
        return before

    def _write(self, operations: Callable[[], tuple[list[Document], list[Document]]]) -> None:
        """Write what is made of the present; again when that has changed meanwhile.

        Raises:
            KickoffError: Another run took over (exit 75), or etcd does not answer (exit 4).
        """
        while True:
            compare, write = operations()
            if self._client.transact([self._guard, *compare], write).done:
                return
            self._lost()
