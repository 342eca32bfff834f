"""Commands of the quality gate: outcomes, logs, limits, and nothing left running."""

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from kickoff.checks import commands, quality
from kickoff.checks.commands import Outcome
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, Verdict, now
from kickoff.service import Command


def command(script: str, name: str = "check", timeout: int = 30) -> Command:
    return Command(name, (sys.executable, "-c", script), timeout)


def run(tmp_path: Path, *wanted: Command, shown: list[str] | None = None) -> list[Outcome]:
    return [
        commands.execute(
            given,
            root=tmp_path,
            logs=tmp_path / "logs",
            environ=dict(os.environ),
            show=(shown if shown is not None else []).append,
            stage="quality-gate",
        )
        for given in wanted
    ]


def concluded(outcomes: list[Outcome]) -> Evidence:
    document = Evidence("quality-gate", "", Verdict.INCONCLUSIVE, "", now())
    quality.conclude(document, outcomes)
    return document


def test_a_command_that_passes(tmp_path: Path) -> None:
    shown: list[str] = []
    (outcome,) = run(tmp_path, command("print('fine')", "Unit tests (fast)"), shown=shown)
    assert outcome.passed
    assert shown == ["fine\n"]
    assert outcome.log == tmp_path / "logs" / "quality-gate-unit-tests-fast.log"
    assert outcome.log.read_text() == "fine\n"
    rule = outcome.rule("quality")
    assert (rule.id, rule.verdict, rule.threshold, rule.samples) == (
        "quality.unit-tests-fast",
        Verdict.PASS,
        "exit 0",
        1,
    )
    assert rule.measured == f"exit 0 in {outcome.seconds:.1f} s"


def test_a_failure_does_not_hide_what_comes_after(tmp_path: Path) -> None:
    outcomes = run(tmp_path, command("raise SystemExit(4)", "one"), command("raise SystemExit(5)", "two"))
    assert [outcome.status for outcome in outcomes] == [4, 5]
    document = concluded(outcomes)
    assert document.verdict is Verdict.FAIL
    assert document.summary == "2 of 2 checks failed: one, two"
    assert "ended with exit code 4" in document.rules[0].reason


def test_the_evidence_is_valid_and_keeps_the_end_of_the_first_failing_log(tmp_path: Path) -> None:
    lines = "import sys\nfor i in range(100): print(i)\nprint('why', file=sys.stderr)\nsys.exit(1)"
    outcomes = run(tmp_path, command("pass", "good"), command(lines, "bad"))
    document = concluded(outcomes)
    assert len(document.log_tail) == commands.TAIL
    assert document.write(tmp_path).is_file()


def test_no_command_at_all_proves_nothing() -> None:
    document = concluded([])
    assert document.verdict is Verdict.INCONCLUSIVE


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    (outcome,) = run(tmp_path, Command("lint", ("no-such-program-here", "x"), 5))
    rule = outcome.rule("quality")
    assert rule.verdict is Verdict.FAIL
    assert rule.samples == 0
    assert "`no-such-program-here` is not on PATH" in rule.reason
    assert outcome.tail() == ["`no-such-program-here` is not on PATH on this machine"]


def test_a_program_of_the_project_is_found_by_its_path(tmp_path: Path) -> None:
    program = tmp_path / "check.sh"
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    (outcome,) = run(tmp_path, Command("own", ("./check.sh",), 5))
    assert outcome.tail() == ["here"]


def test_a_program_that_only_this_folder_has_is_not_of_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "bin" / "check.sh"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (outcome,) = run(checkout, Command("own", ("bin/check.sh",), 5))
    assert outcome.problem == "`bin/check.sh` is not an executable file of the commit"


def test_arguments_reach_no_shell(tmp_path: Path) -> None:
    shown: list[str] = []
    script = "import sys; print(sys.argv[1])"
    hostile = Command("echo", (sys.executable, "-c", script, "$(touch pwned); `id`"), 5)
    run(tmp_path, hostile, shown=shown)
    assert shown == ["$(touch pwned); `id`\n"]
    assert not (tmp_path / "pwned").exists()


# A child that holds a lock for as long as it lives, and its parent, which says so once it does.
CHILD = "import fcntl, time; f = open('lock', 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {CHILD!r}], stdout=subprocess.PIPE)\n"
    "child.stdout.readline()\n"
)


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    (outcome,) = run(tmp_path, command(PARENT + "time.sleep(600)", timeout=2))
    assert outcome.status is None
    assert "did not end within 2 s" in outcome.rule("quality").reason
    assert_released(tmp_path / "lock")


def test_a_child_left_behind_does_not_hold_the_gate(tmp_path: Path) -> None:
    (outcome,) = run(tmp_path, command(PARENT))
    assert outcome.passed
    assert_released(tmp_path / "lock")


def test_output_that_is_no_text_does_not_break_the_log(tmp_path: Path) -> None:
    (outcome,) = run(tmp_path, command("import os; os.write(1, bytes([255, 10]))"))
    assert outcome.passed
    assert outcome.tail() == ["\N{REPLACEMENT CHARACTER}"]


def test_tools_need_their_lock(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="is missing"):
        commands.lock(tmp_path, "none.txt")


def test_tools_are_prepared_once(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("")
    first = commands.tools(lock, tmp_path / "cache")
    assert (first / "python").exists()
    marker = first / "marker"
    marker.touch()
    assert commands.tools(lock, tmp_path / "cache") == first
    assert marker.exists()


def test_tools_without_hashes_are_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("ruff\n")
    with pytest.raises(KickoffError, match="cannot prepare"):
        commands.tools(lock, tmp_path / "cache")


def assert_released(lock: Path) -> None:
    """Wait until nobody holds the lock."""
    deadline = time.monotonic() + 10
    with lock.open() as stream:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
            else:
                return
    pytest.fail("the child is still there")
