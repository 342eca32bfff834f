"""The command runs under its locked environment, and stands in that of its checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kickoff import __main__, bootstrap
from kickoff.cli import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one lock per purpose and no environment yet."""
    (tmp_path / "requirements").mkdir()
    for purpose in ("pipeline", "performance", "notify", "dev"):
        (tmp_path / "requirements" / f"{purpose}.txt").write_text(f"{purpose}==1 --hash=sha256:00\n")
    (tmp_path / "requirements" / "pipeline.txt").write_text(
        "a==1 \\\n    --hash=sha256:00\nuv==2 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\nz==3\n"
    )
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.setattr(bootstrap, "LOCKS", str(tmp_path / "requirements"))
    monkeypatch.setenv("RUNNER_TOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path


def environment(home: Path, purposes: list[str]) -> Path:
    """A virtual environment as ``create`` leaves it behind, without its packages."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").touch()
    (home / "kickoff-locks").write_text(bootstrap._wanted(purposes))
    return home


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _path, arguments: calls.append(arguments))
    monkeypatch.setattr(sys, "argv", ["script.py", "--env", "development"])
    return calls


def test_an_environment_that_serves_is_kept(
    project: Path, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(environment(project / "here", ["performance"])))
    bootstrap.ensure("performance", "src/kickoff")
    assert executed == []


@pytest.mark.parametrize("purposes", [["pipeline"], ["dev"], ["pipeline", "dev"]])
def test_the_projects_environment_is_preferred(
    project: Path, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch, purposes: list[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    home = environment(project / ".venv", purposes)
    bootstrap.ensure("pipeline", "src/kickoff")
    assert executed == [[str(home / "bin" / "python"), "src/kickoff", "--env", "development"]]


def test_what_needs_nothing_needs_no_environment(
    project: Path, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    bootstrap.ensure("", "src/kickoff")
    assert executed == []


@pytest.mark.parametrize("name", ["checkout", "a folder with spaces"])
def test_the_command_of_a_checkout_runs_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shared = environment(tmp_path / "shared", ["dev"])
    (shared / "bin" / "python").write_text('#!/bin/sh\necho "$@"\n')
    (shared / "bin" / "python").chmod(0o755)
    said = []
    for root in (tmp_path / name, tmp_path / f"{name} 2"):
        root.mkdir()
        (root / ".venv").symlink_to(shared)
        monkeypatch.setattr(bootstrap, "ROOT", str(root))
        bootstrap._launcher(str(root / ".venv"))
        command = [str(root / ".venv" / "bin" / "kickoff"), "status"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        said.append(done.stdout == f"{root}/src/kickoff status\n")
    assert said == [True, True]


def test_otherwise_one_is_made_from_the_locks_and_only_once(
    project: Path, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    commands: list[list[str]] = []
    home = Path(bootstrap._cache("pipeline"))
    (home / "bin").mkdir(parents=True)

    def call(command: list[str]) -> None:
        commands.append(command)
        if "pip" in command:
            (home / "bin" / "uv").touch()

    monkeypatch.setattr(bootstrap, "_call", call)
    bootstrap.ensure("pipeline", "src/kickoff")
    assert home.is_relative_to(project / "cache")
    venv, pip, sync = commands
    assert venv[1:] == ["-m", "venv", "--without-pip", str(home)]
    assert pip[1:5] == ["-m", "pip", "--python", str(home / "bin" / "python")]
    assert "--require-hashes" in pip
    assert (home / "uv.txt").read_text() == "uv==2 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\n"
    assert "--require-hashes" in sync
    assert sync[-1] == str(project / "requirements" / "pipeline.txt")
    bootstrap.ensure("pipeline", "src/kickoff")
    assert len(commands) == 3, "the second time nothing is installed"
    assert executed == [[str(home / "bin" / "python"), "src/kickoff", *sys.argv[1:]]] * 2


def test_without_a_pip_of_the_callers_the_environment_gets_one(
    project: Path, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    home = project / "home"

    def call(command: list[str]) -> None:
        commands.append(command)
        if "install" in command:
            (home / "bin").mkdir(parents=True)
            (home / "bin" / "uv").touch()
        home.mkdir(exist_ok=True)

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(bootstrap, "_call", call)
    bootstrap.create(str(home), ["pipeline"])
    python = str(home / "bin" / "python")
    assert commands[1:3] == [[python, "-m", "ensurepip"], [python, "-m", "pip", *commands[2][3:]]]
    assert "install" in commands[2]


def test_a_changed_lock_makes_another_environment(project: Path) -> None:
    before = bootstrap._cache("pipeline")
    (project / "requirements" / "pipeline.txt").write_text("uv==3\n")
    assert bootstrap._cache("pipeline") != before


def test_a_failed_installation_ends_with_4_and_no_stamp(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = environment(project / "home", ["dev"])
    (home / "bin" / "uv").write_text("#!/bin/sh\nexit 3\n")
    (home / "bin" / "uv").chmod(0o755)
    (home / "kickoff-locks").unlink()
    with pytest.raises(SystemExit) as caught:
        bootstrap.create(str(home), ["pipeline"])
    assert caught.value.code == 4
    assert "failed with exit code 3" in capfd.readouterr().err
    assert not (home / "kickoff-locks").exists()


def test_where_and_with_what_the_caller_installs_does_not_count(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = environment(project / "home", [])
    (home / "bin" / "uv").write_text(f"#!/bin/sh\nenv >'{project}/seen'\n")
    (home / "bin" / "uv").chmod(0o755)
    for name in bootstrap._PLACES:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///mirror")
    monkeypatch.setenv("UV_INDEX_URL", "file:///mirror")
    bootstrap.create(str(home), ["pipeline"])
    seen = dict(line.partition("=")[::2] for line in (project / "seen").read_text().splitlines())
    assert seen.keys() & set(bootstrap._PLACES) == set()
    assert seen["PIP_EXTRA_INDEX_URL"] == seen["UV_INDEX_URL"] == "file:///mirror"


def test_an_installer_that_put_uv_elsewhere_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = environment(project / "home", [])
    monkeypatch.setattr(bootstrap, "_call", lambda _: None)
    with pytest.raises(SystemExit) as caught:
        bootstrap.create(str(home), ["pipeline"])
    assert caught.value.code == 2
    assert "take target, prefix and root out of" in capsys.readouterr().err


def test_a_user_without_a_home_is_told_what_to_set(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RUNNER_TOOL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(SystemExit) as caught:
        bootstrap._cache("pipeline")
    assert caught.value.code == 2
    assert "set HOME or XDG_CACHE_HOME" in capsys.readouterr().err


def test_an_old_interpreter_is_refused_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(SystemExit) as caught:
        bootstrap.check_version()
    assert caught.value.code == 2
    assert "Python 3.9.2 is too old" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "loads", "wanted"),
    [
        (["perf", "--list"], False, ["performance"]),
        (["perf", "--list"], True, []),
        (["audit"], False, ["audit"]),
        (["audit"], True, []),
        (["stage"], False, []),
    ],
)
def test_an_installed_copy_fetches_what_the_load_test_and_the_audit_need_alone(
    argv: list[str], loads: bool, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensured: list[str] = []

    def ensure(purpose: str, program: str) -> None:
        assert program == bootstrap.PACKAGE
        ensured.append(purpose)

    monkeypatch.setattr(bootstrap, "IN_CHECKOUT", False)
    monkeypatch.setattr(bootstrap, "has", lambda purpose: loads or purpose not in ("audit", "performance"))
    monkeypatch.setattr(bootstrap, "ensure", ensure)
    monkeypatch.setattr(main, "main", lambda: 7)
    monkeypatch.setattr(sys, "argv", ["kickoff", *argv])
    assert __main__.main() == 7
    assert ensured == wanted
