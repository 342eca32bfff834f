"""Programs in a group of their own: what they say, how they end, and that nothing is left of them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kickoff import process_group
from tests.unit.processes import assert_gone

LEAVES = "sleep 600 > /dev/null 2>&1 & echo $!"


def run(folder: Path, script: str, write: Callable[[str], object], seconds: float = 30) -> int | None:
    return process_group.run(["/bin/sh", "-c", script], folder, os.environ, seconds=seconds, write=write)


def test_both_outputs_are_passed_on_and_the_exit_code_returned(tmp_path: Path) -> None:
    lines: list[str] = []
    assert run(tmp_path, "pwd; echo why >&2; exit 7", lines.append) == 7
    assert lines == [f"{tmp_path}\n", "why\n"]


def test_what_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    assert run(tmp_path, "exec >&- 2>&-; sleep 0.3; exit 7", print) == 7
    assert run(tmp_path, "exec >&- 2>&-; sleep 600", print, seconds=0.3) is None


@pytest.mark.parametrize("end", ["exit 0", "sleep 600"])
def test_nothing_is_left_of_it(tmp_path: Path, end: str) -> None:
    lines: list[str] = []
    run(tmp_path, f"{LEAVES}; {end}", lines.append, seconds=1)
    assert_gone(int(lines[0]))


def test_who_cannot_take_a_line_ends_it(tmp_path: Path) -> None:
    lines: list[str] = []

    def refuse(line: str) -> None:
        lines.append(line)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(tmp_path, f"{LEAVES}; sleep 600", refuse)
    assert_gone(int(lines[0]))
