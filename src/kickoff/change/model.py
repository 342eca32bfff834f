"""A change as data: the environments that it would reach, and what it would do there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from kickoff import openapi
from kickoff.judging import Difference


class Artifact(StrEnum):
    """The artefact of the newer commit beside that of the older one, as far as it shows without a build."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    REBUILT = "rebuilt"
    """The build sees all of the commit: it runs again, and may come to the same."""


class Verdict(StrEnum):
    """A migration as it reads, without having run."""

    CONTRACTS = "contracts"
    NOTHING_FOUND = "nothing found"
    """Nothing in it takes anything away, as far as it can be read. Its tests decide."""
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Keys:
    """Environment keys by name, each list sorted; never a value.

    Attributes:
        added: Keys that only the newer commit has.
        changed: Keys with another value.
        removed: Keys that only the older commit has.
        sealed: Whether the file of encrypted secrets differs; which of them nobody can tell without its key.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    sealed: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.sealed)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a stack that differs.

    Attributes:
        name: A service as ``redis``, anything else with its kind: ``network backend``.
        action: ``added``, ``changed`` or ``removed``.
        what: The keys of the compose file that differ, or the mounted files; empty for all of it.
    """

    name: str
    action: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """One environment, and what the change would do there.

    Attributes:
        name: Its name.
        branch: Every push to it is deployed there; ``HEAD`` for the default branch, empty for none.
        tag: Tags that match are deployed there; empty for none.
        after: The environment whose proof is demanded there; empty for none.
        comment_deploys: Whether a comment on a pull request may have its branch deployed there.
        declared: ``added``, ``removed``, ``changed`` (another trigger or proof) or ``unchanged``.
        artifact: What becomes of its artefact.
        kind: ``bundle`` or ``image``.
        keys: Its keys that differ.
        described: Whether what a release is run by differs (description, target, compose files), so that a
            release is another one even of the same artefact.
        stack: The parts of its stack that differ.
        rules: Its judging rules that differ, weaker ones first.
        doubt: Why something of it was not compared; empty when all was.
    """

    name: str
    branch: str = ""
    tag: str = ""
    after: str = ""
    comment_deploys: bool = False
    declared: str = "unchanged"
    artifact: Artifact = Artifact.UNCHANGED
    kind: str = ""
    keys: Keys = Keys()
    described: bool = False
    stack: tuple[Part, ...] = ()
    rules: tuple[Difference, ...] = ()
    doubt: str = ""

    @property
    def affected(self) -> bool:
        """Whether the change does anything to it."""
        return (
            self.declared != "unchanged"
            or self.artifact is not Artifact.UNCHANGED
            or self.described
            or bool(self.keys or self.stack or self.rules)
        )


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of the service's migrations that differs.

    Attributes:
        path: Its path in the project.
        action: ``added``, ``changed`` or ``removed``.
        verdict: How it reads.
        words: What in it takes something away.
    """

    path: str
    action: str
    verdict: Verdict
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """One package of a lock file; a version is empty where there is none."""

    file: str
    package: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Gates:
    """What decides whether a commit may go on, where the change touches that.

    Attributes:
        files: Workflows, actions and code owners that differ, from the repository's top.
        rules: Whether the judging rules of an environment differ.
        owned: Whether the older commit names code owners, without whom GitHub asks nobody.
    """

    files: tuple[str, ...] = ()
    rules: bool = False
    owned: bool = False

    def __bool__(self) -> bool:
        return bool(self.files or self.rules)


@dataclass(frozen=True, slots=True)
class Change:
    """What lies between two commits.

    Attributes:
        project: Name of the service.
        base: The older commit, 40 hex digits.
        head: The newer one.
        environments: Every declared environment in promotion order, then those that are gone.
        migrations: Files of migrations that differ.
        interface: Path of the OpenAPI document; empty when none is declared.
        interface_changes: How it differs, breaking changes first.
        interface_doubt: Why it was not compared; empty when it was.
        dependencies: Packages of lock files that differ.
        locks_read: The lock files among the changed files that were read.
        locks_unread: Those that were not.
        gates: What it changes of the gates.
        migrations_declared: Whether the description says where migrations are.
    """

    project: str
    base: str
    head: str
    environments: tuple[Reached, ...]
    migrations: tuple[Migration, ...] = ()
    interface: str = ""
    interface_changes: tuple[openapi.Change, ...] = ()
    interface_doubt: str = ""
    dependencies: tuple[Delta, ...] = ()
    locks_read: tuple[str, ...] = ()
    locks_unread: tuple[str, ...] = ()
    gates: Gates = field(default_factory=Gates)
    migrations_declared: bool = False

    @property
    def reached(self) -> tuple[Reached, ...]:
        """The environments that it does something to."""
        return tuple(one for one in self.environments if one.affected)

    @property
    def weaker(self) -> int:
        """How many rules judge less, each counted once for all environments."""
        return len({one for env in self.environments for one in env.rules if one.change == "weaker"})

    @property
    def affected(self) -> bool:
        """Whether there is anything to say."""
        found: Sequence[object] = (
            self.reached,
            self.migrations,
            self.interface_changes,
            self.interface_doubt,
            self.dependencies,
            self.locks_unread,
            self.gates,
        )
        return any(map(bool, found))

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        document: dict[str, Any] = asdict(self)
        document["affected"] = self.affected
        for entry, one in zip(document["environments"], self.environments, strict=True):
            entry["affected"] = one.affected
        return document


def actions(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, str]:
    """Return ``added``, ``changed`` or ``removed`` by the name of what differs, in the order of the newer."""
    found = {}
    for name in dict.fromkeys([*after, *before]):
        if name not in before:
            found[name] = "added"
        elif name not in after:
            found[name] = "removed"
        elif before[name] != after[name]:
            found[name] = "changed"
    return found
