"""Packages that a change adds, removes or brings in another version, by the lock files that it touches."""

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from kickoff.change.model import Delta
from kickoff.change.sides import Side

_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]\n]*\])? *(?P<version>[^;#\\\n]*)", re.MULTILINE
)
_GEM = re.compile(r"^ {4}(\S+) \(([^)]+)\)$", re.MULTILINE)
_MODULE = re.compile(r"^(?:require\s+|\t)([\w.~-]+(?:/[\w.~-]+)+) (v\S+)", re.MULTILINE)

Found = Iterable[tuple[str, str]]
"""Packages and versions; npm and Cargo may have several versions of one."""


class Compared(NamedTuple):
    """The lock files of a change: what differs in them, those that were read, and those that were not."""

    deltas: tuple[Delta, ...] = ()
    read: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def compare(before: Side | None, after: Side, paths: Sequence[str]) -> Compared:
    """Compare the lock files among the changed files of a project.

    Args:
        before: The older commit; ``None`` without one.
        after: The newer commit.
        paths: The changed files.
    """
    deltas, read, unread = [], [], []
    for path in sorted(paths):
        reader = next((one for pattern, one in _READERS.items() if _matches(path, pattern)), None)
        if reader is None:
            unread += [path] if PurePosixPath(path).name in _OTHERS else []
            continue
        try:
            old, new = (_packages(reader, side.text(path) if side else None) for side in (before, after))
        except (AttributeError, KeyError, TypeError, ValueError):  # not of the format that its name says
            unread.append(path)
            continue
        read.append(path)
        deltas += [
            Delta(path, name, old.get(name, ""), new.get(name, ""))
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]
    return Compared(tuple(deltas), tuple(read), tuple(unread))


def _matches(path: str, pattern: str) -> bool:
    return fnmatch(path if "/" in pattern else PurePosixPath(path).name, pattern)


def _packages(reader: Callable[[str], Found], text: str | None) -> dict[str, str]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, version in reader(text) if text else ():
        found[name].add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _requirements(text: str) -> Found:
    for found in _REQUIREMENT.finditer(text):
        yield re.sub(r"[-_.]+", "-", found["name"]).lower(), found["version"].strip().removeprefix("==")


def _npm(text: str) -> Found:
    document = json.loads(text)
    for path, entry in document.get("packages", {}).items():
        if path.startswith("node_modules/") or "/node_modules/" in path:
            yield path.rpartition("node_modules/")[2], str(entry.get("version", ""))
    if "packages" not in document:
        yield from _npm_tree(document)


def _npm_tree(document: Mapping[str, Any]) -> Found:
    for name, entry in document.get("dependencies", {}).items():
        yield name, str(entry["version"])
        yield from _npm_tree(entry)


def _toml(text: str) -> Found:
    for entry in tomllib.loads(text).get("package", ()):
        yield str(entry["name"]), str(entry.get("version", ""))


def _composer(text: str) -> Found:
    document = json.loads(text)
    for entry in (*document.get("packages", ()), *document.get("packages-dev", ())):
        yield str(entry["name"]), str(entry["version"])


def _pipenv(text: str) -> Found:
    document = json.loads(text)
    for part in ("default", "develop"):
        for name, entry in document.get(part, {}).items():
            yield name, str(entry.get("version", "")).removeprefix("==")


def _gems(text: str) -> Found:
    return [(found[1], found[2]) for found in _GEM.finditer(text)]


def _modules(text: str) -> Found:
    return [(found[1], found[2]) for found in _MODULE.finditer(text)]


_READERS: Mapping[str, Callable[[str], Found]] = {
    "requirements*.txt": _requirements,
    "*requirements/*.txt": _requirements,
    "package-lock.json": _npm,
    "npm-shrinkwrap.json": _npm,
    "uv.lock": _toml,
    "poetry.lock": _toml,
    "pdm.lock": _toml,
    "Cargo.lock": _toml,
    "composer.lock": _composer,
    "Pipfile.lock": _pipenv,
    "Gemfile.lock": _gems,
    "go.mod": _modules,
}
"""What reads a lock file, by a pattern of its name."""
_OTHERS = (
    "bun.lock", "bun.lockb", "gradle.lockfile", "mix.lock", "packages.lock.json", "pnpm-lock.yaml",
    "pubspec.lock", "yarn.lock",
)  # fmt: skip
"""Lock files that are known and not read."""
