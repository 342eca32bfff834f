"""The recording: what a terminal was told becomes rows with times, and those a picture that needs nothing else."""

import importlib.util
import re
import socket
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from kickoff.demo.story import STORY

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "recording.svg"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def recording() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recording", ROOT / "scripts" / "docs" / "recording.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass asks for it
    spec.loader.exec_module(module)
    return module


def shown(recording: ModuleType, text: str) -> list[str]:
    terminal = recording.Terminal()
    terminal.write(text)
    return [recording.text_of(row) for row in terminal.rows()]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("one\r\ntwo", ["one", "two"]),
        ("long text\r\x1b[Kshort", ["short"]),
        ("abc\rX", ["Xbc"]),
        ("\x1b[31mred\x1b[0m  \r\n", ["red", ""]),
        ("x" * 81, ["x" * 80, "x"]),
    ],
)
def test_a_terminal_shows_what_is_written(recording: ModuleType, text: str, rows: list[str]) -> None:
    assert shown(recording, text) == rows


def test_what_leaves_at_the_top_is_gone(recording: ModuleType) -> None:
    rows = shown(recording, "\r\n".join(map(str, range(30))))
    assert rows == [str(number) for number in range(6, 30)]


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "a\tb", "\x07"])
def test_what_it_does_not_know_is_refused(recording: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match="not known to this terminal"):
        recording.Terminal().write(text)


def test_a_scene_is_cut_out_of_what_was_written(recording: ModuleType) -> None:
    chunks = [(1.0, "before\r\n2. Tw"), (2.0, "o\r\nmore\r\n"), (5.0, "3. Three\r\n"), (6.0, "after")]
    assert recording.cut(chunks, "2. Two", "3. Three") == [(0.0, "2. Tw"), (1.0, "o\r\nmore\r\n")]
    with pytest.raises(ValueError, match="substring not found"):
        recording.cut(chunks, "2. Two", "4. Four")


def test_rows_stand_for_a_time_or_for_good(recording: ModuleType) -> None:
    found = recording.stays(
        [(0.0, "title\r\n"), (1.0, "1 s"), (2.0, "\r\x1b[K2 s"), (4.0, "\r\x1b[Kdone\r\n")]
    )
    assert [(recording.text_of(one.row), one.number, one.begin, one.end) for one in found] == [
        ("1 s", 1, 1.0, 2.0),
        ("2 s", 1, 2.0, 4.0),
        ("title", 0, 0.0, None),
        ("done", 1, 4.0, None),
    ]


def test_the_picture_says_how_much_faster_it_is_and_escapes(recording: ModuleType) -> None:
    found = recording.stays([(0.0, "a < b & c\r\n"), (24.0, "\x1b[32mdone\x1b[0m")])
    picture = recording.render(found, 24.0)
    texts = ["".join(node.itertext()) for node in ElementTree.fromstring(picture).iter(f"{SVG}text")]
    assert texts == ["kickoff demo, scene 3 of 4, 24 s shown in 12", "a < b & c", "done"]
    assert 'style="animation:wait 12.00s"' in picture
    assert '<tspan x="14.0" class="green">done</tspan>' in picture
    assert "shown in" not in recording.render(found, 10.0)


def test_what_tells_of_the_machine_is_found(recording: ModuleType) -> None:
    host = socket.gethostname()
    # A checkout may lie below another folder that tells of the machine, as that of temporary files.
    found = set(recording.private(f"<text>by {host} in {ROOT}/x</text>"))
    assert {host, str(ROOT)} <= found and all(str(ROOT).startswith(one) for one in found - {host})
    assert recording.private(f"<text>x{host}x</text>") == []


def test_the_picture_of_the_readme_is_such_a_recording() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    told = root.findtext(f"{SVG}desc") or ""
    rows = told.splitlines()
    assert rows[0] == f"3. {STORY[2].title}"
    assert "ROLLED BACK" in told and "error rate" in told
    assert re.search(r"The 6 people: [\d,]+ requests, \d+ failed within [\d.]+ s", told)
    assert max(map(len, rows)) <= 80 and len(rows) <= 24
    assert len(text.encode()) < 100_000
    links = re.findall(r"(?:https?|file|data):[^\"'<) ]*", text)
    assert links == ["http://www.w3.org/2000/svg"]
    assert not {f"{SVG}script", f"{SVG}image", f"{SVG}use"} & {node.tag for node in root.iter()}
    assert "prefers-reduced-motion" in text and "prefers-color-scheme:dark" in text
    assert "python3 scripts/docs/recording.py" in text
    assert not re.search(r"/(tmp|home|root|work|Users)\b", text)
