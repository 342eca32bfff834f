"""Waiting for a candidate: what ended is told with how it ended, in whichever state it is met."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from kickoff.release import readiness
from kickoff.release.attempt import Rejected
from kickoff.release.model import Colour
from kickoff.release.session import Session
from kickoff.release.targets import Endpoint, ProcessState
from kickoff.release.targets.ports import free_port
from kickoff.service import parse

UP, AGAIN = ProcessState(True, 7, "running"), ProcessState(True, 8, "running")
BACKOFF = ProcessState(False, 0, "exited with code 3")


def session(states: Sequence[ProcessState], last_end: str) -> Session:
    """A session whose candidate is met in these states, one after the other, and never answers."""
    left = iter(states)

    @contextmanager
    def reach(_endpoint: str) -> Iterator[Endpoint]:
        yield Endpoint(f"http://127.0.0.1:{free_port()}", {})

    service = parse("name: things\nrun: serve\nhealth: /healthz\n", "kickoff.yml")
    target = SimpleNamespace(
        reach=reach,
        state=lambda _colour: next(left),
        last_end=lambda _process: last_end,
        slot=lambda _colour: None,
    )
    return cast(
        "Session",
        SimpleNamespace(
            target=target,
            service=service,
            service_of=lambda _release: service,
            environment=SimpleNamespace(name="staging", seconds=lambda _key: 5.0),
            check_headers=dict,
            unsent_headers=lambda _reason: "",
            record_of_log=lambda _process: ["no database"],
        ),
    )


@pytest.mark.parametrize(
    ("states", "last_end", "told"),
    [
        ([BACKOFF], "exited with code 3", "exited with code 3"),
        ([UP, BACKOFF], "exited with code 3", "exited with code 3"),
        ([UP, AGAIN], "exited with code 3", "exited with code 3; it was started again"),
        ([UP, AGAIN], "", "it was started again"),
    ],
    ids=["before it is looked at", "between two looks", "and runs again", "and nobody knows how"],
)
def test_what_ended_is_told_with_how_it_ended(
    states: Sequence[ProcessState], last_end: str, told: str
) -> None:
    with pytest.raises(Rejected) as caught:
        readiness.await_ready(session(states, last_end), "abc1234-00000000", Colour.BLUE)
    assert f"the process ended ({told})" in str(caught.value)
