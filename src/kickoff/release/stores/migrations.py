"""The version of a state folder, and the steps that bring an older one to what this code writes.

Each change of a format is a step here, with a test that upgrades from the version before under load. A step
can be repeated: a kill may fall between it and the record that it is done.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kickoff import __version__
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.release.stores.journal import Journal

FILE = "version.json"
_WRITTEN = ("state.json", "journal.jsonl", "releases.jsonl")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step.

    Attributes:
        to: The version that the folder has afterwards.
        what: What it changes.
        run: Does it, in the state folder; may be repeated.
    """

    to: int
    what: str
    run: Callable[[Path], None]


def _archive_finished(root: Path) -> None:
    Journal(root / "journal.jsonl").archive_finished()


MIGRATIONS = (Migration(2, "finished attempts leave the journal for an archive", _archive_finished),)
"""The steps, oldest first. Version 1 is that of folders without a record of their version."""
CURRENT = MIGRATIONS[-1].to


def version_of(root: Path) -> int:
    """Return the version of a state folder; that of a new one is ``CURRENT``.

    Raises:
        KickoffError: A newer version of Kickoff wrote it (exit 2), or the record is damaged (exit 4).
    """
    path = root / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version, written_by = int(document["version"]), str(document["kickoff"])
    except FileNotFoundError:
        return 1 if any((root / name).exists() for name in _WRITTEN) else CURRENT
    except (ValueError, KeyError, TypeError):
        raise KickoffError(
            f"{FILE} is damaged",
            code=ExitCode.UNREACHABLE,
            at=str(path),
            hint=f'restore it from a backup, or write {{"version": {CURRENT}, "kickoff": "{__version__}"}} '
            "when no newer Kickoff was ever used here",
        ) from None
    return known(version, CURRENT, written_by, str(path))


def known(version: int, newest: int, written_by: str, place: str) -> int:
    """Return ``version``, unless it is above the newest that this code knows.

    Raises:
        KickoffError: A newer version of Kickoff wrote the state (exit 2).
    """
    if version > newest:
        raise KickoffError(
            f"the state has version {version}, and Kickoff {__version__} knows versions up to {newest}",
            at=place,
            hint=f"use Kickoff {written_by} or newer",
        )
    return version


def is_current(root: Path) -> bool:
    """True when a state folder is recorded as one of the current version."""
    return (root / FILE).exists() and version_of(root) == CURRENT


def migrate(root: Path) -> None:
    """Bring a state folder to the current version; call it where no other process writes.

    Raises:
        KickoffError: A newer version of Kickoff wrote it (exit 2).
    """
    if is_current(root):
        return
    version = version_of(root)
    for migration in MIGRATIONS:
        if migration.to > version:
            migration.run(root)
            _record(root, migration.to)
    if not (root / FILE).exists():
        _record(root, CURRENT)


def _record(root: Path, version: int) -> None:
    document = {"version": version, "kickoff": __version__}
    write_atomic(root / FILE, json.dumps(document) + "\n", mode=0o600)
