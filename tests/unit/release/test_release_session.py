"""What an opened environment says of the release that is live."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release import rollback, stage
from kickoff.release.attempt import Run
from kickoff.release.folder import DESCRIPTION
from kickoff.release.model import Colour, Slot, State
from kickoff.release.session import Session
from kickoff.release.targets import ProcessState

LIVE = "abc1234-00000000"
UP, DOWN = ProcessState(True, 7, "running"), ProcessState(False, 0, "exited with code 3")


@pytest.fixture
def found() -> dict[str, ProcessState]:
    return {"mailer": UP, "ticker": UP}


@pytest.fixture
def session(tmp_path: Path, found: dict[str, ProcessState], monkeypatch: pytest.MonkeyPatch) -> Session:
    workers = {name: {"command": [name], "health": [], "at": ""} for name in found}
    (tmp_path / DESCRIPTION).write_text(json.dumps({"release": LIVE, "workers": workers}))
    history = SimpleNamespace(newest_first=lambda: iter(()))
    state = State(live=Colour.BLUE, warm=None, slots={Colour.BLUE: Slot(LIVE, 4000)})
    store = SimpleNamespace(state=lambda: state, release_folder=lambda _name: tmp_path, history=history)
    monkeypatch.setattr(Session, "not_serving", lambda _self: "")
    environment = SimpleNamespace(name="staging")
    target = SimpleNamespace(workers=lambda _colour: found)
    given: Any = (SimpleNamespace(), environment, store, target, "")
    return Session(*given)


def test_a_release_whose_worker_is_down_is_not_well(session: Session, found: dict[str, ProcessState]) -> None:
    assert session.unwell() == ""
    found["ticker"] = DOWN
    del found["mailer"]
    assert session.unwell() == "worker mailer is down, worker ticker is down"


def test_a_log_that_still_grows_is_waited_for_where_that_is_wanted(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = SimpleNamespace(ready_path="/ready", live_path="/live")
    monkeypatch.setattr(Session, "service", property(lambda _self: service), raising=False)
    written = ["Traceback (most recent call last):", "  serve()", "NameError: greeting"]
    asked = iter([written[:1], written[:2], written, written, written])
    monkeypatch.setattr(Session, "logs", lambda *_: next(asked))
    assert session.record_of_log("candidate") == written[:1]
    assert session.record_of_log("candidate", settled=True) == written


def test_who_does_not_serve_is_not_asked_for_its_workers(
    session: Session, found: dict[str, ProcessState], monkeypatch: pytest.MonkeyPatch
) -> None:
    found["ticker"] = DOWN
    monkeypatch.setattr(Session, "not_serving", lambda _self: "the route is lost")
    assert session.unwell() == "the route is lost"


def test_with_a_worker_down_it_is_shipped_again_and_a_rollback_says_how_to_bring_it_up(
    session: Session, found: dict[str, ProcessState], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = SimpleNamespace(action="release", release=LIVE, at="", data={"attempt": "7-a", "baked_at": "now"})
    session.store.history = SimpleNamespace(newest_first=lambda: iter((entry,)))  # type: ignore[misc]
    run = cast("Run", SimpleNamespace(session=session, store=session.store))
    state = session.store.state()
    assert stage._promoted(run, LIVE, state) is not None
    assert rollback._serving_already(run, "done") == "done"
    found["ticker"] = DOWN
    assert stage._promoted(run, LIVE, state) is None
    with pytest.raises(KickoffError, match="done, but it is not well: worker ticker is down") as caught:
        rollback._serving_already(run, "done")
    assert caught.value.code is ExitCode.UNREACHABLE
    assert "kickoff start --env staging" in caught.value.hint
