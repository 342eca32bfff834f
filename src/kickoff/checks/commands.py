"""Commands of the service's own: run without a shell, logged line by line, nothing left running."""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kickoff import foreign, logs, masking, packages, process_group
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import RuleResult, Verdict, rule_id
from kickoff.paths import cache_home
from kickoff.process_group import Stop
from kickoff.service import Command

_MOST_OF_A_REASON = 300
TAIL = 40
"""Lines of a failing command's log that the evidence keeps."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one command.

    Attributes:
        command: The command.
        status: Its exit code; ``None`` when it was not found or ran out of time.
        problem: Why there is no exit code; empty otherwise.
        seconds: How long it ran.
        log: Where its output is.
        earlier: Where and when it passed, when it was not run again; empty otherwise.
    """

    command: Command
    status: int | None
    problem: str
    seconds: float
    log: Path
    earlier: str = ""

    @property
    def passed(self) -> bool:
        """True when the command ended with exit code 0."""
        return self.status == 0

    def rule(self, area: str) -> RuleResult:
        """Return the rule for the report; its id begins with ``area``."""
        identity = rule_id(area, self.command.name)
        if self.passed:
            measured = f"exit 0 in {self.seconds:.1f} s{self.earlier and f', {self.earlier}'}"
            return RuleResult(identity, self.command.name, Verdict.PASS, measured, "exit 0", 1)
        measured = "no exit code" if self.status is None else f"exit {self.status}"
        line = " ".join(self.command.run)
        said = logs.essence(self.tail())[:_MOST_OF_A_REASON]
        reason = self.problem or said or f"`{line}` ended with exit code {self.status}"
        return RuleResult(
            identity, self.command.name, Verdict.FAIL, measured, "exit 0", int(not self.problem), reason
        )

    def tail(self) -> list[str]:
        """Return the lines of the log that explain a failure: its first one, and the last lines."""
        if not self.log.is_file():
            return []
        return logs.of_command(self.log.read_text(encoding="utf-8").splitlines(), TAIL)


def log_of(command: Command, logs: Path, stage: str) -> Path:
    """Return where the output of a command goes."""
    return logs / f"{stage}-{re.sub(r'[^A-Za-z0-9]+', '-', command.name).strip('-').lower()}.log"


def execute(
    command: Command,
    *,
    root: Path,
    logs: Path,
    environ: Mapping[str, str],
    show: Callable[[str], object],
    stage: str,
    stop: Stop | None = None,
) -> Outcome:
    """Run one command in ``root`` without a shell, and leave nothing of it running; its output is masked.

    Args:
        command: What to run, and its time limit in seconds.
        root: The folder it runs in.
        logs: The folder its log goes to, line by line.
        environ: Its environment.
        show: Called with each line of its output, line end included.
        stage: Begins the name of the log.
        stop: Ends it, where several commands run at once.
    """
    log = log_of(command, logs, stage)
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()

    def outcome(status: int | None, problem: str = "") -> Outcome:
        return Outcome(command, status, problem, time.monotonic() - begin, log)

    program = foreign.program(command.run[0], root, environ)
    here = f"{root}/"
    with log.open("w", encoding="utf-8") as stream:

        def write(line: str) -> None:
            line = line.replace(here, "")  # the checkout is gone when somebody looks for the file
            stream.write(line)
            show(line)

        if program is None:
            place = "an executable file of the commit" if "/" in command.run[0] else "on PATH on this machine"
            problem = f"`{command.run[0]}` is not {place}"
            write(masking.text(f"{problem}\n"))
            return outcome(None, problem)
        line = [program, *command.run[1:]]
        seconds = command.timeout_seconds
        status = process_group.run(line, root, environ, seconds=seconds, write=write, stop=stop)
    if status is None:
        return outcome(None, f"did not end within {command.timeout_seconds} s and was stopped")
    return outcome(status)


def variables(command: Command) -> dict[str, str]:
    """Return the variables of this process that a command asks for by name."""
    return {key: os.environ[key] for key in command.environment if key in os.environ}


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where tools are kept between runs."""
    given = environ.get("RUNNER_TOOL_CACHE")
    return (Path(given) if given else cache_home(environ)) / "kickoff"


def lock(root: Path, requirements: str) -> Path | None:
    """Return the lock of the commands' tools; ``None`` when none is named, and they are on the PATH.

    Raises:
        KickoffError: The file is missing (exit 2).
    """
    path = root / requirements
    if requirements and not path.is_file():
        raise KickoffError(f"{path} is missing", hint="name the lock of the quality gate's tools")
    return path if requirements else None


def tools(requirements: Path, cache: Path) -> Path:
    """Return the ``bin`` folder of an environment with exactly what a hash-locked file names.

    The folder in ``cache`` is named by the lock's content, so the second call does nothing.

    Raises:
        KickoffError: The installation fails.
    """
    home = cache / f"quality-gate-{packages.home_of(requirements)}"
    packages.install(
        home,
        requirements,
        "cannot prepare the quality gate's tools",
        code=ExitCode.UNREACHABLE,
        hint="check the network and the lock's hashes",
    )
    return home / "bin"
