"""The demo is held to its story, says what differs, and writes for a terminal of 80 columns or for a pipe."""

import io
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from kickoff import service
from kickoff.demo import place, play
from kickoff.demo.place import Place
from kickoff.demo.play import Seen, problems, verdict
from kickoff.demo.screen import WIDTH, Screen, folded
from kickoff.demo.story import STORY, USERS
from kickoff.demo.users import Answer
from kickoff.errors import ExitCode, KickoffError

FIRST, SECOND, BAD = "aaaaaaa-11111111", "bbbbbbb-22222222", "ccccccc-33333333"


def answers(release: str, number: int = 20, *, ok: bool = True, milliseconds: float = 10) -> list[Answer]:
    return [Answer(float(at), ok, milliseconds, release) for at in range(number)]


def as_told() -> list[Seen]:
    """What users see of the four scenes when all goes as it must."""
    slow, quick = answers(FIRST, milliseconds=40), answers(SECOND)
    return [
        Seen(FIRST, 0, slow, slow),
        Seen(SECOND, 0, [*slow, *quick], quick),
        Seen(BAD, 5, [*quick, *answers(BAD, 3, ok=False)], quick),
        Seen(FIRST, 0, [*quick, *slow], slow),
    ]


@pytest.mark.parametrize("number", range(4))
def test_what_goes_as_told_has_no_problems(number: int) -> None:
    assert list(problems(STORY[number], as_told()[: number + 1])) == []


@pytest.mark.parametrize(
    ("number", "change", "said"),
    [
        (0, {"afterwards": []}, "no request was answered after the command had ended"),
        (0, {"answers": answers("", 1, ok=False)}, "1 of 1 requests failed, and none was expected to"),
        (1, {"afterwards": answers(FIRST)}, f"{FIRST} answered afterwards, and {SECOND} was expected"),
        (1, {"answers": [*answers(FIRST), *answers(SECOND)]}, f"{SECOND} was not seen to answer faster"),
        (1, {"answers": answers(SECOND)}, f"{SECOND} was not seen to answer faster"),
        (2, {"answers": answers(SECOND, 2, ok=False)}, "2 of 2 requests failed, and none was expected to"),
        (2, {"afterwards": answers(BAD)}, f"{BAD} answered afterwards, and {SECOND} was expected"),
        (2, {"afterwards": answers(SECOND, 4, ok=False)}, "4 of 4 requests failed after the command had ended"),
        (3, {"afterwards": [*answers(FIRST), *answers("")]}, f"nobody answered afterwards, and {FIRST}"),
        (3, {"answers": answers(BAD, 1, ok=False)}, "1 of 1 requests failed, and none was expected to"),
    ],
)  # fmt: skip
def test_what_goes_otherwise_is_said(number: int, change: dict[str, list[Answer]], said: str) -> None:
    seen = as_told()[: number + 1]
    seen[number] = replace(seen[number], **change)  # type: ignore[arg-type]
    found = list(problems(STORY[number], seen))
    assert any(said in problem for problem in found), found


def test_the_story_ships_breaks_and_goes_back() -> None:
    assert [scene.code for scene in STORY] == [0, 0, 5, 0]
    assert [scene.serves for scene in STORY] == [1, 2, 2, 1]
    assert [scene.back for scene in STORY] == [False, False, False, True]
    assert max(len(f"   {text}") for scene in STORY for text in (scene.told, *scene.change)) <= WIDTH


def test_each_change_is_one_of_the_service_and_its_checks_ask_no_bad_name(tmp_path: Path) -> None:
    made = Place(tmp_path)
    asked = [check.path for check in service.load(made.root).smoke]
    assert asked == ["/?name=Ann"]
    assert all(name.isascii() for name in USERS[:-1])
    assert not USERS[-1].isascii()
    for scene in STORY:
        if scene.change[0]:
            made.change(*scene.change)
    assert '.encode("ascii")' in (made.root / "server.py").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="0 times"):
        made.change("no such text", "")


