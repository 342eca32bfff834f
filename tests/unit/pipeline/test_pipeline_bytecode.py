"""Working copies of a run come with bytecode, of which nothing runs that their sources do not say."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from kickoff import bootstrap
from kickoff.pipeline import bytecode


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the product with three modules, whose package the running one is taken for."""
    top = tmp_path / "top"
    package = top / "src" / "kickoff"
    (package / "room").mkdir(parents=True)
    for name in ("same", "changed", "gone"):
        (package / "room" / f"{name}.py").write_text(f"print('{name}')\n")
    monkeypatch.setattr(bootstrap, "ROOT", str(top))
    monkeypatch.setattr(bootstrap, "PACKAGE", str(package))
    monkeypatch.setattr(bootstrap, "IN_CHECKOUT", True)
    return top


@pytest.fixture
def copy(top: Path, tmp_path: Path) -> Path:
    """A copy of it in which one module reads otherwise and one is missing."""
    room = tmp_path / "copy" / "src" / "kickoff" / "room"
    room.mkdir(parents=True)
    room.joinpath("same.py").write_bytes((top / "src/kickoff/room/same.py").read_bytes())
    room.joinpath("changed.py").write_text("print('otherwise')\n")
    return tmp_path / "copy"


def cached(copy: Path, name: str) -> Path:
    return Path(importlib.util.cache_from_source(str(copy / "src" / "kickoff" / "room" / f"{name}.py")))


def ran(copy: Path, name: str) -> "subprocess.CompletedProcess[str]":
    """Import a module in a process of its own, which writes no bytecode and tells what it reads."""
    command = [sys.executable, "-B", "-v", "-c", f"import {name}"]
    folder = copy / "src" / "kickoff" / "room"
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


def test_a_module_that_reads_the_same_is_not_compiled_again(top: Path, copy: Path) -> None:
    bytecode.carry(top, copy)
    done = ran(copy, "same")
    assert done.stdout == "same\n"
    assert f"code object from '{cached(copy, 'same')}'" in done.stderr, "it was read, not compiled"


def test_what_reads_otherwise_or_is_missing_gets_none(top: Path, copy: Path) -> None:
    bytecode.carry(top, copy)
    assert not cached(copy, "changed").exists()
    assert not cached(copy, "gone").exists()
    assert ran(copy, "changed").stdout == "otherwise\n"


def test_a_module_that_changes_afterwards_runs_as_its_source_says(top: Path, copy: Path) -> None:
    bytecode.carry(top, copy)
    (copy / "src/kickoff/room/same.py").write_text("print('late')\n")
    assert ran(copy, "same").stdout == "late\n"


@pytest.mark.parametrize("installed", [True, False])
def test_another_repository_and_an_installed_package_leave_the_copy_alone(
    top: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(bootstrap, "IN_CHECKOUT", not installed)
    bytecode.carry(top if installed else top.parent, copy)
    assert not list(copy.rglob("*.pyc"))
