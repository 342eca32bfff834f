"""Who still has the former value of a secret, and the kept releases that get the new one."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff import stack
from kickoff.release import rotation
from kickoff.release.folder import ENVIRONMENT
from kickoff.release.rotation import Next, Standing
from kickoff.release.session import Session

FORMER, NEW = "quarry-lantern-47", "quarry-lantern-48"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """One whose live release is ``live``, beside the kept one ``kept``; both have the former value."""
    (tmp_path / "configs" / "environments").mkdir(parents=True)
    for name in ("live", "kept"):
        folder = tmp_path / name
        (folder / "secrets").mkdir(parents=True)
        values = {"DATABASE_URL": FORMER, "LOG_LEVEL": "info"}
        (folder / ENVIRONMENT).write_text(json.dumps(values))
        (folder / "secrets" / "database_url").write_text(FORMER)
    store = SimpleNamespace(release_folder=lambda name: tmp_path / name)
    return cast("Session", SimpleNamespace(store=store, expected_release=lambda _: "live"))


def rotating(session: Session, *, begun: bool, **values: str) -> stack.Rotation:
    root = session.store.release_folder("")
    facts: dict[str, Any] = {
        "secret": "password",
        "values": values,
        "under_way": object() if begun else None,
        "needs_callers": False,
        "stack": SimpleNamespace(root=root),
    }
    return cast("stack.Rotation", SimpleNamespace(**facts))


@pytest.mark.parametrize(
    ("value", "begun", "stale", "comes"),
    [
        (FORMER, False, "", Next.BEGIN),
        (NEW, True, "live", Next.RELEASE),
        (FORMER, True, "", Next.GO_ON),
        (NEW, False, "live", Next.RELEASE),
    ],
)
def test_a_rotation_waits_for_a_release_while_the_live_one_has_other_values(
    session: Session, value: str, begun: bool, stale: str, comes: Next
) -> None:
    found = rotation.standing(session, rotating(session, begun=begun, DATABASE_URL=value))
    assert found == Standing("password", begun, stale, callers=False)
    assert found.next is comes


def test_a_value_that_the_service_never_gets_is_waited_for_by_nobody(session: Session) -> None:
    found = rotation.standing(session, rotating(session, begun=True, OF_THE_STACK=NEW))
    assert found.next is Next.GO_ON


def test_a_kept_release_gets_the_new_value_and_keeps_no_file_with_the_former(session: Session) -> None:
    wanted = rotating(session, begun=True, DATABASE_URL=NEW)
    folder = session.store.release_folder("kept")
    changed = rotation._differing(session, wanted, "kept")
    rotation._replace(folder, changed)
    assert json.loads((folder / ENVIRONMENT).read_text()) == {"DATABASE_URL": NEW, "LOG_LEVEL": "info"}
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [ENVIRONMENT]
    assert (folder / ENVIRONMENT).stat().st_mode & 0o077 == 0
    assert rotation._differing(session, wanted, "kept") == {}
