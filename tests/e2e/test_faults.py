"""Every row of the fault table ends as it says, through the real engine and under load."""

from collections.abc import Iterator

import pytest

from tests.e2e.faults import BY_NAME, FAULTS, Fault
from tests.e2e.rehearsal import Bench, needs

pytestmark = [pytest.mark.e2e, pytest.mark.statistical]
# Rows that take long and whose mechanism another row of every run has, too; nightly.yml drives all.
NIGHTLY = (
    "errors under public traffic alone, canary 5 %",
    "errors within the limit, but more than live",
    "a few users' errors beside a busy probe",
    "p95 above its limit",
    "hung requests",
    "memory growing",
    "wrong release for users alone",
    "too few requests to tell",
    "flapping health",
    "nothing, and no traffic at all",
    "Traefik down",
    "rollback past a schema change",
    "rollback to what was rolled back from",
    "rollback after the judge went back",
    "rollback to a refused release, forced without a reason",
    "rollback to nowhere beside another deploy",
    "rollback to a path",
    "Latin-1 output",
    "ALL_PROXY to a SOCKS proxy",
    "401 to all unmarked requests, first release",
    "live fails everything, by canary",
    "live fails all but its liveness path, by canary",
    "state folder with a colon",
    "supervisor's socket removed before a rollback",
    "route emptied",
    "resume with the route lost",
    "start after a stop",
    "SIGTERM in the bake",
    "p95 above its limit, and no traffic at all",
    "CPU burning within a limit",
    "ready path wants a key that is not set",
    "401 to users alone, first release",
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    kept = Bench(tmp_path_factory.mktemp("bench"))
    yield kept
    kept.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=[pytest.mark.nightly] if fault.name in NIGHTLY else [])
        for fault in FAULTS
    ],
)
def test_fault(bench: Bench, fault: Fault) -> None:
    if needs(fault):
        pytest.skip(needs(fault))
    assert bench.rehearse(fault).problems == []


def test_what_waits_for_the_night_is_in_the_table() -> None:
    assert set(NIGHTLY) <= BY_NAME.keys()
