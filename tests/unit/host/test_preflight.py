"""`kickoff deploy` refuses at once what the release would be refused for after the gate and the build."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kickoff.cli.main import main
from kickoff.cli.run import deploy
from kickoff.errors import KickoffError
from kickoff.host import preflight
from kickoff.release.stores import open_store
from kickoff.release.stores.lease import Lease, Owner
from kickoff.release.targets import HostNeeds
from kickoff.release.targets.ports import free_port
from tests.e2e.project import Project


class Begun(Exception):
    """The run began: nothing stood in its way."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose run ends where it would begin."""
    made = Project(tmp_path)
    workflow = made.root / ".github" / "workflows" / "cd.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("on: push\njobs: {}\n", encoding="utf-8")
    made.commit()
    for name in [name for name in os.environ if name.startswith(("KICKOFF_", "GITHUB_"))]:
        monkeypatch.delenv(name)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.root)
    monkeypatch.setattr(deploy, "_act", lambda venv: venv)

    def begin(*_: object) -> None:
        raise Begun

    monkeypatch.setattr(deploy, "_run", begin)
    yield made


def outcome_of(project: Project) -> dict[str, Any]:
    """What the report says of the run that was refused; nothing of it is left but that."""
    assert {path.name for path in (project.root / ".kickoff" / "runs").iterdir() if path.is_dir()} == {"1"}
    text = (project.root / ".kickoff" / "runs" / "1" / "report" / "outcome.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def held(project: Project, seconds: float = 60, pid: int = 0) -> Lease:
    """Let another run hold the lock."""
    folder = project.state / "fixture" / "development"
    store = open_store(folder)
    return store.acquire(Owner("somebody@elsewhere", "another", pid, 0.0), seconds)


def test_nothing_in_the_way(project: Project) -> None:
    with pytest.raises(Begun):
        main(["deploy"])


def test_a_lock_that_is_held(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    held(project)
    began = time.monotonic()
    assert main(["deploy"]) == 75
    assert time.monotonic() - began < 5
    assert "somebody@elsewhere is releasing" in capsys.readouterr().out
    assert outcome_of(project)["exit_code"] == 75


def test_a_lock_is_waited_for_as_asked(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lease = held(project)
    store = open_store(project.state / "fixture" / "development")
    timer = threading.Timer(0.5, store.release_lock, [lease])
    timer.start()
    with pytest.raises(Begun):
        main(["deploy", "--wait", "30"])
    timer.join()
    assert "waiting up to 30 s: somebody@elsewhere is releasing" in capsys.readouterr().err


def test_the_wait_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_LOOK_AGAIN", 0.05)
    held(project)
    assert main(["deploy", "--wait=0.2"]) == 75


def test_the_lock_of_a_run_that_died_is_no_obstacle(project: Project) -> None:
    held(project, pid=2**22 + 1)
    with pytest.raises(Begun):
        main(["deploy"])


def test_a_port_of_another_program(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", project.port))
        other.listen()
        assert main(["deploy"]) == 4
    said = capsys.readouterr().out
    assert f"why       port {project.port}, where development is served, is taken by" in said
    assert f"KICKOFF_PORT={project.port + 1}" in said
    assert outcome_of(project)["exit_code"] == 4


def test_a_port_that_no_variable_of_ours_moves(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(KickoffError, match=f"port {port}, where production is served") as caught:
            preflight._ports("production", HostNeeds(ports=[port]), tmp_path, ())
    assert caught.value.hint == "stop it, or choose another port for the environment"


LISTENS = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print(1, flush=True); s.accept()"


@contextmanager
def proxy_of_ours(project: Project, port: int) -> Iterator[None]:
    """Let a process listen that looks like the proxy of this environment."""
    folder = project.state / "fixture" / "development"
    (folder / "traefik").mkdir(parents=True)
    (folder / "ports.json").write_text(json.dumps({"public": port}))
    configuration = f"--configFile={folder}/traefik/traefik.yml"
    command = [sys.executable, "-c", LISTENS, str(port), configuration]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()


def test_the_port_of_our_own_proxy_is_no_obstacle(project: Project) -> None:
    with proxy_of_ours(project, project.port), pytest.raises(Begun):
        main(["deploy"])


def test_a_proxy_that_runs_keeps_its_port_whatever_is_asked_for_now(project: Project) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", project.port))
        other.listen()
        with proxy_of_ours(project, free_port()), pytest.raises(Begun):
            main(["deploy"])


def test_a_wrong_value_in_the_file(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.set(BAKE_TIME="soon")
    project.commit()
    assert main(["deploy"]) == 2
    said = capsys.readouterr().out
    assert "development cannot be loaded: 1 problem" in said
    assert "configs/environments/development.env:" in said
    assert outcome_of(project)["exit_code"] == 2


def test_a_secret_that_is_not_given(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.set(API_KEY="${API_KEY}")
    project.commit()
    with pytest.raises(Begun):
        main(["deploy"])
    monkeypatch.delenv("API_KEY")
    assert main(["deploy"]) == 2
    assert "API_KEY" in capsys.readouterr().out


def test_of_another_host_only_the_configuration_is_looked_at(project: Project) -> None:
    held(project)
    project.set(DEPLOY_HOST="ssh://deploy@192.0.2.1")
    project.commit()
    with pytest.raises(Begun):
        main(["deploy"])
