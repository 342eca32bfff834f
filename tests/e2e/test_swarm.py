"""Releases on a real Swarm of three engines: no request is lost, and no host is needed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from docker.transport.unixconn import UnixHTTPConnection

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence
from kickoff.release.model import Colour
from kickoff.release.rollback import Request
from kickoff.release.stores.etcd_records import EtcdTransaction
from tests.contract.targets.ground import missing
from tests.e2e import swarm
from tests.e2e.containers import BASE, docker
from tests.e2e.kills import SIDES, kill_everywhere
from tests.e2e.project import Load

# Others may have the nodes, and each of these has them alone.
pytestmark = [pytest.mark.e2e, pytest.mark.statistical, pytest.mark.timeout(1500)]
LOST_BY_A_HOST = {"HTTP 502", "HTTP 504", "ReadTimeout"}
"""How requests fail whose host is lost: nothing listens, nobody answers, or what was begun never ends."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[swarm.SwarmProject]:
    if why := missing("swarm"):
        pytest.skip(why)
    monkeypatch.setattr(UnixHTTPConnection, "connect", swarm.tidy_connect)
    docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
    with swarm.alone(), swarm.etcd(tmp_path / "etcd") as members:
        swarm.await_nodes()
        created = swarm.SwarmProject(tmp_path, members)
        with created.entered():
            try:
                yield created
            finally:
                created.close()


@contextmanager
def loaded(addresses: list[str], rate: float = 30) -> Iterator[list[Load]]:
    """Send requests to each of these addresses meanwhile."""
    with ExitStack() as stack:
        yield [stack.enter_context(Load(address, rate)) for address in addresses]


def failures(loads: list[Load]) -> list[str]:
    return [one.partition("(")[0] for load in loads for one in load.failed]


def test_three_releases_a_refusal_and_a_rollback_lose_no_request(project: swarm.SwarmProject) -> None:
    project.set(RELEASE_STRATEGY="canary", CANARY_STEPS="5,25,50,100", CANARY_HOLD="3s")
    first = project.ship()
    assert first.facts["outcome"] == "released", first.facts
    with loaded(project.addresses) as loads:
        second = project.ship(delay_ms=1)
        assert second.facts["outcome"] == "released", second.facts
        refused = project.ship(crash_at_start=True)
        assert refused.verdict == "fail", refused.facts
        assert "exited with code 3" in refused.summary, refused.summary
        third = project.ship(delay_ms=2)
        assert third.facts["outcome"] == "released", third.facts
        back = project.engine().rollback(Request(), 0)
        assert back.verdict == "pass", back.facts
    assert failures(loads) == []
    assert all(load.releases[release] for load in loads for release in (second.release, third.release))
    project.assert_settled(second.release)
    assert project.left_behind() == []


