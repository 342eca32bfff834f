"""Releases whose route is in etcd: the host's own Traefik and two more read it, and one is lost on the way."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from kickoff.errors import ExitCode
from kickoff.paths import state_root
from kickoff.release.rollback import Request
from kickoff.release.stores import MEMBERS
from kickoff.release.stores.etcd_records import EtcdTransaction
from kickoff.service import name_of
from tests.e2e.project import Load, Project
from tests.edges import Edge, edges
from tests.etcd import Cluster, cluster

pytestmark = pytest.mark.e2e


class Site:
    """The project's members of etcd, and its edges beside that of its host."""

    def __init__(self, members: Cluster, edges: Sequence[Edge]) -> None:
        self.members, self.edges = members, edges


@pytest.fixture
def site(project: Project, tmp_path: Path) -> Iterator[Site]:
    with cluster(tmp_path / "etcd", 3) as members:
        root = members.named_in(state_root(name_of(project.root), "development"), [])
        slow = project.session().environment.seconds("RESPONSE_TIME_THRESHOLD")
        with edges(root, 2, slow) as started:
            members.named_in(root, [edge.api for edge in started])
            yield Site(members, started)
            if dead := [member for member in members.members if member.process is None]:
                members.start(*dead)
            project.close()  # which asks for the state
            (root / MEMBERS).unlink()


def answers(edge: Edge) -> str:
    return str(httpx.get(f"{edge.address}/", timeout=5, trust_env=False).headers["X-Release"])


def status(project: Project) -> tuple[int, dict[str, Any]]:
    done = project.command("status", "--json")
    return done.returncode, json.loads(done.stdout)


def test_releases_reach_every_edge_and_go_on_when_one_is_lost(
    project: Project, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.ship()
    assert first.facts["outcome"] == "released", first.facts
    assert {answers(edge) for edge in site.edges} == {first.release}
    code, found = status(project)
    assert (code, len(found["edges"]), set(found["edges"].values())) == (0, 3, {""})
    kept, lost = site.edges
    note = EtcdTransaction.note

    def losing(transaction: EtcdTransaction, **record: Any) -> None:
        if (record["event"], record.get("step")) == ("intent", "shift"):
            lost.kill()
        note(transaction, **record)

    with ExitStack() as stack:
        loads = [stack.enter_context(Load(address, 50)) for address in (project.address, kept.address)]
        with monkeypatch.context() as patched:
            patched.setattr(EtcdTransaction, "note", losing)
            second = project.ship(delay_ms=1)
        assert second.facts["outcome"] == "released", second.facts
        assert any(event.get("edge") == lost.api for event in second.timeline)
        assert answers(kept) == second.release
        code, found = status(project)
        assert code == 0
        assert "does not answer" in found["edges"][lost.api]
        assert lost.api in project.command("status").stdout
        assert lost.api in project.command("doctor").stdout
        lost.start()
        back = project.engine().rollback(Request(), 0)
        assert back.verdict == "pass", back.facts
    assert [one for load in loads for one in load.failed] == []
    project.assert_settled(first.release)
    assert {answers(edge) for edge in site.edges} == {first.release}


def test_without_etcd_a_release_is_refused_and_users_are_served(project: Project, site: Site) -> None:
    first = project.ship()
    commit = project.commit(delay_ms=1)
    with Load(project.address, 50) as load:
        site.members.kill()
        refused = project.stage(commit)
        assert refused.returncode == ExitCode.UNREACHABLE, refused.stderr
        assert "no answer from etcd" in refused.stderr
        assert {answers(edge) for edge in site.edges} == {first.release}
        site.members.start()
    assert load.failed == []
    second = project.ship(delay_ms=1)
    assert second.facts["outcome"] == "released", second.facts
    assert {answers(edge) for edge in site.edges} == {second.release}
    project.assert_settled(second.release)


def test_a_step_that_too_few_edges_take_is_taken_back(project: Project, site: Site) -> None:
    first = project.ship()
    project.set(EDGE_QUORUM="3")
    site.edges[1].kill()
    refused = project.ship(delay_ms=1)
    assert (refused.verdict, refused.facts["exit_code"]) == ("fail", ExitCode.UNREACHABLE), refused.facts
    assert "2 of 3 edges answer, and 3 have to" in str(refused.log_tail)
    assert answers(site.edges[0]) == first.release
