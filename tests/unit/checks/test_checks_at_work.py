"""The progress of commands that run side by side."""

import time

import pytest

from kickoff.checks import at_work
from kickoff.checks.at_work import AtWork


def test_it_says_how_many_are_done_and_what_runs_for_how_long() -> None:
    now = 100.0
    found = AtWork(3, clock=lambda: now)
    assert str(found) == "0 of 3 done; nothing runs"
    found.begins("lint")
    found.begins("tests")
    now += 45
    found.says("tests", "tests/unit/test_api.py ....  [ 34%]\n")
    found.says("tests", "\n")
    found.ends("lint")
    assert str(found) == "1 of 3 done; tests 45 s (tests/unit/test_api.py .... [ 34%])"


def test_it_is_printed_while_commands_run_and_no_longer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "_EVERY_IN_A_LOG", 0.01)
    monkeypatch.delenv("ACT", raising=False)
    found = AtWork(1)
    found.begins("tests")
    said = ""
    with found.shown():
        deadline = time.monotonic() + 10
        while "… 0 of 1 done; tests 0." not in said:
            assert time.monotonic() < deadline, "nothing was printed"
            time.sleep(0.01)
            said += capsys.readouterr().out
    capsys.readouterr()
    time.sleep(0.05)
    assert capsys.readouterr().out == ""
