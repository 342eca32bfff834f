"""Small projects whose workflows act runs in host mode, with the later stages replaced by recorders."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff import service, stack
from kickoff.artifact import bundle
from kickoff.artifact.ledger import FolderLedger
from kickoff.environment import schema, secret_source
from kickoff.pipeline import bytecode, checkout, repository
from kickoff.project import workflows
from tests.repository import Repository

ROOT = Path(__file__).resolve().parents[2]
ACT = shutil.which("act", path=f"{sys.prefix}/bin{os.pathsep}{os.environ.get('PATH', '')}")
RECORDER = Path(__file__).with_name("recorder.py")
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"  # act copies the project instead
SERVICE: dict[str, Any] = {
    "name": "demo",
    "bundle": ["app"],
    "processes": {"web": {"command": ["python3", "-m", "app"]}},
    "health": {"live": "/health/live", "ready": "/health/ready"},
    "required_checks": ["smoke-candidate", "perf-baseline"],
    "quality_gate": [{"name": "files", "run": ["test", "-f", "app/main.py"]}],
    "smoke": [{"name": "health", "path": "/health"}],
}


@dataclass(frozen=True)
class Run:
    """What one run of act did.

    Attributes:
        status: Exit code of act.
        jobs: Result of every job that ran.
        calls: What the recorders were called with, in order.
        log: All messages.
    """

    status: int
    jobs: dict[str, str]
    calls: list[dict[str, Any]]
    log: str

    def phases(self) -> list[str]:
        """Return the recorded calls in short, e.g. ``smoke candidate``."""
        return [call["name"] for call in self.calls]


def act_command(
    folder: Path,
    workflow: str,
    event: str,
    payload: Mapping[str, Any] | None,
    variables: Mapping[str, str],
) -> tuple[list[str], dict[str, str]]:
    """Return act's command line and environment for a run that knows nothing of this machine.

    Args:
        folder: Where the run keeps its things.
        workflow: File name below ``.github/workflows``.
        event: Name of the event.
        payload: The event; a push to main by default.
        variables: What the workflow's steps see.
    """
    if ACT is None:
        pytest.skip("act is missing: it comes with requirements/dev.txt")
    event_file, empty, home = folder / "event.json", folder / "empty", folder / "home"
    event_file.write_text(json.dumps(payload or {"ref": "refs/heads/main"}), encoding="utf-8")
    empty.touch()
    home.mkdir(exist_ok=True)
    command = [ACT, event, "--json", "-P", "ubuntu-24.04=-self-hosted", "-P", "self-hosted=-self-hosted"]
    command += ["--workflows", f".github/workflows/{workflow}", "--eventpath", str(event_file)]
    command += ["--no-cache-server", "--action-cache-path", str(folder / "act")]
    for kind in ("env-file", "secret-file", "var-file", "input-file"):
        command += [f"--{kind}", str(empty)]
    for name, value in variables.items():
        command += ["--env", f"{name}={value}"]
    path = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"
    return command, {"HOME": str(home), "LANG": "C.UTF-8", "PATH": path}


def shared_checkout(root: Path, folder: Path, workflow: str) -> tuple[Path, list[str]]:
    """Return a copy of a repository's last commit for one run, and act's options that share it between jobs.

    So does `kickoff deploy`: without it act would copy every file for every job.

    Args:
        root: The repository.
        folder: Where the run keeps its things.
        workflow: File name below ``.github/workflows``.
    """
    work = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    copy = repository.copy(root, work / "repository")
    bytecode.carry(ROOT, copy)
    return copy, ["--use-gitignore=false", *checkout.options(copy, f".github/workflows/{workflow}", work)]


def read_log(output: str) -> tuple[dict[str, str], str]:
    """Return how the jobs of a run of act ended, and all messages."""
    jobs, messages = {}, []
    for line in output.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            messages.append(line)
            continue
        if not isinstance(entry, dict):
            continue
        if "jobResult" in entry:
            jobs[entry["jobID"]] = entry["jobResult"]
        messages.append(str(entry.get("msg", "")).rstrip("\n"))
    return jobs, "\n".join(messages)


class Project(Repository):
    """A git repository with the pipeline in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "project")
        self.evidence = folder / "evidence"
        self.artifacts = folder / "artifacts"
        self.record = folder / "record.jsonl"
        self.faults = folder / "faults.json"
        self.log = folder / "act.log"
        self._folder = folder
        # Where the proofs are when nothing else is said: below the home that act gets.
        self._proofs = folder / "home" / ".local" / "state" / "kickoff" / SERVICE["name"] / "proofs"
        self.proofs = self.proofs_of("staging")
        self.write("app/main.py", "print('demo')\n")
        self.write("kickoff.yml", yaml.safe_dump(SERVICE))
        self.write(".gitignore", "__pycache__/\n.kickoff/\n")

    def add_pipeline(self) -> None:
        """Copy the real actions and package; put a recorder before the verbs of later stages."""
        ignore = shutil.ignore_patterns("__pycache__")
        for name in (".github", "actions", "src", "scripts", "requirements"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignore)
        for name in ("schema.json", "production.env"):
            path = f"configs/environments/{name}"
            self.write(path, (ROOT / path).read_text(encoding="utf-8"))
        shutil.copy(RECORDER, self.root / "src" / "kickoff" / "__main__.py")
        # The target of the environment decides what is built.
        environments = "configs/environments"
        shutil.copytree(ROOT / environments, self.root / environments, dirs_exist_ok=True)
        for file in (self.root / environments).glob("*.env"):
            text = file.read_text("utf-8")
            file.write_text(text + "DEPLOY_TARGET=local\n" * ("DEPLOY_TARGET=" not in text), "utf-8")
        self.declare()

    def declare(self, environments: Mapping[str, Any] | None = None, default_branch: str = "main") -> None:
        """Declare these environments, the usual ones without any, and render the workflows for them."""
        declared = {"environments": environments} if environments else {}
        self.write("kickoff.yml", yaml.safe_dump(SERVICE | declared, sort_keys=False))
        for name in environments or ():
            self.write(f"configs/environments/{name}.env", "PUBLIC_PORT=8100\nDEPLOY_TARGET=local\n")
        rendered = workflows.render(
            environments=service.load(self.root).environments,
            default_branch=default_branch,
            actions="./actions",
            version="",
            secrets={*schema.read(ROOT).secrets, *secret_source.BESIDE_SCHEMA, *stack.every_key(ROOT)},
            requirements="requirements/dev.txt",
        )
        for name, text in rendered.items():
            self.write(name, text)

    def proofs_of(self, environment: str) -> FolderLedger:
        """Return the proofs of an environment."""
        return FolderLedger(self._proofs / environment, environment)

    def digest(self) -> str:
        """Return the digest that the last commit's bundle has."""
        commit = self.git("rev-parse", "HEAD").strip()
        self.artifacts.mkdir(exist_ok=True)
        return bundle.build(self.root, commit, SERVICE["bundle"], self.artifacts).digest

    def prove(self, digest: str, environment: str = "staging") -> None:
        """Keep the proof that an environment would have written for the last commit."""
        statement = {
            "version": 1,
            "environment": environment,
            "digest": digest,
            "commit": self.git("rev-parse", "HEAD").strip(),
            "release": "abc1234-00000000",
            "proved": "2026-01-02T03:04:05.000+00:00",
            "promoted": {"attempt": "7-aa", "at": "2026-01-02T03:04:04.000+00:00", "verdict": "pass"},
            "stages": {"stage": [], "smoke-live": []},
        }
        self.proofs_of(environment).keep(statement)

    def restore(self, verb: str) -> None:
        """Let a verb do what it does, where it would be recorded."""
        self.write("src/kickoff/unrecorded", verb)

    def use(self, action: str, inputs: Mapping[str, str], env: Mapping[str, str] | None = None) -> None:
        """Write a workflow that calls one action with these inputs and shows its outputs."""
        self.write(
            ".github/workflows/use.yml",
            yaml.safe_dump(
                {
                    "name": "use",
                    "on": "push",
                    "jobs": {
                        "use": {
                            "runs-on": "ubuntu-24.04",
                            "env": dict(env or {}),
                            "steps": [
                                {"uses": CHECKOUT},
                                {"id": "it", "uses": action, "with": dict(inputs)},
                                {
                                    "if": "${{ always() }}",
                                    "run": 'echo "OUTPUTS $OUTPUTS"',
                                    "env": {"OUTPUTS": "${{ toJSON(steps.it.outputs) }}"},
                                },
                            ],
                        }
                    },
                }
            ),
        )

    def act(
        self,
        workflow: str,
        event: str = "push",
        payload: Mapping[str, Any] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        faults: Mapping[str, Any] | None = None,
        interrupt_at: str = "",
        more: tuple[str, ...] = (),
    ) -> Run:
        """Run a workflow through act, on what is there by now as a commit.

        Args:
            workflow: File name below ``.github/workflows``.
            event: Name of the event.
            payload: The event; a push to main by default.
            env: Further variables for the workflow.
            faults: What the recorders shall do, by call, e.g. ``{"stage": {"exit": 1}}``.
            interrupt_at: The call during which act gets a SIGINT.
            more: Further arguments for act.
        """
        self.faults.write_text(json.dumps(faults or {}), encoding="utf-8")
        self.record.write_text("", encoding="utf-8")
        variables = {
            "KICKOFF_EVIDENCE_DIR": str(self.evidence),
            "KICKOFF_ARTIFACT_DIR": str(self.artifacts),
            "RECORDER_FILE": str(self.record),
            "RECORDER_FAULTS": str(self.faults),
            **(env or {}),
        }
        if self.git("status", "--porcelain"):
            self.commit()
        command, minimal = act_command(self._folder, workflow, event, payload, variables)
        copy, shared = shared_checkout(self.root, self._folder, workflow)
        with self.log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, *shared, *more], cwd=copy, env=minimal, stdout=stream, stderr=subprocess.STDOUT
            )
            try:
                if interrupt_at:
                    self._wait_for(interrupt_at, process)
                    process.send_signal(signal.SIGINT)
                status = process.wait(timeout=120)
            finally:
                process.kill()
                process.wait()
        return self._read(status, self.log.read_text(encoding="utf-8"))

    def _wait_for(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + 60
        while name not in [call["name"] for call in self._calls()]:
            assert process.poll() is None, "act ended before the call came"
            assert time.monotonic() < deadline, f"{name} was never called"
            time.sleep(0.05)

    def _calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text(encoding="utf-8").splitlines()]

    def _read(self, status: int, output: str) -> Run:
        jobs, log = read_log(output)
        return Run(status, jobs, self._calls(), log)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A committed project with the real pipeline, its outer stages recorded."""
    made = Project(tmp_path)
    made.add_pipeline()
    made.commit()
    return made


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[Callable[[str], Project]]:
    """A maker of empty projects."""

    def make(name: str) -> Project:
        folder = tmp_path / name
        folder.mkdir()
        return Project(folder)

    yield make
