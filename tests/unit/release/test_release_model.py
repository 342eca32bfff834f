"""Releases, colours and the recorded state."""

import pytest

from kickoff.release.model import EMPTY, Colour, Facts, Release, Slot, State

FACTS = Facts(artifact="sha256:" + "a" * 64, environment="e", stack="s", schema="r")


def test_the_id_names_the_commit_and_is_stable() -> None:
    release = Release("0123456789abcdef", FACTS)
    assert release.id == Release("0123456789abcdef", FACTS).id
    assert release.id.startswith("0123456-")


@pytest.mark.parametrize("fact", ["artifact", "environment", "stack", "schema"])
def test_every_fact_changes_the_id(fact: str) -> None:
    values = {"artifact": FACTS.artifact, "environment": "e", "stack": "s", "schema": "r"}
    other = Facts(**(values | {fact: "other"}))
    assert Release("0123456", other).id != Release("0123456", FACTS).id


def test_the_first_release_goes_to_blue_and_the_next_to_the_other_colour() -> None:
    assert EMPTY.idle is Colour.BLUE
    assert State(Colour.BLUE, None, {}).idle is Colour.GREEN
    assert State(Colour.GREEN, None, {}).idle is Colour.BLUE


def test_emptying_the_warm_slot_leaves_nothing_warm() -> None:
    slots = {Colour.BLUE: Slot("r1", 1), Colour.GREEN: Slot("r2", 2)}
    state = State(Colour.GREEN, Colour.BLUE, slots).with_slot(Colour.BLUE, None)
    assert state.warm is None
    assert state.slots == {Colour.GREEN: Slot("r2", 2)}
    assert state.release_of(Colour.BLUE) == ""
    assert state.release_of(None) == ""


@pytest.mark.parametrize(
    "state",
    [EMPTY, State(Colour.GREEN, Colour.BLUE, {Colour.BLUE: Slot("r1", 1), Colour.GREEN: Slot("r2", 2)})],
)
def test_the_state_survives_its_document(state: State) -> None:
    assert State.from_document(state.to_document()) == state
