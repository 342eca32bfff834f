"""What the local target reads of its host, and how it finds the programs of a release."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff.environment import Environment
from kickoff.errors import ExitCode, KickoffError
from kickoff.release.folder import passed
from kickoff.release.model import Colour
from kickoff.release.targets.local import launch, runtime, usage
from kickoff.release.targets.local.supervision import Supervisor
from kickoff.release.targets.local.target import LocalTarget
from tests.unit.processes import assert_gone


def test_a_process_may_use_the_processors_of_its_affinity_within_the_quotas_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "CGROUPS", tmp_path)
    every = float(len(os.sched_getaffinity(0)))
    assert usage.processors(os.getpid()) == every, "no group has a quota"
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usage.processors(os.getpid()) == every
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usage.processors(os.getpid()) == 0.5
    (tmp_path / "cpu.max").write_text("100000000 100000\n")
    assert usage.processors(os.getpid()) == every, "a quota beyond the host gives no more of it"


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert usage.usage(2**22 + 1) == (0, 0.0, 1.0)


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def release(folder: Path, *command: str, path: str = "/usr/bin") -> Path:
    (folder / "bundle").mkdir(parents=True)
    document = {"command": command, "command_at": "kickoff.yml:2", "requirements": "", "path": path}
    (folder / "release.json").write_text(json.dumps(document))
    return folder


def found(state: Path, folder: Path, name: str) -> str:
    return runtime.resolve(folder, [name, "-x"], runtime.variables(state, folder))[0]


def test_a_program_is_found_in_the_artefact_and_then_on_the_recorded_path(tmp_path: Path) -> None:
    on_path = program(tmp_path / "nvm" / "node")
    folder = release(tmp_path / "release", "node", path=str(on_path.parent))
    assert found(tmp_path, folder, "node") == str(on_path)
    brought = program(folder / "bundle" / "node_modules" / ".bin" / "node")
    assert found(tmp_path, folder, "node") == str(brought)
    own = program(folder / "bundle" / "bin" / "serve")
    assert found(tmp_path, folder, "bin/serve") == found(tmp_path, folder, "./bin/serve") == str(own)
    assert found(tmp_path, folder, "/bin/sh") == "/bin/sh"


def test_a_hook_is_given_what_the_description_names_and_the_release_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = release(tmp_path / "release", "env", path=os.environ["PATH"])
    document = json.loads((folder / "release.json").read_text())
    (folder / "release.json").write_text(json.dumps(document | {"passed": ["CA", "LOG_LEVEL", "NONE"]}))
    (folder / "environment.json").write_text(json.dumps({"LOG_LEVEL": "info"}))
    for name, value in (("CA", "/ca.pem"), ("LOG_LEVEL", "debug"), ("TOKEN", "t")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NONE", raising=False)
    environment = passed(folder) | runtime.variables(tmp_path, folder)
    shown = runtime.run(folder, ("env",), environment, 30).splitlines()
    assert {"CA=/ca.pem", "LOG_LEVEL=info"} <= set(shown)
    assert not [line for line in shown if line.startswith(("TOKEN", "NONE"))]
    assert "/ca.pem" not in (folder / "release.json").read_text()


def test_what_a_hook_leaves_running_ends_with_it(tmp_path: Path) -> None:
    folder = release(tmp_path / "release", "sh", path=os.environ["PATH"])
    script = "sleep 600 > /dev/null 2>&1 & echo $!"
    environment = runtime.variables(tmp_path, folder)
    assert_gone(int(runtime.run(folder, ("sh", "-c", script), environment, 30)))


def test_what_an_older_version_released_finds_the_programs_of_the_system(tmp_path: Path) -> None:
    folder = release(tmp_path / "release", "sh", path="")
    assert Path(found(tmp_path, folder, "env")).name == "env"


@pytest.mark.parametrize("name", ["deno", "bin/serve", "bin/data"])
def test_a_missing_program_is_named_before_anything_starts(tmp_path: Path, name: str) -> None:
    folder = release(tmp_path / "release", name)
    program(folder / "bundle" / "bin" / "data").chmod(0o644)
    with pytest.raises(KickoffError, match=f"the program '{name}' was not found") as caught:
        runtime.install(tmp_path, folder)
    assert (caught.value.code, caught.value.at) == (ExitCode.BAD_INPUT, "kickoff.yml:2")
    assert caught.value.hint.endswith("or correct the command")


def test_a_program_that_is_gone_when_it_starts_again_is_no_traceback(tmp_path: Path) -> None:
    process = tmp_path / "blue.json"
    process.write_text(json.dumps({"folder": str(tmp_path), "command": ["/gone"], "environment": {}}))
    done = subprocess.run(
        [sys.executable, launch.__file__, str(process)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "/gone cannot be started: No such file or directory\n"


LOG = """\
2026-01-02 03:04:05,006 INFO exited: blue (exit status 1; not expected)
2026-01-02 03:04:06,006 INFO exited: blue-ticker (exit status 4; not expected)
2026-01-02 03:04:07,006 INFO exited: blue (exit status 3; not expected)
2026-01-02 03:04:08,006 WARN exited: green (terminated by SIGKILL; not expected)
2026-01-02 03:04:09,006 INFO gave up: blue entered FATAL state, too many start retries too quickly
"""


def test_how_a_program_ended_last_is_read_in_the_supervisor_s_log(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    assert supervisor.ended("blue") == ""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "supervisord.log").write_text(LOG)
    assert supervisor.ended("blue") == "exited with code 3"
    assert supervisor.ended("blue-ticker") == "exited with code 4"
    assert supervisor.ended("green") == "ended by SIGKILL"
    assert supervisor.ended("traefik") == ""


@pytest.mark.parametrize(
    ("state", "exitstatus", "detail"),
    [
        ("BACKOFF", 0, "exited with code 3"),
        ("FATAL", 0, "exited with code 3"),
        ("EXITED", 7, "exited with code 7"),
        ("EXITED", -1, "ended by a signal"),
        ("STOPPED", 0, "STOPPED: Not started"),
    ],
)
def test_a_process_that_ended_is_told_by_its_exit_code(
    tmp_path: Path, state: str, exitstatus: int, detail: str
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "supervisord.log").write_text(LOG)
    info = {
        "statename": state,
        "pid": 0,
        "exitstatus": exitstatus,
        "spawnerr": "",
        "description": "Not started",
    }
    target = LocalTarget(tmp_path, cast("Environment", SimpleNamespace(integer=lambda _key: 8000)))
    supervisor: Any = target.supervisor
    supervisor.info = lambda _name: info
    assert target.state(Colour.BLUE).detail == detail
