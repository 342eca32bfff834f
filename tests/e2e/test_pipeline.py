"""``kickoff deploy``: the real cd.yml under act, shipping the real service."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from kickoff.errors import ExitCode
from kickoff.release.targets.ports import free_port
from tests.e2e.project import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.statistical]
_COPIED = (
    ".github",
    ".gitignore",
    "actions",
    "alembic.ini",
    "app",
    "configs",
    "kickoff.yml",
    "requirements",
    "scripts",
    "src",
    "tests/performance",
)
_PATIENCE = 240.0


class Shop:
    """A clone of this repository with a state folder and a port of its own, and a quick quality gate."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state, self.port = folder / "shop", folder / "state", free_port()
        ignore = shutil.ignore_patterns("__pycache__")
        for name in _COPIED:
            source, target = REPOSITORY / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=ignore)
            else:
                shutil.copyfile(source, target)
        path = self.root / "kickoff.yml"
        service = yaml.safe_load(path.read_text(encoding="utf-8"))
        service["quality_gate"] = [{"name": "files", "run": ["test", "-f", "app/main.py"]}]
        path.write_text(yaml.safe_dump(service), encoding="utf-8")
        self._calm_comparison()
        self._git("init", "--quiet", "--initial-branch=main")

    @property
    def environ(self) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        return kept | {"KICKOFF_STATE_ROOT": str(self.state), "KICKOFF_PORT": str(self.port)}

    def commit(self, text: str) -> str:
        """Commit a visible change to the service; return the commit's short id."""
        (self.root / "app" / "__init__.py").write_text(f'"""{text}"""\n', encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", f"--message={text}")
        return self._git("rev-parse", "HEAD").strip()[:7]

    def start(self) -> "subprocess.Popen[str]":
        """Start the pipeline for the current commit."""
        return subprocess.Popen(
            [sys.executable, "src/kickoff", "deploy", "--env", "development", "--plain"],
            cwd=self.root,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def deploy(self) -> tuple[int, str]:
        """Run the pipeline to its end; return its exit code and output."""
        with self.start() as process:
            output, _ = process.communicate(timeout=_PATIENCE)
        return process.returncode, output

    def status(self) -> dict[str, Any]:
        """What `kickoff status` says."""
        done = subprocess.run(
            [sys.executable, "src/kickoff", "status", "--env", "development", "--json"],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def serving(self) -> str:
        """The commit of the release that answers on the public address."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5)
        return answer.headers["X-Release"].partition("-")[0]

    def last_run(self) -> Path:
        runs = [path for path in (self.root / ".kickoff" / "runs").iterdir() if path.is_dir()]
        return max(runs, key=lambda run: int(run.name))

    def services(self) -> list[int]:
        return [
            process.pid
            for process in psutil.process_iter(["cwd", "cmdline"])
            if (process.info["cwd"] or "").startswith(str(self.state))
            and "app" in (process.info["cmdline"] or [])
        ]

    def close(self) -> None:
        subprocess.run(
            [sys.executable, "scripts/deploy/release.py", "stop", "--env", "development"],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            check=True,
        )

    def _calm_comparison(self) -> None:
        """Let no noise of a busy machine decide: what the load finds is tested elsewhere."""
        path = self.root / "configs" / "performance" / "scenarios.yml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        development = document["overrides"]["development"]
        development["scenarios"]["smoke"]["duration"] = "4s"
        relative, share = {"margin": "50%", "detect": "900%"}, {"margin": "1%", "detect": "60%"}
        floor = {name: {"margin": "5ms", "detect": "999ms"} for name in ("p50", "p95")}
        development["comparison"] = {
            "max_duration": "4s", "p50": relative, "p95": relative, "floor": floor,
            "errors": share, "tail": share,
        }  # fmt: skip
        path.write_text(yaml.safe_dump(document), encoding="utf-8")

    def _git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Rehearsal", "-c", "user.email=rehearsal@example.invalid"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with nothing deployed yet; everything it starts is stopped again."""
    made = Shop(tmp_path)
    yield made
    made.close()


def interrupt(shop: Shop, step: str, number: signal.Signals, *, act: bool) -> tuple[int, str]:
    """Deploy, send the signal to the pipeline (or to its act) once ``step`` begins; return code and output."""
    seen: list[str] = []
    with shop.start() as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                seen.append(line)
                if f"● deploy-development · {step}" in line:
                    break
            else:
                pytest.fail(f"{step} never began: {''.join(seen)}")
            if act:
                [child] = [c for c in psutil.Process(process.pid).children() if c.name() == "act"]
                child.send_signal(number)
            else:
                process.send_signal(number)
            rest, _ = process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
    return process.returncode, "".join(seen) + rest


def test_ship_ship_again_and_break_off(shop: Shop) -> None:
    first = shop.commit("first")
    code, output = shop.deploy()
    assert code == 0, output
    assert f"RELEASED  football {first}" in output
    assert shop.serving() == first
    report = shop.last_run() / "report"
    assert json.loads((report / "outcome.json").read_text(encoding="utf-8"))["verdict"] == "released"
    assert "<svg" in (report / "report.html").read_text(encoding="utf-8")

    code, output = shop.deploy()
    assert code == 0, output
    assert "UNCHANGED" in output

    promote, perf = "Deploy: promote", "Performance baseline: candidate"
    for step, number, act, expected in (
        (perf, signal.SIGINT, False, {ExitCode.INTERRUPTED}),
        # Users may have met the candidate by then, and were taken back.
        (promote, signal.SIGTERM, False, {ExitCode.INTERRUPTED, ExitCode.ROLLED_BACK}),
        (promote, signal.SIGKILL, True, {ExitCode.REJECTED, ExitCode.INCONCLUSIVE, ExitCode.ROLLED_BACK}),
    ):
        shop.commit(f"{step} {number.name}")
        code, output = interrupt(shop, step, number, act=act)
        assert code in expected, output
        assert shop.serving() == first, output
        status = shop.status()
        assert (status["lock"], status["attempt"]) == ("", ""), output
        assert list(status["weights"].values()) == [100]
        assert len(shop.services()) == 1, "only the release that serves is left"
        assert (shop.last_run() / "report" / "report.html").is_file()

    second = shop.commit("second")
    code, output = shop.deploy()
    assert code == 0, output
    assert shop.serving() == second
