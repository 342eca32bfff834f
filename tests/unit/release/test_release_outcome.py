"""Who serves, as the evidence of a command says it: asked at this moment, and true in the middle of an attempt too."""

from types import SimpleNamespace
from typing import cast

import pytest

from kickoff.release import outcome
from kickoff.release.model import Colour, Slot, State
from kickoff.release.session import Session

BLUE, GREEN = Colour.BLUE, Colour.GREEN
LIVE = State(BLUE, None, {BLUE: Slot("old", 1), GREEN: Slot("new", 2)})


def session(
    *, shifting: bool, weights: dict[Colour, int], live: Colour | None = BLUE, problem: str = ""
) -> Session:
    attempt = SimpleNamespace(shifting=shifting, release="new", colour="green")
    state = State(live, None, LIVE.slots)
    store = SimpleNamespace(state=lambda: state, open_attempt=lambda: attempt)
    found = SimpleNamespace(
        store=store, proxy=SimpleNamespace(weights=lambda: weights), not_serving=lambda: problem
    )
    return cast("Session", found)


@pytest.mark.parametrize(
    ("shifting", "weights", "said"),
    [
        (False, {BLUE: 100}, {"release": "old", "colour": "blue"}),
        (True, {BLUE: 100}, {"release": "old", "colour": "blue"}),
        (True, {BLUE: 75, GREEN: 25}, {"release": "old", "colour": "blue", "share": 75}),
        (True, {GREEN: 100}, {"release": "new", "colour": "green"}),
        (True, {}, {"release": "old", "colour": "blue"}),
    ],
    ids=["before traffic moved", "after it moved back", "canary", "bake", "route lost"],
)
def test_who_serves_is_who_has_the_traffic(
    shifting: bool, weights: dict[Colour, int], said: dict[str, object]
) -> None:
    assert outcome.serving(session(shifting=shifting, weights=weights)) == {**said, "answers": "yes"}


def test_a_problem_is_that_of_who_has_the_traffic() -> None:
    found = outcome.serving(session(shifting=True, weights={GREEN: 100}, problem="/: HTTP 500"))
    assert (found["release"], found["answers"]) == ("new", "/: HTTP 500")


def test_where_nothing_is_recorded_as_live_nothing_is_said_to_serve() -> None:
    found = outcome.serving(
        session(shifting=True, weights={GREEN: 100}, live=None, problem="no release is live")
    )
    assert found == {"release": "", "colour": "", "answers": "no release is live"}
