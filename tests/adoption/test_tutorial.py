"""The tutorial for a service of one's own, followed word for word with an installed Kickoff."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kickoff.release.targets.ports import free_port
from tests.adoption.conftest import Installed
from tests.adoption.foreign import REPOSITORY
from tests.adoption.walkthrough import missing, steps

PAGE = (REPOSITORY / "docs" / "tutorial-own-service.md").read_text(encoding="utf-8")
WORDS_A_MINUTE = 200
REFUSED = 7
"""How curl ends where nobody listens."""


class Reader:
    """Somebody with an empty folder, who types what the page says.

    Args:
        folder: The folder.
        programs: Where Kickoff is installed.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.here, self._folder = folder / "home", folder
        self.ports = {8000: free_port()}
        for path in (self.here, folder / "user"):
            path.mkdir()
        somebody = {"NAME": "Somebody", "EMAIL": "somebody@example.invalid"}
        self._environ = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder / "user"),
            "LANG": "C.UTF-8",
            "KICKOFF_STATE_ROOT": str(folder / "state"),
            "KICKOFF_PORT": str(self.ports[8000]),
            **{f"GIT_{who}_{key}": text for who in ("AUTHOR", "COMMITTER") for key, text in somebody.items()},
        }

    def give(self, variables: dict[str, str], ports: dict[int, int]) -> None:
        """Set variables of the shell, and other ports that the page has and this machine has not."""
        self.ports = ports
        self._environ = {
            name: text for name, text in self._environ.items() if name != "KICKOFF_PORT"
        } | variables

    def type(self, block: str, *, code: int = 0) -> str:
        """Run a block of shell where the last one ended; return what was shown, with the page's ports."""
        where = self._folder / "where"
        for shown, port in self.ports.items():
            block = block.replace(f":{shown}", f":{port}")
        done = subprocess.run(
            ["bash", "-euc", f"trap 'pwd > \"{where}\"' EXIT\n{block}"],
            cwd=self.here,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, f"{block}\n{done.stdout}"
        self.here = Path(where.read_text(encoding="utf-8").rstrip("\n"))
        said = done.stdout
        for shown, port in self.ports.items():
            said = said.replace(f":{port}", f":{shown}")
        return said


@pytest.fixture
def reader(tmp_path: Path, installed: Installed) -> Iterator[Reader]:
    made = Reader(tmp_path, installed.programs)
    yield made
    if (made.here / "kickoff.yml").exists():
        made.type("kickoff stop --env development")


@pytest.mark.e2e
def test_the_page_is_followed_to_its_end(reader: Reader) -> None:
    said, ran = "", 0
    for step in steps(PAGE):
        if step.kind == "save":
            (reader.here / step.name).write_text(step.text, encoding="utf-8")
        elif step.kind == "run":
            said, ran = reader.type(step.text), ran + 1
        else:
            assert missing(step.text, said) == [], f"line {step.line} of the page; it said:\n{said}"
    assert ran == PAGE.count("```sh\n") >= 10
    reader.type("curl --silent http://127.0.0.1:8000/", code=REFUSED)


def test_the_page_ships_changes_breaks_and_goes_back() -> None:
    shown = "".join(step.text for step in steps(PAGE) if step.kind == "show")
    verdicts = ["✓ RELEASED", "✓ RELEASED", "✗ REJECTED", "serves again"]
    places = [-1]
    for verdict in verdicts:
        places.append(shown.index(verdict, places[-1] + 1))
    assert places == sorted(places)


def test_the_page_is_read_in_five_minutes() -> None:
    prose = "".join(part for number, part in enumerate(PAGE.split("```")) if number % 2 == 0)
    assert len(prose.split()) < 5 * WORDS_A_MINUTE


@pytest.mark.parametrize(
    ("shown", "printed", "absent"),
    [
        ("one\nthree\n", "one\ntwo\nthree\n", []),
        ("✓ done … in … s\n", "✓ done 1-a → x in 12 s\n", []),
        ("three\none\n", "one\ntwo\nthree\n", ["one"]),
        ("one …\n", "none here\n", ["one …"]),
        ("one\n", "one more\n", ["one"]),
    ],
)
def test_what_is_shown_must_be_printed_in_this_order(shown: str, printed: str, absent: list[str]) -> None:
    assert missing(shown, printed) == absent


def test_a_block_that_tells_nobody_what_to_do_is_an_error() -> None:
    page = "Save it as `a/b.py`:\n\n```python\nx = 1\n```\n\n```console\n$ before\n```\n"
    [step] = steps(page)
    assert (step.kind, step.name, step.text, step.line) == ("save", "a/b.py", "x = 1\n", 3)
    with pytest.raises(ValueError, match="line 1"):
        list(steps("```python\nx = 1\n```\n"))
