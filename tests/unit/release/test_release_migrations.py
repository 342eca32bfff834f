"""The version of a state folder: an older one is brought up to date, a newer one is refused."""

import json
import os
from pathlib import Path

import psutil
import pytest

from kickoff import __version__
from kickoff.errors import ExitCode, KickoffError
from kickoff.release.stores import migrations, open_store
from kickoff.release.stores.files import Store
from kickoff.release.stores.journal import Journal
from kickoff.release.stores.lease import Owner, born
from kickoff.release.stores.migrations import CURRENT, FILE, MIGRATIONS, Migration, migrate, version_of

IDLE = Owner("ada@host", "run-1", 0, 0.0)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A state folder as version 1 left it: three releases in the journal, and nothing says a version."""
    journal = Journal(tmp_path / "journal.jsonl")
    for identity in ("1-a", "2-b", "3-c"):
        journal.append(event="opened", attempt=identity, kind="release")
        journal.append(event="finished", attempt=identity, outcome="released")
    (tmp_path / "state.json").write_text('{"live": null, "warm": null, "slots": {}}')
    return tmp_path


def attempts(root: Path) -> list[str]:
    return [attempt.id for attempt in Journal(root / "journal.jsonl").attempts()]


def newer(root: Path) -> None:
    (root / FILE).write_text(json.dumps({"version": CURRENT + 1, "kickoff": "9.8.7"}))


def test_versions_count_up_one_by_one() -> None:
    assert [step.to for step in MIGRATIONS] == list(range(2, CURRENT + 1))
    assert all(step.what for step in MIGRATIONS)


def test_a_new_folder_gets_the_current_version_with_its_first_owner(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert version_of(tmp_path) == CURRENT
    store.acquire(IDLE, ttl=600)
    document = json.loads((tmp_path / FILE).read_text())
    assert document == {"version": CURRENT, "kickoff": __version__}


def test_an_older_folder_is_migrated_when_it_is_opened(older: Path) -> None:
    assert version_of(older) == 1
    Store(older).upgrade()
    assert version_of(older) == CURRENT
    assert attempts(older) == ["3-c"]
    assert Store(older).attempt("1-a").finished == "released"


def test_while_a_run_is_at_work_its_folder_stays_as_it_knows_it(older: Path) -> None:
    lock = {"token": 3, "attempt": "3-c", "expires": 0, "owner": None}
    lock["owner"] = {"who": "x", "run": "x", "pid": os.getpid(), "born": born(psutil.Process())}
    (older / "lock.json").write_text(json.dumps(lock))
    store = Store(older)
    store.upgrade()
    assert (version_of(older), attempts(older)) == (1, ["1-a", "2-b", "3-c"])
    store.take_over("3-c", IDLE, ttl=600, alive=True)
    assert (version_of(older), attempts(older)) == (CURRENT, ["3-c"])


def test_an_idle_attempt_of_the_version_before_is_continued(older: Path) -> None:
    journal = Journal(older / "journal.jsonl")
    journal.append(event="opened", attempt="4-d", kind="release")
    lock = {
        "token": 4,
        "attempt": "4-d",
        "expires": 9e12,
        "owner": {"who": "x", "run": "x", "pid": 0, "born": 0},
    }
    (older / "lock.json").write_text(json.dumps(lock))
    store = Store(older)
    store.join("4-d", IDLE, ttl=600)
    assert version_of(older) == CURRENT
    assert attempts(older) == ["3-c", "4-d"]
    assert store.lease().token == 4


@pytest.mark.parametrize("name", ["lock.json", "journal.jsonl"])
def test_a_damaged_file_keeps_nobody_from_opening_an_older_folder(older: Path, name: str) -> None:
    intact = (older / name).read_text() if (older / name).exists() else ""
    (older / name).write_text(f"{{\n{intact}")
    store = open_store(older)
    assert version_of(older) == 1
    if name == "lock.json":
        store.force_unlock("ada@host")
    else:
        (older / name).write_text(intact)
    open_store(older)
    assert (version_of(older), attempts(older)) == (CURRENT, ["3-c"])


def test_a_kill_between_a_step_and_its_record_repeats_the_step(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def step(root: Path) -> None:
        MIGRATIONS[0].run(root)
        ran.append(root)
        if len(ran) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "MIGRATIONS", (Migration(2, "twice", step),))
    with pytest.raises(KeyboardInterrupt):
        migrate(older)
    assert version_of(older) == 1
    migrate(older)
    migrate(older)
    assert len(ran) == 2
    assert attempts(older) == ["3-c"]
    assert len(Journal(older / "journal.jsonl").archive.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("opened", [True, False])
def test_a_newer_folder_is_refused_and_untouched(tmp_path: Path, opened: bool) -> None:
    store = Store(tmp_path)
    newer(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KickoffError, match=f"version {CURRENT + 1}") as caught:
        store.acquire(IDLE, ttl=600) if opened else Store(tmp_path)
    assert caught.value.code is ExitCode.BAD_INPUT
    assert caught.value.hint == "use Kickoff 9.8.7 or newer"
    assert {*tmp_path.iterdir()} - {*before} <= {tmp_path / "fence"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": "x", "kickoff": "1"}'])
def test_a_damaged_version_is_no_version(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(KickoffError, match="damaged") as caught:
        Store(tmp_path)
    assert caught.value.code is ExitCode.UNREACHABLE
