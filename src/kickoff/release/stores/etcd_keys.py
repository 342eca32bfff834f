"""The keys of an environment in etcd."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

TREE = "kickoff"
"""First part of every key: others, such as Traefik, read whole trees and stumble over what is not theirs."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one environment.

    Attributes:
        prefix: What all of them begin with, and nothing else does; ends in a slash.
    """

    prefix: str

    @classmethod
    def of(cls, root: Path) -> Self:
        """Return the keys of the environment whose state folder is ``.../<service>/<environment>``."""
        return cls(f"{TREE}/{_part(root.parent.name)}/{_part(root.name)}/")

    @property
    def version(self) -> str:
        """The version of the format, who wrote it, and the cluster."""
        return f"{self.lock}version"

    @property
    def fence(self) -> str:
        """The writer that is at it."""
        return f"{self.prefix}fence"

    @property
    def lock(self) -> str:
        """Prefix of the lock and of the version, which are read at once."""
        return f"{self.prefix}lock/"

    @property
    def owner(self) -> str:
        """The lock's content."""
        return f"{self.lock}owner"

    @property
    def holder(self) -> str:
        """Token and attempt, which each write compares."""
        return f"{self.lock}holder"

    @property
    def alive(self) -> str:
        """Key that goes with the lease of the lock: without it, the lock is expired."""
        return f"{self.lock}alive"

    @property
    def state(self) -> str:
        """The state: who runs where."""
        return f"{self.prefix}state"

    @property
    def attempts(self) -> str:
        """Prefix of the journal's records, by attempt."""
        return f"{self.prefix}attempts/"

    @property
    def open(self) -> str:
        """Prefix of one key for each attempt that is not finished."""
        return f"{self.prefix}open/"

    @property
    def history(self) -> str:
        """Prefix of the history's entries, by number."""
        return f"{self.prefix}history/"

    @property
    def logs(self) -> str:
        """Prefix of the logs of refused releases."""
        return f"{self.prefix}refused/"

    @property
    def releases(self) -> str:
        """Prefix of what each kept release is started from."""
        return f"{self.prefix}releases/"

    @property
    def route(self) -> str:
        """Prefix of the route, which Traefik reads; no other key begins like it, even less its slash."""
        return f"{self.prefix}route/"

    def attempt(self, identity: str) -> str:
        """Prefix of the records of an attempt."""
        return f"{self.attempts}{_part(identity)}/"

    def opened(self, identity: str) -> str:
        """Key that is there while an attempt is open."""
        return f"{self.open}{_part(identity)}"

    def entry(self, number: int) -> str:
        """Key of an entry of the history."""
        return f"{self.history}{number:012d}"

    def log(self, release: str) -> str:
        """Key of the log of a refused release."""
        return f"{self.logs}{_part(release)}"

    def release(self, name: str) -> str:
        """Key of what a release is started from."""
        return f"{self.releases}{_part(name)}"

    def named(self, key: str) -> str:
        """Return the attempt that a key of a record, or of an open attempt, is about."""
        return key.removeprefix(self.attempts).removeprefix(self.open).partition("/")[0]


def _part(name: str) -> str:
    return quote(name, safe=" ")
