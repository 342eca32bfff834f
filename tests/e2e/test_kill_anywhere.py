"""SIGKILL the engine on both sides of every journal record; the next command must leave one healthy release."""

import pytest

from tests.e2e.kills import LEAST, SIDES, kill_everywhere
from tests.e2e.project import Project

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", LEAST)
def test_killed_at_any_record(project: Project, command: str, side: str) -> None:
    killed = kill_everywhere(project, command, side)
    assert killed.points >= LEAST[command]
    assert killed.requests > 100
    assert killed.failed == []
