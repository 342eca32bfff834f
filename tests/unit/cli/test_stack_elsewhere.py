"""`stack` on an environment whose stack is nothing that it knows: refused, never taken for nothing to do."""

from pathlib import Path

import pytest

from kickoff.cli.main import main
from kickoff.errors import ExitCode

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("verb", ["plan", "prepare", "apply"])
def test_the_stack_of_a_swarm_is_not_taken_for_none(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("KICKOFF_TARGET", "swarm")
    assert main(["stack", verb, "--env", "staging"]) == ExitCode.BAD_INPUT
    said = capsys.readouterr().err
    assert "is on a Docker Swarm" in said
    assert "docs/how-to/swarm.md" in said
