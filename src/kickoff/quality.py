"""The quality gate: run what ``configs/service.yml`` names, and keep every log."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kickoff import foreign, masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, now, rule_id
from kickoff.places import cache_home
from kickoff.service import Command

TAIL = 40
"""Lines of a failing command's log that the evidence keeps."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one command ended.

    Attributes:
        command: The command.
        status: Its exit code; ``None`` when it was not found or ran out of time.
        problem: Why there is no exit code; empty otherwise.
        seconds: How long it ran.
        log: Where its output is.
    """

    command: Command
    status: int | None
    problem: str
    seconds: float
    log: Path

    @property
    def passed(self) -> bool:
        """Whether the command ended with exit code 0."""
        return self.status == 0

    def result(self) -> RuleResult:
        """Return the rule for the report."""
        identity = rule_id("quality", self.command.name)
        if self.passed:
            return RuleResult(identity, self.command.name, Verdict.PASS, "exit 0", "exit 0", 1)
        measured = "no exit code" if self.status is None else f"exit {self.status}"
        line = " ".join(self.command.run)
        reason = self.problem or f"`{line}` ended with exit code {self.status}"
        return RuleResult(
            identity, self.command.name, Verdict.FAIL, measured, "exit 0", int(not self.problem), reason
        )

    def tail(self) -> list[str]:
        """Return the last lines of the log."""
        return self.log.read_text(encoding="utf-8").splitlines()[-TAIL:] if self.log.is_file() else []


def execute(
    command: Command,
    *,
    root: Path,
    logs: Path,
    environ: Mapping[str, str],
    show: Callable[[str], object],
    stage: str = "quality-gate",
) -> Outcome:
    """Run one command in ``root`` without a shell, and leave nothing of it running; its output is masked.

    Args:
        command: What to run, and its time limit in seconds.
        root: The folder it runs in.
        logs: The folder its log goes to, line by line.
        environ: Its environment.
        show: Called with each line of its output, line end included.
        stage: Begins the name of the log.
    """
    log = logs / f"{stage}-{re.sub(r'[^A-Za-z0-9]+', '-', command.name).strip('-').lower()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()

    def outcome(status: int | None, problem: str = "") -> Outcome:
        return Outcome(command, status, problem, time.monotonic() - begin, log)

    program = shutil.which(command.run[0], path=environ.get("PATH"))
    if program is None and "/" in command.run[0] and os.access(root / command.run[0], os.X_OK):
        program = str(root / command.run[0])
    with log.open("w", encoding="utf-8") as stream:
        if program is None:
            problem = f"`{command.run[0]}` is not on PATH on this machine"
            stream.write(problem + "\n")
            show(problem + "\n")
            return outcome(None, problem)
        with subprocess.Popen(
            [program, *command.run[1:]],
            cwd=root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:

            def copy() -> None:
                for raw in process.stdout or ():
                    line = masking.text(raw)
                    stream.write(line)
                    show(line)

            reader = threading.Thread(target=copy, daemon=True)
            reader.start()
            status: int | None = None
            problem = ""
            try:
                status = process.wait(timeout=command.timeout_seconds)
            except subprocess.TimeoutExpired:
                problem = f"did not end within {command.timeout_seconds} s and was stopped"
            finally:
                # Whatever the command started and left behind holds the pipe open, and the machine busy.
                _stop(process)
                reader.join()
    return outcome(status, problem)


def gate(
    commands: Sequence[Command],
    *,
    root: Path,
    logs: Path,
    environ: Mapping[str, str],
    show: Callable[[str], object],
    around: Callable[[Command, Callable[[], Outcome]], Outcome] = lambda _, call: call(),
) -> list[Outcome]:
    """Run every command in the order given; a failure does not hide the ones after it.

    Args:
        commands: What the service wants to be checked.
        root: The folder they run in.
        logs: The folder for their logs.
        environ: Their environment, beside what each of them names.
        show: Called with each line of output.
        around: Wraps each call, e.g. to fold its output.
    """
    outcomes = []
    for command in commands:

        def call(command: Command = command) -> Outcome:
            given = {**environ, **{key: os.environ[key] for key in command.environment if key in os.environ}}
            return execute(command, root=root, logs=logs, environ=given, show=show)

        outcomes.append(around(command, call))
    return outcomes


def evidence(outcomes: Sequence[Outcome], *, service: str, commit: str, started: str) -> Evidence:
    """Return the document of the stage: a rule per command, and the log of the first that failed."""
    rules = [outcome.result() for outcome in outcomes]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        names = ", ".join(outcome.command.name for outcome in failed)
        summary = f"{len(failed)} of {len(outcomes)} checks failed: {names}"
    else:
        summary = (
            f"{len(outcomes)} of {len(outcomes)} checks passed" if outcomes else "no check is configured"
        )
    return Evidence(
        stage="quality-gate",
        environment="",
        verdict=combine(rule.verdict for rule in rules),
        summary=summary,
        started=started,
        finished=now(),
        service=service,
        inputs={"commit": commit, "commands": [list(outcome.command.run) for outcome in outcomes]},
        rules=rules,
        facts={"seconds": {outcome.command.name: round(outcome.seconds, 2) for outcome in outcomes}},
        log_tail=failed[0].tail() if failed else [],
    )


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where tools are kept between runs."""
    given = environ.get("RUNNER_TOOL_CACHE")
    return (Path(given) if given else cache_home(environ)) / "kickoff"


def tools(requirements: Path, cache: Path) -> Path:
    """Return the ``bin`` folder of an environment with exactly what a hash-locked file names.

    The folder in ``cache`` is named by the lock's content, so the second call does nothing.

    Raises:
        KickoffError: The file is missing, or the installation fails.
    """
    if not requirements.is_file():
        raise KickoffError(f"{requirements} is missing", hint="name the lock of the quality gate's tools")
    version = "{}.{}".format(*sys.version_info[:2]).encode()
    name = hashlib.sha256(version + requirements.read_bytes()).hexdigest()[:16]
    home = cache / f"quality-gate-{name}"
    complete = home / "complete"
    if not complete.is_file():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(home))
        python = str(home / "bin" / "python")
        _uv("pip", "sync", "--quiet", "--require-hashes", "--python", python, str(requirements))
        complete.touch()
    return home / "bin"


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).parent / "uv"
    program = str(beside) if beside.is_file() else shutil.which("uv")
    if program is None:
        raise KickoffError("uv is not installed", hint="it is part of requirements/pipeline.txt")
    done = subprocess.run(
        [program, *arguments],
        env=foreign.installing(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise KickoffError(
            f"cannot prepare the quality gate's tools: uv {arguments[0]} failed",
            code=ExitCode.UNREACHABLE,
            causes=done.stderr.strip().splitlines()[-5:],
            hint="check the network and the lock's hashes",
        )


def _stop(process: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()
