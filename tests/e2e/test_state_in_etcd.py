"""Releases whose state is in etcd: with a member lost on the way, and with the run killed at its records."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kickoff.paths import state_root
from kickoff.release.rollback import Request
from kickoff.release.stores import MEMBERS
from kickoff.release.stores.etcd_records import EtcdTransaction
from kickoff.service import name_of
from tests.e2e.project import REPOSITORY, Load, Project
from tests.etcd import Cluster, cluster

pytestmark = pytest.mark.e2e


@pytest.fixture
def members(project: Project, tmp_path: Path) -> Iterator[Cluster]:
    """Three members, which keep the state of the project."""
    with cluster(tmp_path / "etcd", 3) as found:
        root = found.named_in(state_root(name_of(project.root), "development"))
        yield found
        project.close()  # which asks for the state
        (root / MEMBERS).unlink()


def test_a_release_goes_on_when_a_member_is_lost_on_the_way(
    project: Project, members: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.ship()
    assert first.facts["outcome"] == "released", first.facts
    note = EtcdTransaction.note

    def losing(transaction: EtcdTransaction, **record: Any) -> None:
        whole = all(member.process for member in members.members)
        if whole and (record["event"], record.get("step")) == ("intent", "shift"):
            members.kill(members.leader())
        note(transaction, **record)

    monkeypatch.setattr(EtcdTransaction, "note", losing)
    with Load(project.address, 50) as load:
        second = project.ship(delay_ms=1)
        assert second.facts["outcome"] == "released", second.facts
        project.assert_settled(second.release)
        back = project.engine().rollback(Request(), 0)
        assert back.verdict == "pass", back.facts
    assert load.failed == []
    project.assert_settled(first.release)
    store = project.session().store
    assert [entry.action for entry in store.history.entries()] == ["release", "release", "rollback"]
    assert store.history.verify() == 3


KILLED = """
import os, signal, sys
from kickoff.cli.main import main
from kickoff.release.stores.etcd_records import EtcdTransaction

when, left = sys.argv.pop(1), int(sys.argv.pop(1))
note = EtcdTransaction.note

def counted(transaction, **record):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    note(transaction, **record)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

EtcdTransaction.note = counted
sys.exit(main())
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_whatever_record_a_promotion_is_killed_at_the_next_command_converges(
    project: Project, members: Cluster, when: str
) -> None:
    live = project.ship().release
    for number in (1, 4, 7):
        commit = project.commit(delay_ms=number)
        staged = project.engine().stage(
            project.build(commit), project.root.parent / "artifacts", commit, wait=0, force=False
        )
        assert staged.verdict == "pass"
        done = subprocess.run(
            [sys.executable, "-c", KILLED, when, str(number), "promote", "--env", "development",
             "--attempt", staged.attempt],
            cwd=project.root, env=project.environ | {"PYTHONPATH": str(REPOSITORY / "src")},
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == -9, done.stderr
        project.engine().resume()
        ended = project.session().store.attempt(staged.attempt)
        assert ended.finished
        live = staged.release if ended.finished == "released" else live
        project.assert_settled(live)
    project.session().store.history.verify()
