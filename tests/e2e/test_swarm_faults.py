"""The fault table on a Swarm: what must not ship there, and what must."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.targets.ground import missing
from tests.e2e import swarm
from tests.e2e.containers import BASE, docker
from tests.e2e.faults import BY_NAME
from tests.e2e.rehearsal import Bench

pytestmark = [pytest.mark.e2e, pytest.mark.statistical, pytest.mark.timeout(1500)]
# Rows that end in the target; what the engine alone does is rehearsed on the others.
EACH_TIME = ("crash at start", "500 on 5 % of requests")
NIGHTLY = (
    "nothing",
    "nothing, by canary",
    "nothing, and no traffic at all",
    "never ready",
    "ready but wrong release",
    "release header missing",
    "migration hangs",
    "crash after 5 s",
    "flapping health",
    "500 on half of the requests, first release",
    "errors within the limit, but more than live",
    "errors under public traffic alone",
    "errors under public traffic alone, canary 5 %",
    "a few users' errors beside a busy probe",
    "p95 above its limit",
    "hung requests",
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if why := missing("swarm"):
        pytest.skip(why)
    docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
    with ExitStack() as stack:

        def project(place: Path) -> swarm.SwarmProject:
            return swarm.SwarmProject(place, stack.enter_context(swarm.etcd(place / "etcd")))

        kept = Bench(tmp_path_factory.mktemp("swarm"), project)
        yield kept
        kept.close()


@pytest.mark.parametrize(
    "name", [*EACH_TIME, *(pytest.param(name, marks=pytest.mark.nightly) for name in NIGHTLY)]
)
def test_fault(bench: Bench, name: str) -> None:
    with swarm.alone(alone=False):
        swarm.await_nodes()
        assert bench.rehearse(BY_NAME[name]).problems == []
