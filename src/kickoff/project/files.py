"""Files of a repository, as far as they may say something about the service: bounded in number and size."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickoff import git

_MOST_FILES = 5_000
_LONGEST = 200_000
"""Bytes; a longer file is data or generated."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that are committed or may be: what git ignores is not among them."""

    root: Path
    names: tuple[str, ...]

    @classmethod
    def read(cls, root: Path) -> "Files":
        """List the files of the repository at ``root``, the shortest paths first."""
        listed = git.run(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
        names = sorted(set(filter(None, listed.split("\0"))), key=lambda name: (name.count("/"), name))
        return cls(root, tuple(names[:_MOST_FILES]))

    def has(self, name: str) -> bool:
        """Return whether there is such a file, or a folder with files."""
        return name in self.names or any(one.startswith(f"{name}/") for one in self.names)

    def text(self, name: str) -> str:
        """Return a file's content; empty when it is missing, too long or not text."""
        path = self.root / name
        try:
            if name not in self.names or path.is_symlink() or path.stat().st_size > _LONGEST:
                return ""
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def json(self, name: str) -> dict[str, Any]:
        """Return a JSON file's content; empty when it is not an object."""
        try:
            document = json.loads(self.text(name) or "{}")
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def toml(self, name: str) -> dict[str, Any]:
        """Return a TOML file's content; empty when it is not TOML."""
        try:
            return tomllib.loads(self.text(name))
        except tomllib.TOMLDecodeError:
            return {}
