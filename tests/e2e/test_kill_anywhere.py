"""SIGKILL the engine on both sides of every journal record; the next command must leave one healthy release."""

import signal

import pytest

from tests.e2e.kills import LEAST, SIDES, SIGNALS, kill_everywhere, kill_in_a_bad_bake
from tests.e2e.project import Project

pytestmark = [pytest.mark.e2e, pytest.mark.statistical]


# Every run kills at some records, and the night at all of them. A kill before a record leaves what a kill after the
# one before it leaves, but for what was done in between.
@pytest.mark.parametrize(
    ("side", "every"),
    [("after", 3), *(pytest.param(side, 1, marks=pytest.mark.nightly) for side in SIDES)],
)
@pytest.mark.parametrize("command", LEAST)
def test_killed_at_any_record(project: Project, command: str, side: str, every: int) -> None:
    killed = kill_everywhere(project, command, side, every)
    assert killed.records > LEAST[command] - every
    assert killed.points == (killed.records - 1) // every + 1
    assert killed.requests > 100
    assert killed.failed == []


@pytest.mark.parametrize(
    ("by", "side", "every"),
    [
        (signal.SIGKILL, "after", 3),
        *(pytest.param(by, side, 1, marks=pytest.mark.nightly) for by in SIGNALS for side in SIDES),
    ],
)
def test_a_bad_release_is_not_recorded_however_its_bake_ends(
    project: Project, by: signal.Signals, side: str, every: int
) -> None:
    killed = kill_in_a_bad_bake(project, by, side, every)
    assert killed.records > LEAST["promote"] - every
    assert killed.failed == []
