"""The start of a command: what takes long to load is loaded by those who need it."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "src"


def loaded(statement: str, *names: str) -> list[str]:
    code = f"import sys; {statement}; print(*(set({names!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SOURCE)},
    )
    return done.stdout.split()


def test_the_first_step_of_a_checkout_imports_next_to_nothing() -> None:
    code = "from kickoff import bootstrap, cli; import kickoff.cli.verbs"
    assert loaded(code, "hashlib", "subprocess", "shutil", "dataclasses", "argparse", "pathlib") == []


@pytest.mark.parametrize("module", ["kickoff.cli.run.release", "kickoff.service", "kickoff.evidence"])
def test_looking_needs_neither_the_schemas_nor_the_engine(module: str) -> None:
    heavy = ("jsonschema", "httpx", "rich", "docker", "kickoff.release.engine", "kickoff.stack")
    assert loaded(f"import {module}", *heavy) == []


def test_the_command_line_of_the_http_client_is_never_loaded() -> None:
    assert loaded("import kickoff.program, httpx", "click", "rich", "pygments") == []
