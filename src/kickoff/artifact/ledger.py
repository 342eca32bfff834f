"""Ledger of proofs: a folder of the machine that ran the environment, by commit.

GitHub is the other place, in :mod:`kickoff.artifact.github_ledger`.
"""

import fcntl
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from kickoff.artifact import proof
from kickoff.artifact.proof import Proof
from kickoff.errors import KickoffError
from kickoff.evidence import now, write_atomic
from kickoff.paths import state_root

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Running:
    """A run in progress that may leave a proof.

    Attributes:
        who: Who started it.
        since: When, ISO 8601 UTC.
        place: Where to watch it: the address of the run, or a process.
    """

    who: str
    since: str
    place: str

    def __str__(self) -> str:
        return f"{self.place} by {self.who} since {self.since[11:19]}"


class Ledger(Protocol):
    """A place that knows which commits an environment proved."""

    settle: float
    """Seconds until a run that was started, or the proof of one that ended, is sure to be seen here."""

    def running(self, commit: str) -> list[Running]:
        """Return the runs in progress that may prove ``commit``.

        Raises:
            KickoffError: The place cannot be asked (exit code 4).
        """

    def find(self, commit: str) -> Proof | None:
        """Return the proof of ``commit``; ``None`` when there is none.

        Raises:
            KickoffError: The place cannot be asked (exit code 4), or the proof cannot be trusted (1).
        """

    def newest(self) -> Proof | None:
        """Return the proof that was made last, of whichever commit; ``None`` when there is none.

        Raises:
            KickoffError: As :meth:`find`; or what was proved last was taken back since (1).
        """


class FolderLedger:
    """Proofs as files ``<commit>.json``, and the runs in progress as files that their runs keep locked.

    The kernel frees the lock of a run that died, so nobody ever waits for a run that is gone. The hash in
    a file finds damage; it is no signature: whoever can write the folder can also write a proof.

    Args:
        folder: The folder; made when something is written.
        environment: The environment whose proofs these are.
        service: The service that they are of; empty for any.
    """

    settle = 0.0  # the lock is taken before a run does anything, and held until its proof is written

    def __init__(self, folder: Path, environment: str, service: str = "") -> None:
        self.folder, self._environment, self._service = folder, environment, service

    def keep(self, statement: Mapping[str, Any]) -> Path:
        """Write a statement of :func:`kickoff.artifact.proof.state` durably; return its file.

        Raises:
            KickoffError: It is no statement of this environment.
        """
        commit = _checked(str(statement.get("commit")))
        path = self._path(commit)
        self._read(statement, commit, path)
        self._make()
        document = {"sha256": _hash(statement), "statement": dict(statement)}
        write_atomic(path, json.dumps(document, indent=1) + "\n", 0o600)
        return path

    def find(self, commit: str) -> Proof | None:
        """Return the proof of ``commit``, as :class:`Ledger` says."""
        path = self._path(_checked(commit))
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise proof.unusable(str(path), "it is no text") from None
        try:
            document = json.loads(text)
            statement, expected = document["statement"], document["sha256"]
        except (ValueError, KeyError, TypeError):
            raise proof.unusable(str(path), "it is damaged: it is no proof as they are written") from None
        if _hash(statement) != expected:
            raise proof.unusable(str(path), "it is damaged: its hash does not match what it says")
        return self._read(statement, commit, path)

    def newest(self) -> Proof | None:
        """Return the proof that was made last, as :class:`Ledger` says.

        A damaged one may be the last: so it is refused, not passed over. What became of the release since is
        not known here.
        """
        commits = [path.stem for path in self.folder.glob("*.json") if _COMMIT.fullmatch(path.stem)]
        return max(filter(None, map(self.find, commits)), key=lambda one: one.proved, default=None)

    def running(self, commit: str) -> list[Running]:
        """Return the runs in progress, as :class:`Ledger` says; what dead ones left is removed."""
        found = []
        for path in sorted(self.folder.glob(f"{_checked(commit)}.*.running")):
            with suppress(FileNotFoundError):  # it ended between the look and the question
                descriptor = os.open(path, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    path.unlink()
                except BlockingIOError:
                    found.append(_run(os.pread(descriptor, 65536, 0), path))
                finally:
                    os.close(descriptor)
        return found

    @contextmanager
    def claim(self, commit: str, who: str, place: str) -> Iterator[None]:
        """Tell whoever asks that a run is in progress for ``commit``, until the context ends or we die."""
        self._make()
        path = self.folder / f"{_checked(commit)}.{uuid.uuid4().hex}.running"
        hidden = path.with_name(f".{path.name}")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps(asdict(Running(who, now(), place))).encode())
            hidden.rename(path)  # seen only once it is locked and complete
            yield
        finally:
            for name in (hidden, path):
                name.unlink(missing_ok=True)
            os.close(descriptor)

    def _read(self, statement: object, commit: str, path: Path) -> Proof:
        return proof.read(
            statement,
            environment=self._environment,
            commit=commit,
            source=str(path),
            service=self._service,
        )

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, commit: str) -> Path:
        return self.folder / f"{commit}.json"


def kept(service: str, environment: str) -> FolderLedger:
    """Return the proofs of an environment that this machine keeps beside its state."""
    return FolderLedger(state_root(service, "proofs") / environment, environment, service)


def _run(text: bytes, path: Path) -> Running:
    try:
        return Running(**json.loads(text))
    except (ValueError, TypeError):  # somebody holds it: that is what counts
        return Running("somebody", now(), str(path))


def _checked(commit: str) -> str:
    if not _COMMIT.fullmatch(commit):
        raise KickoffError(f"{commit[:80]!r} is no commit", hint="give 40 hexadecimal digits")
    return commit


def _hash(statement: object) -> str:
    text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
