"""Every row of the fault table ends as it says, through the real engine and under load."""

from collections.abc import Iterator

import pytest

from tests.e2e.faults import FAULTS, Fault
from tests.e2e.rehearsal import Bench, needs

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    kept = Bench(tmp_path_factory.mktemp("bench"))
    yield kept
    kept.close()


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_fault(bench: Bench, fault: Fault) -> None:
    if needs(fault):
        pytest.skip(needs(fault))
    assert bench.rehearse(fault).problems == []
