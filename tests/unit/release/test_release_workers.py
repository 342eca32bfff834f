"""Whose workers run: those of the colour that has the traffic, once they have stayed up."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release import traffic, undo, workers
from kickoff.release.alerts import Witness
from kickoff.release.attempt import Attempt, Rejected
from kickoff.release.judge import Observation
from kickoff.release.model import Colour, Slot, State
from kickoff.release.progress import Progress
from kickoff.release.targets import ProcessState
from kickoff.release.trial import Trial

TICKER: Mapping[str, Any] = {"ticker": {"command": ["tick"], "health": ["check"], "at": "kickoff.yml:4"}}
NOBODY = Witness("", {}, datetime.now(UTC), doubt_warns=False)
GONE = ProcessState(running=False, pid=0, detail="exited with code 3")


class FakeTarget:
    """A target whose workers live as long as they are told to; it calls them running at once."""

    def __init__(self, lives: float = 3600.0, health: str = "") -> None:
        self.lives, self.health = lives, health
        self.since: dict[Colour, float] = {}
        self.calls: list[str] = []

    def workers(self, colour: Colour) -> Mapping[str, ProcessState]:
        if colour not in self.since:
            return {}
        up = time.monotonic() - self.since[colour] < self.lives
        return {"ticker": ProcessState(running=True, pid=7, detail="running") if up else GONE}

    def start_workers(self, colour: Colour, _folder: Path, fence: int) -> None:
        assert fence == 7
        self.calls.append(f"start {colour}")
        self.since[colour] = time.monotonic()

    def stop_workers(self, colour: Colour, fence: int) -> None:
        assert fence == 7
        self.calls.append(f"stop {colour}")
        del self.since[colour]

    def run_hook(self, _folder: Path, _command: tuple[str, ...], _seconds: float) -> str:
        self.calls.append("check")
        if self.health:
            raise KickoffError(self.health)
        return ""


class FakeAttempt:
    """An attempt in which blue is live, and every release has the same worker."""

    def __init__(self, target: FakeTarget, wanted: Mapping[str, Any] = TICKER) -> None:
        self.steps: list[str] = []
        self.lease = SimpleNamespace(token=7)
        self.session = SimpleNamespace(
            target=target,
            store=SimpleNamespace(
                state=lambda: SimpleNamespace(release_of=lambda _colour: "abc1234-00000000"),
                release_folder=Path,
            ),
            environment=SimpleNamespace(seconds=lambda _key: 1.5),
            workers=lambda colour: wanted if colour else {},
            idle_workers=lambda colour: list(wanted) if colour and colour not in target.since else [],
            record_of_log=lambda process: [process],
        )

    @contextmanager
    def step(self, name: str, **_more: str) -> Iterator[None]:
        self.steps.append(name)
        yield

    @contextmanager
    def fenced(self) -> Iterator[None]:
        yield

    def renew(self) -> None:
        """Keep the lock."""


def assign(attempt: FakeAttempt, colour: Colour | None) -> None:
    workers.assign(cast("Attempt", attempt), colour)


def test_all_others_have_ended_before_the_first_is_started_and_again_nothing_is_done() -> None:
    target = FakeTarget()
    attempt = FakeAttempt(target)
    target.start_workers(Colour.BLUE, Path(), 7)
    assign(attempt, Colour.GREEN)
    assert target.calls == ["start blue", "stop blue", "start green", "check"]
    assign(attempt, Colour.GREEN)
    assert (len(target.calls), attempt.steps) == (4, ["workers"])
    assign(attempt, None)
    assert target.calls[4:] == ["stop green"]


def test_where_no_release_has_workers_no_step_is_taken() -> None:
    attempt = FakeAttempt(FakeTarget(), {})
    assign(attempt, Colour.BLUE)
    assert attempt.steps == []


def test_a_worker_that_a_target_calls_running_at_once_must_stay_up_for_a_second() -> None:
    target = FakeTarget(lives=0.5)
    with pytest.raises(Rejected, match=r"ticker on blue is not up: the process ended \(exited with code 3\)"):
        assign(FakeAttempt(target), Colour.BLUE)
    assert "check" not in target.calls


def test_a_worker_whose_health_command_fails_is_refused_with_its_words() -> None:
    with pytest.raises(Rejected, match=r"not well within 1\.5 s: no job was done") as caught:
        assign(FakeAttempt(FakeTarget(health="no job was done")), Colour.BLUE)
    assert caught.value.log_tail == ["blue-ticker"]


def restored(monkeypatch: pytest.MonkeyPatch, failure: KickoffError) -> tuple[str, list[str]]:
    """Undo a candidate where the workers of the release before cannot be started; return the doubt and the stops."""

    def assign(_attempt: Attempt, _colour: Colour | None) -> None:
        raise failure

    monkeypatch.setattr(workers, "assign", assign)
    monkeypatch.setattr(traffic, "route", lambda *_: None)
    state = State(Colour.BLUE, None, {Colour.BLUE: Slot("old", 1), Colour.GREEN: Slot("new", 2)})
    stopped: list[str] = []
    target = SimpleNamespace(
        state=lambda _colour: SimpleNamespace(running=True),
        stop=lambda colour, _fence: stopped.append(colour),
    )
    proxy = SimpleNamespace(weights=lambda: {Colour.BLUE: 100})

    @contextmanager
    def within(*_: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(save=lambda _state: None)

    attempt = SimpleNamespace(
        session=SimpleNamespace(target=target, proxy=proxy),
        store=SimpleNamespace(state=lambda: state),
        lease=SimpleNamespace(token=7),
        renew=lambda: None,
        step=within,
        fenced=within,
    )
    progress = SimpleNamespace(colour="green", previous="old", warm_start=False, shifting=False)
    return undo._restore(cast("Attempt", attempt), cast("Progress", progress)), stopped


def test_a_worker_that_cannot_be_started_again_does_not_keep_the_candidate_from_being_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = KickoffError("the program 'tick' was not found")
    assert restored(monkeypatch, gone) == ("the program 'tick' was not found", [Colour.GREEN])
    with pytest.raises(KickoffError, match="taken over"):
        restored(monkeypatch, KickoffError("taken over", code=ExitCode.LOCK_HELD))


@pytest.mark.parametrize(
    ("before", "now", "last", "ended"),
    [
        (7, 7, "exited with code 3", ""),
        (7, 8, "exited with code 3", "worker ticker ended (exited with code 3)"),
        (7, 8, "", "worker ticker ended"),
        (7, 0, "", "worker ticker ended (out of memory)"),
        (0, 0, "", "worker ticker ended (out of memory)"),
    ],
    ids=["up", "started again", "started again, nobody knows why", "ended", "ended before it was watched"],
)
def test_a_worker_that_ended_counts_as_a_restart_of_the_candidate(
    before: int, now: int, last: str, ended: str
) -> None:
    found = {"ticker": ProcessState(running=before > 0, pid=before, detail="")}
    web = ProcessState(running=True, pid=5, detail="running")
    target = SimpleNamespace(
        workers=lambda _colour: found,
        state=lambda _colour: web,
        last_end=lambda process: last if process == "green-ticker" else "of another process",
    )
    trial = Trial(cast("Any", SimpleNamespace(target=target)), Colour.GREEN, Colour.BLUE, 5, NOBODY)
    trial.watch_workers()
    found["ticker"] = ProcessState(running=now > 0, pid=now, detail="running" if now else "out of memory")
    seen = Observation()
    trial._usage(seen, 0.0, 1.0)
    assert (seen.restarts, seen.ended) == (int(bool(ended)), ended)


@pytest.mark.parametrize(
    ("process", "ended"),
    [
        (ProcessState(running=True, pid=6, detail="running"), "the process ended (exited with code 137)"),
        (ProcessState(running=False, pid=0, detail="out of memory"), "the process ended (out of memory)"),
    ],
    ids=["started again", "ended"],
)
def test_a_candidate_that_was_started_again_says_how_it_had_ended(process: ProcessState, ended: str) -> None:
    target = SimpleNamespace(state=lambda _colour: process, last_end=lambda _process: "exited with code 137")
    trial = Trial(cast("Any", SimpleNamespace(target=target)), Colour.GREEN, Colour.BLUE, 5, NOBODY)
    seen = Observation()
    trial._usage(seen, 0.0, 1.0)
    assert (seen.restarts, seen.ended, seen.usage_samples) == (1, ended, 0)
