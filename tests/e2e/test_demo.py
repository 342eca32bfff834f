"""``kickoff demo`` as somebody sees it who has done nothing before: its figures, and that nothing is left of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.project import RELEASE

pytestmark = pytest.mark.e2e
_LONGEST = 360.0
"""Seconds that the demo may take beside other tests; alone on two cores it takes a quarter of that."""


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who has configured nothing; what the demo leaves running ends with the test."""
    (tmp_path / "home").mkdir()
    yield {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path),
        "LANG": "C.UTF-8",
    }
    for process in running(tmp_path):
        process.kill()


def running(folder: Path) -> list[psutil.Process]:
    """Processes that work in a folder, or are told of it."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline", "status"]):
        words = [process.info["cwd"] or "", *(process.info["cmdline"] or ())]
        if any(f"{folder}/" in word for word in words) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def start(environ: dict[str, str], *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(RELEASE), "demo", *options],
        cwd=environ["HOME"],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_goes_as_it_says_and_leaves_its_report_alone(
    environ: dict[str, str], tmp_path: Path
) -> None:
    began = time.monotonic()
    with start(environ, "--json") as demo:
        printed, told = demo.communicate(timeout=_LONGEST)
    assert demo.returncode == 0, told
    document = json.loads(printed)
    first, better, bad, back = document["scenes"]
    assert [scene["exit_code"] for scene in document["scenes"]] == [0, 0, 5, 0]
    assert [scene["failed"] for scene in (first, better, back)] == [0, 0, 0]
    assert bad["failed"] == document["failed"] > 0
    assert first["serves"] == first["release"] == back["release"] == back["serves"]
    assert better["serves"] == better["release"] == bad["serves"]
    assert len({scene["release"] for scene in (first, better, bad)}) == 3
    assert document["requests"] == sum(scene["requests"] for scene in document["scenes"]) > 500
    assert "↶ ROLLED BACK at canary 25%" in told
    assert "UnicodeEncodeError" in told
    assert 10 < document["seconds"] <= time.monotonic() - began

    report = Path(document["report"])
    assert bad["release"] in report.read_text(encoding="utf-8")
    assert list(report.parent.iterdir()) == [report]
    assert list((tmp_path / "home").iterdir()) == []
    assert running(tmp_path) == []


def test_ctrl_c_stops_and_removes_everything(environ: dict[str, str], tmp_path: Path) -> None:
    address = ""
    with start(environ) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            address = line.split()[-1] if "http://" in line else address
            if line.startswith("2. "):  # a release serves, and users ask it
                assert httpx.get(address, params={"name": "Ann"}, trust_env=False).text == "Hello Ann\n"
                demo.send_signal(signal.SIGINT)
                break
        assert address
        assert "error: interrupted" in demo.stderr.read()
        assert demo.wait(timeout=60) == 130
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]
    assert running(tmp_path) == []
