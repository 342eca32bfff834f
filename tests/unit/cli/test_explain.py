"""Explanations of exit codes and verdicts: complete, short, found by what is printed, and the same in the page."""

import json
import runpy
from pathlib import Path

import pytest

from kickoff.cli import main
from kickoff.cli.parser import CODES, HEIGHT, WIDTH
from kickoff.cli.run import explain
from kickoff.errors import ExitCode
from kickoff.report.verdicts import RunVerdict

ROOT = Path(__file__).resolve().parents[3]
ALL = explain.load()


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_explained(code: ExitCode) -> None:
    assert explain.find(str(int(code))).code == code
    assert set(CODES) == set(ExitCode)


@pytest.mark.parametrize("verdict", list(RunVerdict))
def test_every_verdict_is_explained_as_it_is_printed_and_as_it_is_written(verdict: RunVerdict) -> None:
    assert explain.find(verdict.word) == explain.find(verdict.value)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_an_explanation_fits_a_terminal_and_says_what_to_do(one: explain.Explanation) -> None:
    rows = one.text.splitlines()
    assert rows[0] == f"# {one.name.replace('-', ' ').upper()}"
    assert len(rows) < HEIGHT and max(map(len, rows)) <= 80
    parts = [one.text.index(f"**{part}**") for part in ("You see", "It means", "Do")]
    assert parts == sorted(parts)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_a_terminal_shows_it_whole_with_each_command_in_one_piece(
    one: explain.Explanation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["explain", one.name, "--env", "production"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) < HEIGHT and max(map(len, rows)) <= WIDTH
    assert [row for row in rows if row.count("`") % 2] == []


def test_commands_name_the_environment_that_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain", "rolled back", "--env", "qa"]) == 0
    said = capsys.readouterr().out
    assert "`kickoff status --env qa`" in said and "NAME" not in said and "**" not in said


def test_the_list_has_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[1] for row in rows] == [one.name for one in ALL]
    assert len(ALL) == len(list(explain.FOLDER.iterdir())) < HEIGHT and max(map(len, rows)) <= 80
    assert main.main(["explain", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == [one.name for one in ALL]


def test_the_page_is_made_of_them() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "docs" / "explanations.py"))
    [(name, text)] = script["rendered"]().items()
    assert (ROOT / name).read_text("utf-8") == text
    assert all(f"\n## {one.text.splitlines()[0][2:]}\n" in text for one in ALL)
