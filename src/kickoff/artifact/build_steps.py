"""Build steps: commands in a clean checkout of the commit, and what they leave for the artefact."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kickoff import foreign, git, masking
from kickoff.artifact import source
from kickoff.errors import ExitCode, KickoffError
from kickoff.paths import cache_home
from kickoff.service import BuildStep

# Part of every key: raise it when the same steps would come to something else.
_VERSION = 1
_LOG_LINES = 40
_CLEAN = "it ran in a clean checkout of the commit: what git ignores, or is not committed, was not there"


class BuildFailed(KickoffError):
    """A step that failed; ``log`` is what it said last."""

    def __init__(self, message: str, *, log: Sequence[str] = (), at: str, hint: str = _CLEAN) -> None:
        super().__init__(message, code=ExitCode.REJECTED, causes=log[-15:], at=at, hint=hint)
        self.log = tuple(log)


@dataclass(frozen=True, slots=True)
class Steps:
    """The build of a service.

    Attributes:
        commands: The steps, in order.
        environment: Variables of the caller that they are given.
        show: Called with each line of their output.
    """

    commands: tuple[BuildStep, ...]
    environment: tuple[str, ...] = ()
    show: Callable[[str], object] = lambda _: None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Paths that the steps leave for the artefact, each once."""
        return tuple(dict.fromkeys(path for step in self.commands for path in step.outputs))

    def leave(self, path: str) -> bool:
        """Tell whether a path comes from the steps, and not from the commit."""
        return any(path == output or path.startswith(f"{output}/") for output in self.outputs)

    def key(self, root: Path, commit: str, paths: Sequence[str], environ: Mapping[str, str]) -> str:
        """Return the key of the build: whatever has the same key need not be built twice.

        It covers all that a step can see of the commit, the steps, the variables that they are given by name
        and the platform.
        """
        given = {name: environ.get(name) for name in self.environment}
        parts = [
            _VERSION, git.run(root, "rev-parse", f"{commit}^{{tree}}").stdout.strip(), sorted(paths),
            [(step.run, step.outputs) for step in self.commands], given,
            [sys.platform, platform.machine(), *platform.libc_ver()],
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@contextmanager
def built(root: Path, commit: str, steps: Steps, key: str) -> Iterator[Path]:
    """Yield a checkout of ``commit`` in which the steps have run.

    Its path follows from the key, because tools write the folder they run in into what they make.

    Raises:
        BuildFailed: A step failed, or left out what it should leave (exit 1).
        KickoffError: A program of a step is not there (exit 2).
    """
    tree = cache_home() / "kickoff" / "builds" / key[:16]
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tree.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(tree, ignore_errors=True)
        try:
            source.checkout(root, commit, tree)
            environ = _environment(root, commit, steps)
            for step in steps.commands:
                _run(step, tree, environ, steps.show)
            yield tree
        finally:
            shutil.rmtree(tree, ignore_errors=True)


def files(tree: Path, steps: Steps) -> dict[str, Path]:
    """Return the files and links that the steps left, by their path in the artefact."""
    found: dict[str, Path] = {}
    for output in steps.outputs:
        top = tree / output
        if top.is_symlink() or not top.is_dir():
            found[output] = top
            continue
        for folder, folders, names in os.walk(top):
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            paths = [Path(folder) / name for name in (*names, *links)]
            found |= {str(path.relative_to(tree)): path for path in paths}
    return found


def _environment(root: Path, commit: str, steps: Steps) -> dict[str, str]:
    # Tools that honour it write no time of their own, so that the same input comes to the same bytes.
    time = git.run(root, "show", "--no-patch", "--format=%ct", commit).stdout.strip()
    return foreign.installing() | foreign.environment(steps.environment) | {"SOURCE_DATE_EPOCH": time}


def _run(step: BuildStep, tree: Path, environ: Mapping[str, str], show: Callable[[str], object]) -> None:
    shown = " ".join(step.run)
    show(f"$ {shown}\n")
    log: deque[str] = deque(maxlen=_LOG_LINES)
    expired = threading.Event()
    with subprocess.Popen(
        [_program(step, tree, environ), *step.run[1:]],
        cwd=tree,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:

        def stop() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        def expire() -> None:
            expired.set()
            stop()

        timer = threading.Timer(step.timeout_seconds, expire)
        timer.start()
        try:
            for raw in process.stdout or ():
                line = masking.text(raw)
                show(line)
                log.append(line.rstrip())
            process.wait()
        finally:
            timer.cancel()
            stop()  # the whole group: what a step started must not go on without it
    if expired.is_set():
        hint = "raise `timeout_seconds` of the step"
        raise BuildFailed(
            f"`{shown}` did not end within {step.timeout_seconds} s", log=list(log), at=step.at, hint=hint
        )
    if process.returncode != 0:
        raise BuildFailed(f"`{shown}` failed with exit code {process.returncode}", log=list(log), at=step.at)
    for output in step.outputs:
        if not os.path.lexists(tree / output):
            hint = "correct `outputs`, or the command"
            raise BuildFailed(f"`{shown}` left no {output}", log=list(log), at=step.at, hint=hint)


def _program(step: BuildStep, tree: Path, environ: Mapping[str, str]) -> str:
    name = step.run[0]
    file = tree / name
    own = str(file) if "/" in name and file.is_file() and os.access(file, os.X_OK) else None
    found = own or (None if "/" in name else shutil.which(name, path=environ.get("PATH", os.defpath)))
    if found is None:
        where = "the commit" if "/" in name else "PATH"
        hint = "install it where the build runs, or correct the command"
        raise KickoffError(f"the program {name!r} was not found in {where}", at=step.at, hint=hint)
    return found
