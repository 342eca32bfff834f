"""The quality gate a second time: what has passed for the same content counts, and nothing else does."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff.checks import reuse, side_by_side
from kickoff.checks.check import Context
from kickoff.checks.quality import CHECK
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict
from kickoff.process_group import Stop
from tests.unit.artifact.repositories import commit, git
from tests.unit.processes import alive, assert_gone

SOURCE = Path(__file__).resolve().parents[3] / "src"
SERVICE: dict[str, Any] = {
    "name": "things",
    "bundle": ["app"],
    "processes": {"web": {"command": ["app", "{port}"]}},
    "health": {"live": "/", "ready": "/"},
    "required_checks": ["smoke-candidate"],
    "smoke": [{"name": "up", "path": "/"}],
}


def appends(name: str, **more: object) -> dict[str, Any]:
    """Return a command that leaves a trace of each run of its own."""
    return {"name": name, "run": ["sh", "-c", f"echo ran >> $HOME/{name}; echo {name} says so"], **more}


class Project:
    """A repository with a quality gate whose commands leave traces in their home."""

    def __init__(self, root: Path) -> None:
        self.root, self.runs = root, 0
        git(root, "init", "--quiet", "--initial-branch=main")
        (root / "configs").mkdir()
        (root / "app").mkdir()
        (root / "app" / "main.py").write_text("first\n")
        self.gate(appends("lint"), appends("tests"))

    def gate(self, *commands: Mapping[str, Any]) -> None:
        text = yaml.safe_dump(SERVICE | {"quality_gate": list(commands)})
        (self.root / "configs" / "service.yml").write_text(text)
        commit(self.root)

    def check(self, *, no_reuse: bool = False, requirements: str = "") -> Evidence:
        """Run the gate as the next run of a pipeline would."""
        self.runs += 1
        arguments = argparse.Namespace(
            commit=None,
            requirements=requirements,
            no_reuse=no_reuse,
            reuse_directory=self.root / ".kickoff" / "verdicts",
        )
        folder = self.root / ".kickoff" / "runs" / str(self.runs) / "evidence"
        document = CHECK.run(Context(arguments, self.root, folder))
        document.write(folder)
        return document

    def ran(self) -> dict[str, int]:
        """Return how often each command ran."""
        home = Path(os.environ["HOME"])
        return {path.name: len(path.read_text().splitlines()) for path in home.iterdir() if path.is_file()}

    def records(self) -> list[Path]:
        return sorted((self.root / ".kickoff" / "verdicts").glob("*.json"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("home", "project", "tools"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:{os.environ['PATH']}")
    monkeypatch.delenv("GITHUB_EVENT_NAME", raising=False)
    made = Project(tmp_path / "project")
    (made.root / ".gitignore").write_text(".kickoff/\n")
    commit(made.root)
    return made


def test_nothing_is_run_again_when_nothing_changed(project: Project) -> None:
    first = project.check()
    assert first.facts == {}
    assert project.ran() == {"lint": 1, "tests": 1}
    second = project.check()
    assert project.ran() == {"lint": 1, "tests": 1}
    assert second.verdict is Verdict.PASS
    assert second.summary == "2 of 2 checks passed, 2 of them in an earlier run for the same content"
    assert [rule.rule for rule in second.rules] == ["lint", "tests"]
    assert "passed in run 1 for the same content" in second.rules[0].measured


def test_the_evidence_says_what_was_found_when_where_and_for_what(project: Project) -> None:
    first = project.check()
    project.check()
    fact = project.check().facts["reused"][0]
    assert (fact["name"], fact["run"], fact["commit"]) == ("lint", "run 1", first.inputs["commit"])
    assert fact["link"] == str(project.root / ".kickoff/runs/1/evidence/quality-gate.json")
    assert first.started <= fact["at"] <= first.finished
    assert f"{fact['key']}.json" in {path.name for path in project.records()}
    log = (project.root / ".kickoff/runs/3/evidence/logs/quality-gate-lint.log").read_text()
    assert log.startswith("not run again: passed in run 1 for the same content")
    assert log.endswith("the end of its log was:\nlint says so\n")


def test_another_commit_of_the_same_content_is_the_same(project: Project) -> None:
    project.check()
    git(project.root, "commit", "--quiet", "--allow-empty", "--message", "nothing")
    project.check()
    assert project.ran() == {"lint": 1, "tests": 1}


def test_other_content_is_another(project: Project) -> None:
    project.check()
    (project.root / "app" / "main.py").write_text("second\n")
    commit(project.root)
    project.check()
    assert project.ran() == {"lint": 2, "tests": 2}


def test_a_changed_command_runs_alone_where_the_description_is_not_in_the_commit(project: Project) -> None:
    """What is described may be newer than the commit that is checked, e.g. of a tag."""
    project.check()
    text = yaml.safe_dump(SERVICE | {"quality_gate": [appends("lint", timeout_seconds=5), appends("tests")]})
    (project.root / "configs" / "service.yml").write_text(text)
    document = project.check()
    assert project.ran() == {"lint": 2, "tests": 1}
    assert [one["name"] for one in document.facts["reused"]] == ["tests"]
    assert document.summary == "2 of 2 checks passed, 1 of them in an earlier run for the same content"


def test_another_lock_is_another(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kickoff.checks.commands.tools", lambda lock, cache: cache)
    lock = project.root / ".kickoff" / "lock.txt"
    lock.parent.mkdir()
    for text, runs in (("ruff==1\n", 1), ("ruff==1\n", 1), ("ruff==2\n", 2), ("ruff==1\n", 2)):
        lock.write_text(text)
        project.check(requirements=".kickoff/lock.txt")
        assert project.ran() == {"lint": runs, "tests": runs}, text


def test_another_platform_is_another(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.check()
    for number, question in enumerate(("system", "machine", "python_version"), start=2):
        with monkeypatch.context() as changed:
            changed.setattr(platform, question, lambda: "another")
            project.check()
        assert project.ran() == {"lint": number, "tests": number}, question
    project.check()
    assert project.ran() == {"lint": 4, "tests": 4}


@pytest.mark.parametrize("name", ["sh", "something-that-a-script-calls"])
def test_another_program_on_the_path_is_another(project: Project, tmp_path: Path, name: str) -> None:
    project.check()
    program = tmp_path / "tools" / name
    program.write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
    program.chmod(0o755)
    project.check()
    assert project.ran() == {"lint": 2, "tests": 2}


def test_a_program_of_the_commit_is_told_by_its_content_and_not_by_its_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    program = project.root / "app" / "own"
    program.write_text("#!/bin/sh\necho ran >> $HOME/own\n")
    program.chmod(0o755)
    project.gate({"name": "own", "run": ["app/own"]})
    project.check()
    os.utime(program, (1, 1))
    project.check()
    assert project.ran() == {"own": 1}


def test_another_package_beside_the_programs_is_another(project: Project, tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "ruff-1.dist-info").mkdir(parents=True)
    project.check()
    (packages / "__pycache__").mkdir()
    project.check()
    assert project.ran() == {"lint": 1, "tests": 1}
    (packages / "ruff-1.dist-info").rename(packages / "ruff-2.dist-info")
    project.check()
    assert project.ran() == {"lint": 2, "tests": 2}


@pytest.mark.parametrize("name", ["LEVEL", "TZ"])
def test_another_value_of_a_variable_is_another(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "Europe/Berlin")
    project.gate(appends("lint", environment=["LEVEL"]))
    project.check()
    monkeypatch.setenv(name, "Asia/Tokyo")
    project.check()
    assert project.ran() == {"lint": 2}
    assert all("Asia/Tokyo" not in path.read_text() for path in project.records() if name == "LEVEL")


def test_a_failure_is_never_kept(project: Project) -> None:
    project.gate({"name": "bad", "run": ["sh", "-c", "echo ran >> $HOME/bad; exit 1"]}, appends("good"))
    for number in (1, 2):
        assert project.check().verdict is Verdict.FAIL
        assert project.ran() == {"bad": number, "good": 1}


def test_a_command_that_is_missing_or_takes_too_long_is_never_kept(project: Project) -> None:
    slow = {"name": "slow", "run": ["sleep", "30"], "timeout_seconds": 1}
    project.gate(slow, {"name": "gone", "run": ["no-such-program"]})
    assert project.check().verdict is Verdict.FAIL
    assert project.records() == []


def test_it_runs_when_it_is_asked_to(project: Project) -> None:
    project.check()
    document = project.check(no_reuse=True)
    assert document.facts == {}
    assert project.ran() == {"lint": 2, "tests": 2}
    assert "in run 2" in project.check().rules[0].measured, "the newest pass is the one that counts"


def test_a_command_that_asks_others_says_so(project: Project) -> None:
    project.gate(appends("audit", reuse=False), appends("lint"))
    project.check()
    project.check()
    assert project.ran() == {"audit": 2, "lint": 1}


def test_what_prepares_comes_first_and_again_whenever_something_runs(project: Project) -> None:
    uses = {"name": "uses", "run": ["sh", "-c", "cat made && echo ran >> $HOME/uses"]}
    makes = {
        "name": "makes",
        "run": ["sh", "-c", "sleep 0.3; echo it > made; echo ran >> $HOME/makes"],
        "prepares": True,
    }
    project.gate(uses, makes, appends("audit", reuse=False))
    assert project.check().verdict is Verdict.PASS
    assert project.check().verdict is Verdict.PASS
    assert project.ran() == {"uses": 1, "makes": 2, "audit": 2}
    project.gate(uses, makes)
    project.check()
    project.check()
    assert project.ran() == {"uses": 2, "makes": 3, "audit": 2}


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "{}", "null", '{"key": 1}', "at", "seconds", "tail", "key", "future", "old"],
)
def test_a_damaged_record_is_no_record(project: Project, damage: str) -> None:
    project.gate(appends("lint"))
    project.check()
    (path,) = project.records()
    wrong: dict[str, object] = {
        "at": {"at": "yesterday"},
        "seconds": {"seconds": "fast"},
        "tail": {"tail": 7},
        "key": {"key": "0" * 64},
        "future": {"at": "2999-01-01T00:00:00+00:00"},
        "old": {"at": "2001-01-01T00:00:00+00:00"},
    }
    changed = wrong.get(damage)
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | changed) if isinstance(changed, dict) else damage)
    assert project.check().verdict is Verdict.PASS
    assert project.ran() == {"lint": 2}
    project.check()
    assert project.ran() == {"lint": 2}, "it was written anew"


def test_a_folder_that_cannot_be_written_does_not_fail_the_gate(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / ".kickoff").mkdir()
    (project.root / ".kickoff" / "verdicts").write_text("no folder")
    assert project.check().verdict is Verdict.PASS
    assert "the verdict of lint is not kept for the next run" in capsys.readouterr().err


def test_the_records_are_bounded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "KEPT", 3)
    for number in range(3):
        (project.root / "app" / "main.py").write_text(f"{number}\n")
        commit(project.root)
        project.check()
    assert len(project.records()) == 3
    project.check()
    assert project.ran() == {"lint": 3, "tests": 3}


def test_a_pull_request_neither_uses_nor_makes_the_records_of_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    project.check()
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    project.check()
    assert project.ran() == {"lint": 2, "tests": 2}


def test_a_run_on_github_is_named_and_linked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SERVER_URL", "https://git.example"), ("RUN_ID", "128"), ("REPOSITORY", "a/b")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    project.check()
    fact = project.check().facts["reused"][0]
    assert (fact["run"], fact["link"]) == ("run 128", "https://git.example/a/b/actions/runs/128")


def test_commands_run_side_by_side_and_the_evidence_keeps_their_order(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(side_by_side, "_processors", lambda: 2)
    wait = (
        "for i in 1 2 3; do echo {0}; sleep 0.1; done; until test -e $HOME/{1}; do sleep 0.05; done; exit {2}"
    )
    first = f"touch $HOME/one; {wait.format('first', 'two', 1)}"
    second = f"touch $HOME/two; {wait.format('second', 'one', 0)}"
    project.gate(
        {"name": "first", "run": ["sh", "-c", first], "timeout_seconds": 20},
        {"name": "second", "run": ["sh", "-c", second], "timeout_seconds": 20},
    )
    document = project.check()
    assert [rule.verdict for rule in document.rules] == [Verdict.FAIL, Verdict.PASS]
    lines = [line for line in capsys.readouterr().out.splitlines() if line in ("first", "second")]
    assert sorted([lines[:3], lines[3:]]) == [["first"] * 3, ["second"] * 3]


def test_no_more_at_once_than_there_are_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[int] = []
    most: list[int] = []

    def work(task: int, _stop: Stop) -> int:
        running.append(task)
        most.append(len(running))
        time.sleep(0.05)
        running.remove(task)
        return task * 2

    monkeypatch.setattr(side_by_side, "_processors", lambda: 2)
    ended: list[int] = []
    assert side_by_side.each([1, 2, 3, 4, 5], work, lambda task, _result: ended.append(task)) == [
        2,
        4,
        6,
        8,
        10,
    ]
    assert max(most) == 2
    assert sorted(ended) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_end_ends_all_of_them(project: Project, tmp_path: Path, number: signal.Signals) -> None:
    deaf = "trap '' INT TERM; sleep 300 & echo $! $$ > $HOME/{0}; wait; sleep 300"
    project.gate(
        *({"name": name, "run": ["sh", "-c", deaf.format(name)]} for name in ("one", "two")),
        {"name": "later", "run": ["sh", "-c", "touch $HOME/later"]},
    )
    command = [sys.executable, str(SOURCE / "kickoff"), "check"]
    environ = os.environ | {"KICKOFF_EVIDENCE_DIR": str(tmp_path / "evidence")}
    # Two processors at most, whatever this machine has.
    mask = sorted(os.sched_getaffinity(0))[:2]
    process = subprocess.Popen(command, cwd=project.root, env=environ, start_new_session=True)
    os.sched_setaffinity(process.pid, mask)
    home, wanted = tmp_path / "home", ("one", "two")[: len(mask)]
    deadline = time.monotonic() + 60
    while not all((home / name).is_file() and (home / name).read_text().strip() for name in wanted):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    pids = [int(text) for name in wanted for text in (home / name).read_text().split()]
    process.send_signal(number)
    try:
        assert process.wait(30) == ExitCode.INTERRUPTED
        for pid in pids:
            assert_gone(pid)
        assert not (home / "later").exists()
    finally:
        process.kill()
        process.wait()
        for pid in filter(alive, pids):
            os.kill(pid, signal.SIGKILL)


def test_a_lock_that_is_missing_is_named(project: Project) -> None:
    with pytest.raises(KickoffError, match=r"none\.txt is missing"):
        project.check(requirements="none.txt")
