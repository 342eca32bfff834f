"""Neighbours: the other projects of a repository, whose names and ports are taken."""

import re
from collections.abc import Mapping
from pathlib import Path

from kickoff import git, service
from kickoff.environment import schema
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError

_PORT = re.compile(r"^PUBLIC_PORT=(\d{1,5})\b", re.MULTILINE)


def named(root: Path, name: str) -> list[str]:
    """Return the descriptions of other projects with this name, by their path below the repository's top."""
    return [path for path, folder in _folders(root).items() if _name(folder) == name]


def require_own_name(root: Path, name: str) -> None:
    """Make sure that no other project of the repository has this name.

    Raises:
        KickoffError: One has: state, proofs and workflows of the two would mix (exit 2).
    """
    others = named(root, name)
    if others:
        raise clash(name, others[0], str(service.CONFIG))


def clash(name: str, other: str, at: str) -> KickoffError:
    """Return the refusal of two projects with one name."""
    return KickoffError(
        f"{other} has the name {name!r}, too: state, proofs and workflows of the two would mix",
        at=at,
        hint="give each project of the repository a name of its own: `name` in its kickoff.yml",
    )


def environments(root: Path, name: str) -> list[DeclaredEnvironment]:
    """Return the environments of this name that other projects declare.

    Raises:
        KickoffError: The description of one has mistakes (exit 2).
    """
    declared = [service.load(folder).environments for folder in _folders(root).values()]
    return [one for each in declared for one in each if one.name == name]


def environment_files(root: Path) -> dict[str, str]:
    """Return the texts of a project's environment files by the environments' names."""
    files = sorted(path for path in (root / schema.FOLDER).glob("*.env") if path.is_file())
    return {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in files}


def ports_in(texts: Mapping[str, str]) -> dict[str, int]:
    """Return the public ports of environments by the text of their file: a new one beside them moves none."""
    found = {name: _PORT.search(text) for name, text in texts.items()}
    return {name: int(match[1]) for name, match in found.items() if match}


def ports(root: Path) -> set[int]:
    """Return the public ports of the neighbours' environments."""
    folders = _folders(root).values()
    return {port for folder in folders for port in ports_in(environment_files(folder)).values()}


def _folders(root: Path) -> dict[str, Path]:
    """Return the folders of the other projects by their descriptions' path below the repository's top."""
    if git.run(root, "rev-parse", "--git-dir", check=False).returncode != 0:
        return {}  # without a repository there is but this one
    wanted = f":(top,glob)**/{service.CONFIG}"
    listing = ("ls-files", "--full-name", "-z", "--cached", "--others", "--exclude-standard")
    listed = git.run(root, *listing, "--", wanted).stdout.split("\0")
    top, below = git.top(root), git.below_top(root)
    own = f"{below}/{service.CONFIG}" if below else str(service.CONFIG)
    return {path: (top / path).parent for path in sorted(set(listed)) if path not in ("", own)}


def _name(folder: Path) -> str:
    """Return the name in a neighbour's description; empty when that cannot be read: its own matter."""
    try:
        return service.name_of(folder)
    except KickoffError:
        return ""
