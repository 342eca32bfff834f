"""The supervisor of a state folder: always one, always found, whatever became of its socket."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.targets.local import launch, supervision
from kickoff.release.targets.local.supervision import Supervisor

pytestmark = pytest.mark.e2e


def folder(root: Path) -> Path:
    """A state folder as the store makes it."""
    for name in ("supervisor", "logs"):
        (root / name).mkdir(parents=True)
    shutil.copyfile(launch.__file__, root / "launch.py")
    return root


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    created = Supervisor(folder(tmp_path / "development"))
    created.ensure()
    add(created)
    yield created
    created.shut_down()


def add(supervisor: Supervisor) -> None:
    sleep = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    supervisor.add("blue", sleep, {"PATH": os.defpath}, folder=supervisor.root, stop_seconds=2)


@pytest.mark.parametrize("name", ['it\'s "50%(x)s"; a,b{{x}}', "-状态#", "b\\c", "x" * 200])
def test_a_folder_of_any_name_has_a_supervisor(tmp_path: Path, name: str) -> None:
    supervisor = Supervisor(folder(tmp_path / name / "development"))
    try:
        supervisor.ensure()
        add(supervisor)
        info = supervisor.info("blue")
        assert info["statename"] in ("STARTING", "RUNNING")
        assert Path(info["logfile"]) == supervisor.root / "logs" / "blue.log"
        assert (supervisor.root / "supervisor.sock").is_socket()
        supervisor.remove("blue")
        assert supervisor.info("blue") == {}
    finally:
        supervisor.shut_down()
    assert supervisor.process() is None


def test_temporary_folders_have_no_part_in_it(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = supervisor.process()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    Supervisor(supervisor.root).ensure()
    assert Supervisor(supervisor.root).process() == before
    assert Supervisor(supervisor.root).info("blue")["pid"]


def test_without_its_socket_it_is_not_taken_for_gone(supervisor: Supervisor) -> None:
    process, blue = supervisor.process(), psutil.Process(supervisor.info("blue")["pid"])
    assert process is not None
    (supervisor.root / "supervisor.sock").unlink()
    for ask in (supervisor.ensure, lambda: supervisor.info("blue"), lambda: supervisor.remove("blue")):
        with pytest.raises(KickoffError, match=f"process {process.pid}.*does not answer") as caught:
            ask()
        assert caught.value.code is ExitCode.UNREACHABLE
        assert "`kickoff stop --env development`" in caught.value.hint
    supervisor.shut_down()
    assert not blue.is_running()
    assert supervisor.process() is None


def test_two_that_an_earlier_version_started_are_both_ended(supervisor: Supervisor) -> None:
    (supervisor.root / "supervisor.sock").rename(supervisor.root / "aside")
    supervisor._start()
    configuration = str(supervisor.root / "supervisord.conf")
    found = [p for p in psutil.process_iter(["cmdline"]) if configuration in (p.info["cmdline"] or [])]
    # A child between fork and exec looks like its parent.
    both = [p for p in found if p.ppid() not in {parent.pid for parent in found}]
    assert len(both) == 2
    supervisor.shut_down()
    assert [process for process in both if process.is_running()] == []


def test_what_was_started_does_not_come_back_by_itself_after_a_stop(supervisor: Supervisor) -> None:
    supervisor.shut_down()
    supervisor.ensure()
    assert supervisor.info("blue") == {}


def test_a_lost_configuration_is_written_again(supervisor: Supervisor) -> None:
    (supervisor.root / "supervisord.conf").unlink()
    supervisor.ensure()
    add(supervisor)
    assert supervisor.info("blue")["statename"] in ("STARTING", "RUNNING")


def test_a_refusal_is_a_sentence(supervisor: Supervisor) -> None:
    (supervisor.root / "supervisor" / "green.conf").write_text("[program:green]\n", encoding="utf-8")
    with pytest.raises(KickoffError, match="refuses reloadConfig") as caught:
        supervisor.remove("blue")
    assert caught.value.code is ExitCode.UNREACHABLE
    assert "CANT_REREAD" in caught.value.causes[0]
    (supervisor.root / "supervisor" / "green.conf").unlink()


def test_one_that_an_earlier_version_started_is_found_at_its_old_place(tmp_path: Path) -> None:
    supervisor = Supervisor(folder(tmp_path / "development"))
    supervisor._configure()
    configuration = supervisor.root / "supervisord.conf"
    old = f"file={tmp_path}/old.sock"
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(text.replace("file=/proc/self/cwd/supervisor.sock", old), encoding="utf-8")
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    subprocess.run(command, cwd="/", check=True, capture_output=True)
    try:
        before = supervisor.process()
        assert before is not None
        supervisor.ensure()
        add(supervisor)
        assert supervisor.info("blue")["pid"]
        assert supervisor.process() == before
    finally:
        supervisor.shut_down()
    supervisor.ensure()
    assert (supervisor.root / "supervisor.sock").is_socket()
    supervisor.shut_down()


def test_one_that_hangs_is_not_waited_for_without_end(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "_ANSWER_SECONDS", 0.5)
    process = supervisor.process()
    assert process is not None
    process.suspend()
    try:
        with pytest.raises(KickoffError, match=f"process {process.pid}.*does not answer"):
            supervisor.info("blue")
    finally:
        process.resume()
    monkeypatch.undo()
    assert supervisor.info("blue")["statename"] in ("STARTING", "RUNNING")


def test_one_that_was_killed_is_replaced(supervisor: Supervisor) -> None:
    process, blue = supervisor.process(), psutil.Process(supervisor.info("blue")["pid"])
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    with suppress(psutil.NoSuchProcess):
        blue.kill()
    supervisor.ensure()
    assert supervisor.info("blue")["statename"] in ("STARTING", "RUNNING")