@pytest.mark.parametrize(
    "step",
    [
        *(pytest.param(step, marks=pytest.mark.nightly) for step in ("start", "ready", "shift", "record")),
        "bake",
    ],
)
def test_a_release_goes_on_when_a_node_is_lost_on_its_way(
    project: swarm.SwarmProject, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(RELEASE_STRATEGY="canary", CANARY_STEPS="25,100", CANARY_HOLD="3s", BAKE_TIME="5s")
    project.ship()
    with loaded(project.addresses[:2]) as loads, swarm.losing(3) as lose:
        after(step, lose, monkeypatch)
        second = project.ship(delay_ms=1)
        monkeypatch.undo()
        assert second.facts["outcome"] == "released", second.facts
        told(second, step)
    project.assert_settled(second.release)
    # At most what each edge had under way, or sent to that node before its check had failed.
    assert set(failures(loads)) <= LOST_BY_A_HOST, failures(loads)
    assert len(failures(loads)) < 0.05 * sum(load.requests for load in loads)
    assert project.left_behind() == []


def after(step: str, lose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose a node as soon as the intent of a step is recorded, once."""
    note, lost = EtcdTransaction.note, list[str]()

    def losing(transaction: EtcdTransaction, **record: Any) -> None:
        note(transaction, **record)
        if not lost and (record["event"], record.get("step")) == ("intent", step):
            lost.append(step)
            lose()

    monkeypatch.setattr(EtcdTransaction, "note", losing)


def told(evidence: Evidence, step: str) -> None:
    """What failed in the bake because of a host is told as that, where it decided anything."""
    named = [rule for rule in evidence.rules if rule.id == "judge.hosts"]
    assert all("node3" in rule.measured for rule in named)
    if step == "bake":
        assert named or all(rule.verdict != "fail" for rule in evidence.rules)


def test_a_run_that_was_overtaken_changes_nothing_when_it_wakes_up(project: swarm.SwarmProject) -> None:
    first = project.ship()
    target, folder = project.session().target, project.store.release_folder(first.release)
    newer = project.store.lease().token + 2
    live = project.store.state().live
    assert live is not None
    idle = live.other
    slot = target.start(idle, folder, newer)
    servers = target.servers(idle, slot)
    for late in (lambda: target.stop(idle, newer - 1), lambda: target.start(idle, folder, newer - 1)):
        with pytest.raises(KickoffError, match="another run has started") as caught:
            late()
        assert caught.value.code is ExitCode.LOCK_HELD
    # One that had looked before: what it makes all the same is looked at by nobody, and goes with the rest.
    project.start_late(idle, folder, newer - 1)
    assert target.servers(idle, slot) == servers
    target.stop(idle, newer)
    assert target.slot(idle) is None
    assert len(project.services_running()) == 1
    project.assert_settled(first.release)


def test_without_a_leader_a_release_is_refused_and_users_are_served(project: swarm.SwarmProject) -> None:
    first = project.ship()
    commit = project.commit(delay_ms=1)
    digest = project.stage_arguments(commit)
    with swarm.losing(2, 3) as lose:
        lose()
        with loaded(project.addresses[:1]) as loads:
            refused = project.command("stage", *digest)
            assert refused.returncode == ExitCode.UNREACHABLE, refused.stderr
            assert "has no leader" in refused.stderr, refused.stderr
    assert project.serving() == first.release
    assert set(failures(loads)) <= LOST_BY_A_HOST
    assert loads[0].releases.keys() - {""} == {first.release}
    second = project.ship(delay_ms=1)
    assert second.facts["outcome"] == "released", second.facts
    project.assert_settled(second.release)


def test_another_manager_goes_on_where_the_first_was_lost(
    project: swarm.SwarmProject,
) -> None:
    project.set(BAKE_TIME="1s")
    first = project.ship()
    staged = project.stage(project.commit(delay_ms=1))
    assert staged.returncode == ExitCode.PASS, staged.stderr
    candidate = project.expected("candidate")
    assert project.killed("after", 5, "promote", "--attempt", project.open_attempt()) < 0
    with swarm.losing(1) as lose, loaded(project.addresses[1:2]) as loads:
        lose()
        # It has the project and the members of etcd, and nothing of what the first one had written.
        project.move(2)
        with patch.dict(os.environ, project.environ):
            resumed = project.command("resume")
            assert resumed.returncode in {ExitCode.PASS, ExitCode.ROLLED_BACK}, resumed.stderr
            assert project.served_at(2) == project.live
            assert project.live in {first.release, candidate}
            back = project.command("rollback", f"--to={first.release}", "--reason", "it was the first")
            assert back.returncode in {ExitCode.PASS, ExitCode.ROLLED_BACK}, back.stderr
            assert project.served_at(2) == first.release
            second = project.ship(delay_ms=2)
            assert second.facts["outcome"] == "released", second.facts
            assert project.served_at(2) == second.release
    assert set(failures(loads)) <= LOST_BY_A_HOST
    project.assert_settled(second.release)
    assert project.left_behind() == []


@pytest.mark.parametrize(
    ("command", "side", "every"),
    [
        ("promote", "after", 4),
        *(
            pytest.param(command, side, 1, marks=pytest.mark.nightly)
            for command in ("stage", "promote", "rollback")
            for side in SIDES
        ),
    ],
)
def test_whatever_record_a_command_is_killed_at_the_next_one_converges(
    project: swarm.SwarmProject, command: str, side: str, every: int
) -> None:
    killed = kill_everywhere(project, command, side, every)
    assert killed.points >= 2
    assert killed.failed == []
    assert project.left_behind() == []


def test_a_colour_follows_its_instances_to_other_nodes(project: swarm.SwarmProject) -> None:
    first = project.ship()
    live = project.store.state().live
    assert isinstance(live, Colour)
    with swarm.losing(3) as lose, loaded(project.addresses[:2]) as loads:
        lose()
        swarm.until(lambda: project.nodes_of(live) == {"node1", "node2"}, 60)
        for load in loads:
            load.failures.clear()
            load.codes.clear()
        swarm.until(lambda: all(sum(load.codes.values()) > 200 for load in loads), 30)
    assert failures(loads) == []
    assert {release for load in loads for release in load.releases} - {""} == {first.release}