def test_a_verb_that_leaves_no_document_is_an_error_with_what_it_said(tmp_path: Path) -> None:
    made, told = Place(tmp_path), list[str]()
    with pytest.raises(KickoffError, match=r"the verb stauts ended with 2 and no result") as caught:
        made.kickoff("stauts", tell=told.append)
    assert caught.value.code is ExitCode.REJECTED
    assert any("did you mean" in cause for cause in caught.value.causes)


def test_a_verb_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_LONGEST", 0.0)
    with pytest.raises(KickoffError, match=r"took more than 0 s"):
        Place(tmp_path).kickoff("doctor", tell=lambda _: None)


def test_a_wish_to_end_within_the_start_of_a_verb_ends_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, began = Place(tmp_path), list[subprocess.Popen[bytes]]()
    real = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        began.append(real([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True))
        os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C, before anybody knows of the process
        return began[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        made.kickoff("doctor", tell=lambda _: None)
    assert began[0].poll() is not None


def test_the_last_block_adds_up() -> None:
    scenes = [
        {"title": scene.title, "exit_code": int(scene.code), "failed": failed}
        for scene, failed in zip(STORY, (0, 1, 6, 0), strict=True)
    ]
    document = {"seconds": 83.4, "requests": 3583, "failed": 7, "scenes": scenes, "report": "/x/report.html"}
    text = verdict(document)
    assert "4 scenes, all as the story says   83 s" in text
    assert "3,583 requests, 7 failed: 6 at the bad release, 1 at the others" in text
    assert "/x/report.html" in text
    assert max(map(len, text.splitlines())) <= WIDTH


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def write(screen: Screen) -> None:
    screen.say("✓ RELEASED")
    screen.now("working")
    screen.say("plain")


def test_a_terminal_gets_colours_and_a_line_that_passes(terminal: Terminal) -> None:
    write(Screen(terminal))
    assert terminal.getvalue() == ("\x1b[32m✓ RELEASED\x1b[0m\n\r\x1b[K\x1b[2mworking\x1b[0m\r\x1b[Kplain\n")


def test_without_colour_only_the_line_passes(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    write(Screen(terminal))
    assert terminal.getvalue() == "✓ RELEASED\n\r\x1b[Kworking\r\x1b[Kplain\n"


def test_a_pipe_gets_lines_and_silence_is_silent() -> None:
    pipe, nothing = io.StringIO(), io.StringIO()
    write(Screen(pipe))
    write(Screen(nothing, silent=True))
    assert (pipe.getvalue(), nothing.getvalue()) == ("✓ RELEASED\nplain\n", "")


def test_a_long_line_is_folded_below_its_value() -> None:
    rows = folded("  why       " + "word " * 30)
    assert len(rows) > 1
    assert max(map(len, rows)) <= WIDTH
    assert all(row.startswith(" " * 12 + "w") for row in rows[1:])


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_could_not_begin_leaves_nothing(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(nowhere))
    with pytest.raises(KickoffError, match="git is not installed"):
        play.play(Screen(io.StringIO()), keep=False)
    assert list(nowhere.iterdir()) == []


def test_what_went_otherwise_is_kept_and_named(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Mock()
    monkeypatch.setattr(
        Place, "kickoff", lambda *_, **__: (3, {"exit_code": 3, "summary": "the machine was busy"})
    )
    monkeypatch.setattr(Place, "stop", stopped)
    told = io.StringIO()
    with pytest.raises(KickoffError, match=r"^A first release: the verb release ended with 3") as caught:
        play.play(Screen(told), keep=False)
    [kept] = nowhere.iterdir()
    assert caught.value.code is ExitCode.REJECTED
    assert caught.value.hint.startswith(f"{kept} is kept")
    assert (kept / "log").exists()
    assert "✗ the machine was busy" in told.getvalue()
    stopped.assert_called_once()
