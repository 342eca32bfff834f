"""Merging: rendered files into those of a project, so that nothing that people wrote is lost."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from pathlib import Path

from kickoff import git
from kickoff.errors import KickoffError

_MARKS = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
_FAILED = 128
"""From this exit code on, `git merge-file` failed; below, it is the number of conflicts."""


class Status(StrEnum):
    """What becomes of a file."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    MERGED = "merged"
    CONFLICT = "conflict"
    DELETED = "stays deleted"
    KEPT = "kept: not written by kickoff"
    DROPPED = "no longer generated"


@dataclass(frozen=True, slots=True)
class Change:
    """One file.

    Attributes:
        path: Its path in the project.
        status: What becomes of it.
        before: Its content; ``None`` when there is none.
        after: Its content afterwards; the same as ``before`` when it is left alone.
        base: The generated text that it holds afterwards, for the next merge; ``None`` when it is not ours.
    """

    path: str
    status: Status
    before: bytes | None
    after: bytes | None
    base: str | None = None

    @property
    def writes(self) -> bool:
        """True when the file changes."""
        return self.after != self.before

    @property
    def overwrites(self) -> bool:
        """True when a file that is there changes."""
        return self.before is not None and self.writes

    def diff(self) -> str:
        """Return the change as a unified diff."""
        old, new = ((one or b"").decode("utf-8", "replace").splitlines() for one in (self.before, self.after))
        lines = unified_diff(old, new, f"a/{self.path}", f"b/{self.path}", lineterm="")
        return "\n".join(lines)

    def write(self, root: Path) -> None:
        """Write the file into the project at ``root``; its mode stays."""
        path = root / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.after or b"")


def plan(
    root: Path,
    rendered: Mapping[str, str],
    base: Mapping[str, str],
    *,
    label: str,
    force: bool = False,
    align: Callable[[str], str] = str,
) -> list[Change]:
    """Return what becomes of each file, without changing one.

    Args:
        root: The project's folder.
        rendered: The files as they are generated now, by path.
        base: The same as they were generated last; a file that is not among them is somebody else's.
        label: Names the new side in conflict markers.
        force: Whether files of somebody else are replaced, and deleted ones are made again.
        align: Writes into a text what is new in every file, a version, so that it conflicts with nothing.

    Raises:
        KickoffError: A file cannot be read, or git cannot merge (exit 2).
    """
    made = []
    for path, text in rendered.items():
        before, old = _read(root, path), base.get(path)
        if before is None:
            made.append(_absent(path, text, again=old is None or force))
        else:
            found = Change(path, Status.KEPT, before, before, old)
            made.append(_present(root, found, text, label=label, align=align, force=force))
    return made + list(_dropped(root, rendered, base))


def unresolved(content: bytes) -> int:
    """Return the line of the first conflict marker; 0 when there is none."""
    found = _MARKS.search(content)
    return content[: found.start()].count(b"\n") + 1 if found else 0


def _absent(path: str, text: str, *, again: bool) -> Change:
    after = text.encode("utf-8") if again else None
    return Change(path, Status.ADDED if again else Status.DELETED, None, after, text)


def _present(
    root: Path, found: Change, text: str, *, label: str, align: Callable[[str], str], force: bool
) -> Change:
    """Return what becomes of a file that is there; ``found`` has its content and what it was generated as."""
    before = found.before or b""
    new, base = text.encode("utf-8"), None if found.base is None else found.base.encode("utf-8")
    if b"\r\n" in before:  # a checkout with these ends of lines: git stores the others
        new, base = new.replace(b"\n", b"\r\n"), base and base.replace(b"\n", b"\r\n")
    rows = (
        (before == new, Change(found.path, Status.UNCHANGED, before, before, text)),
        (base is None and not force, found),
        (base is None or before == base, Change(found.path, Status.UPDATED, before, new, text)),
        # The new text waits until somebody has resolved what an earlier merge left.
        (bool(unresolved(before)), Change(found.path, Status.CONFLICT, before, before, found.base)),
        (base == new, Change(found.path, Status.UNCHANGED, before, before, text)),
    )
    for holds, change in rows:
        if holds:
            return change
    after, conflicts = _merge(root, _aligned(before, align), _aligned(base or b"", align), new, label)
    status = Status.CONFLICT if conflicts else Status.UNCHANGED if after == before else Status.MERGED
    return Change(found.path, status, before, after, text)


def _aligned(content: bytes, align: Callable[[str], str]) -> bytes:
    return align(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _dropped(root: Path, rendered: Mapping[str, str], base: Mapping[str, str]) -> Iterator[Change]:
    for path in base:
        before = _read(root, path)
        if path not in rendered and before is not None:
            yield Change(path, Status.DROPPED, before, before)


def _read(root: Path, path: str) -> bytes | None:
    place = root / path
    try:
        return place.read_bytes()
    except FileNotFoundError:
        if place.is_symlink():
            raise KickoffError(f"{path} is a link to nothing", at=path, hint=f"rm {path}") from None
        return None
    except OSError as error:
        raise KickoffError(f"{path} cannot be read: {error.strerror}", at=path) from None


def _merge(root: Path, ours: bytes, base: bytes, theirs: bytes, label: str) -> tuple[bytes, int]:
    """Return the three-way merge and its number of conflicts, each of which is marked in it."""
    with tempfile.TemporaryDirectory(prefix="kickoff-merge-") as folder:
        places = [Path(folder) / name for name in ("yours", "base", "new")]
        for place, content in zip(places, (ours, base, theirs), strict=True):
            place.write_bytes(content)
        labels = ["-L", "yours", "-L", "generated before", "-L", label]
        done = git.run(root, "merge-file", "--quiet", *labels, *map(str, places), check=False)
        if not 0 <= done.returncode < _FAILED:
            raise KickoffError("git merge-file failed", causes=git.lines(done.stderr)[-3:])
        return places[0].read_bytes(), done.returncode
