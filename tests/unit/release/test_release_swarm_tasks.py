"""Which ends of a service's instances are its own, and which are those of a lost node."""

import pytest

from kickoff.release.targets.swarm.cluster import Task, current, faults, moved


def task(name: str, slot: int, state: str, made: float, told: float) -> Task:
    return Task(name, "s", slot, "n1", state, "", 3, "c", made, told)


@pytest.mark.parametrize(
    ("tasks", "ended"),
    [
        ([task("a", 1, "running", 1, 2)], []),
        ([task("a", 1, "failed", 1, 5)], ["a"]),
        ([task("a", 1, "failed", 1, 5), task("b", 1, "running", 6, 7)], ["a"]),
        ([task("a", 1, "running", 1, 2), task("b", 1, "running", 20, 21)], []),
        ([task("a", 1, "failed", 1, 40), task("b", 1, "running", 20, 21)], []),
        ([task("a", 1, "shutdown", 1, 40), task("b", 1, "running", 20, 21)], []),
        (
            [task("a", 1, "failed", 1, 5), task("b", 2, "running", 2, 3), task("c", 1, "starting", 6, 6)],
            ["a"],
        ),
    ],
    ids=[
        "it runs",
        "it ended",
        "it ended and was replaced",
        "its node is lost and it was replaced",
        "its node is back and says how it ended",
        "its node is back and was told to end it",
        "one of two ended",
    ],
)
def test_an_end_is_the_service_s_own_unless_its_node_was_lost_before(
    tasks: list[Task], ended: list[str]
) -> None:
    found = faults(tasks)
    assert [one.id for one in found] == ended
    newest = current(tasks)[1]
    replaces = len([one for one in tasks if one.slot == 1]) > 1
    assert moved(newest, tasks, found) == (replaces and not ended)


def test_how_it_ended_is_its_code_or_why_it_never_began() -> None:
    assert task("a", 1, "failed", 1, 2).how_it_ended == "exited with code 3"
    assert Task("a", "s", 1, "", "rejected", "No such image", 0, "", 1, 2).how_it_ended == "No such image"
