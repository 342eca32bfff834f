"""One side of a change: a commit's configuration, read as every command reads it, from git's objects."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kickoff import git, stack
from kickoff import service as services
from kickoff.artifact import build_key, source
from kickoff.artifact.artifact_type import Kind
from kickoff.artifact.build_steps import Steps
from kickoff.environment import schema as schemas
from kickoff.environment.schema import Schema
from kickoff.service import CONFIG, FORMER, Service

_STACKS = "configs"
"""Folder of what a stack mounts, and of the environments."""


@dataclass(frozen=True, eq=False)
class Side:
    """A commit of the project.

    Attributes:
        root: The project's folder in the repository.
        commit: The commit, 40 hex digits.
        folder: Its configuration files, and no others.
        service: Its description; ``None`` when the commit has none yet.
    """

    root: Path
    commit: str
    folder: Path
    service: Service | None

    @property
    def described(self) -> Service:
        """Its description, where there is one."""
        assert self.service is not None  # noqa: S101 - a side without one is not compared
        return self.service

    def key(self, kind: Kind) -> tuple[str, str]:
        """Return what follows from all that is shipped of the commit, and from all that its build sees.

        Raises:
            KickoffError: The commit lacks a path that is shipped (exit 2).
        """
        return self._image if kind is Kind.IMAGE else self._bundle

    @cached_property
    def _image(self) -> tuple[str, str]:
        return build_key.read(self.root, self.commit, self.described.image).key, ""

    @cached_property
    def _bundle(self) -> tuple[str, str]:
        service = self.described
        steps = Steps(service.build, service.environment)
        entries = source.shipped(
            self.root, self.commit, [one for one in service.bundle if not steps.leave(one)]
        )
        listed = sorted((entry.path, entry.object, entry.link, entry.executable) for entry in entries)
        content = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
        return content, steps.key(self.root, self.commit, service.bundle, {}) if steps.commands else ""

    @cached_property
    def schema(self) -> Schema:
        """The keys of its environment files.

        Raises:
            KickoffError: The service's schema is wrong (exit 2).
        """
        return schemas.read(self.folder)

    def text(self, path: str) -> str | None:
        """Return a file of the commit as text; ``None`` where it has none, or it is not text.

        Raises:
            KickoffError: This clone lacks its content (exit 4).
        """
        for entry in source.shipped(self.root, self.commit, [path]) if self.holds(path) else ():
            if entry.path == path and not entry.link:
                _, content = next(source.contents(self.root, [entry]))
                try:
                    return content.decode("utf-8")
                except UnicodeDecodeError:
                    return None
        return None

    def holds(self, path: str) -> bool:
        """Tell whether the commit has a file or folder at ``path``."""
        return source.holds(self.root, self.commit, path)


@contextmanager
def opened(root: Path, commit: str) -> Iterator[Side]:
    """Yield a commit's side; what its files lead to elsewhere by symbolic links is no part of it.

    Raises:
        KickoffError: Its description is wrong (exit 2), or this clone lacks an object (exit 4).
    """
    with tempfile.TemporaryDirectory(prefix="kickoff-change-") as scratch:
        folder = Path(scratch)
        listed = git.run(root, "ls-tree", "--name-only", "-z", commit, "./").stdout.split("\0")
        composed = [name for name in listed if Path(name).match(stack.file_of("*"))]
        paths = [str(CONFIG), str(FORMER), _STACKS, *composed]
        source.checkout(root, commit, folder, paths, links=False)
        service = services.load(folder) if services.is_described(folder) else None
        further = [path for path in (service.scenarios, service.locustfile) if path] if service else []
        source.checkout(root, commit, folder, further, links=False)
        yield Side(root, commit, folder, service)
