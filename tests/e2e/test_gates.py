"""No gate of the engine is decorative: without it, a row of the fault table ends otherwise."""

from collections.abc import Iterator

import pytest

from tests.e2e.faults import BY_NAME
from tests.e2e.gates import GATES, Gate
from tests.e2e.rehearsal import Bench, needs, noticed

pytestmark = [pytest.mark.e2e, pytest.mark.statistical]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    kept = Bench(tmp_path_factory.mktemp("bench"))
    yield kept
    kept.close()


_SAMPLE = 4
"""Every run takes out every fourth gate; nightly.yml takes out all of them."""


@pytest.mark.parametrize(
    "gate",
    [
        pytest.param(gate, id=gate.name, marks=[pytest.mark.nightly] if number % _SAMPLE else [])
        for number, gate in enumerate(GATES)
    ],
)
def test_gate(bench: Bench, gate: Gate) -> None:
    rows = [row for row in gate.rows if not needs(BY_NAME[row])]
    if not rows:
        pytest.skip(needs(BY_NAME[gate.rows[0]]))
    assert noticed(bench, gate), f"no row notices the loss of this gate: {rows}"
