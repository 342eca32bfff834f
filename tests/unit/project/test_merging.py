"""Merging: the rows are all that can have become of a file, and nothing of a person's is lost in any."""

import subprocess
from pathlib import Path

import pytest

from kickoff.errors import KickoffError
from kickoff.project import merging
from kickoff.project.merging import Status

OLD = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"
NEW = OLD.replace("one", "ONE")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def change(
    root: Path, present: str | None, old: str | None, new: str, *, force: bool = False
) -> merging.Change:
    if present is not None:
        (root / "file").write_bytes(present.encode())
    base = {} if old is None else {"file": old}
    [made] = merging.plan(root, {"file": new}, base, label="kickoff 2", force=force)
    return made


@pytest.mark.parametrize(
    ("present", "old", "new", "status", "after"),
    [
        (None, None, NEW, Status.ADDED, NEW),
        (NEW, None, NEW, Status.UNCHANGED, NEW),
        (OLD, OLD, NEW, Status.UPDATED, NEW),
        (OLD, OLD, OLD, Status.UNCHANGED, OLD),
        (OLD + "mine\n", OLD, OLD, Status.UNCHANGED, OLD + "mine\n"),
        (OLD + "mine\n", OLD, NEW, Status.MERGED, NEW + "mine\n"),
        (NEW + "mine\n", OLD, NEW, Status.UNCHANGED, NEW + "mine\n"),
        (None, OLD, NEW, Status.DELETED, None),
        ("mine\n", None, NEW, Status.KEPT, "mine\n"),
        (
            OLD.replace("\n", "\r\n") + "mine\r\n",
            OLD,
            NEW,
            Status.MERGED,
            (NEW + "mine\n").replace("\n", "\r\n"),
        ),
        (OLD.replace("\n", "\r\n"), OLD, OLD, Status.UNCHANGED, OLD.replace("\n", "\r\n")),
    ],
)
def test_what_becomes_of_a_file(  # noqa: PLR0917
    root: Path, present: str | None, old: str | None, new: str, status: Status, after: str | None
) -> None:
    made = change(root, present, old, new)
    assert (made.status, made.after) == (status, None if after is None else after.encode())


def test_a_conflict_keeps_both_sides_and_waits_until_it_is_resolved(root: Path) -> None:
    mine = OLD.replace("one", "mine")
    made = change(root, mine, OLD, NEW)
    assert made.status is Status.CONFLICT and made.after is not None
    assert b"<<<<<<< yours\nmine\n" in made.after and b"\nONE\n>>>>>>> kickoff 2\n" in made.after
    assert merging.unresolved(made.after) == 1
    again = change(root, made.after.decode(), NEW, NEW.replace("two", "TWO"))
    assert (again.status, again.writes, again.base) == (Status.CONFLICT, False, NEW)


def test_force_replaces_what_is_somebody_elses_and_makes_deleted_files_again(root: Path) -> None:
    assert change(root, None, OLD, NEW, force=True).after == NEW.encode()
    assert change(root, "mine\n", None, NEW, force=True).after == NEW.encode()
    assert change(root, OLD + "mine\n", OLD, NEW, force=True).after == (NEW + "mine\n").encode()


def test_what_is_no_longer_generated_stays_and_is_named(root: Path) -> None:
    (root / "file").write_text(OLD)
    [made] = merging.plan(root, {}, {"file": OLD, "gone": OLD}, label="x")
    assert (made.path, made.status, made.writes, made.base) == ("file", Status.DROPPED, False, None)


def test_what_cannot_be_read_is_not_overwritten(root: Path) -> None:
    (root / "file").symlink_to("nowhere")
    with pytest.raises(KickoffError, match="link to nothing"):
        merging.plan(root, {"file": NEW}, {}, label="x", force=True)
    (root / "file").unlink()
    (root / "file").mkdir()
    with pytest.raises(KickoffError, match="cannot be read"):
        merging.plan(root, {"file": NEW}, {}, label="x", force=True)
