"""Build steps: commands in a clean checkout of the commit, and what they leave for the artefact."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kickoff import foreign, git, process_group
from kickoff.artifact import source
from kickoff.artifact.build_failure import BuildFailed
from kickoff.description import BuildStep
from kickoff.errors import KickoffError
from kickoff.paths import cache_home

# Part of every key: raise it when the same steps would come to something else.
_VERSION = 1
_LOG_LINES = 5000
_CLEAN = "it ran in a clean checkout of the commit: what git ignores, or is not committed, was not there"


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
        parts = [
            _VERSION, source.tree(root, commit), sorted(paths),
            [(step.run, step.outputs) for step in self.commands],
            foreign.fingerprints(self.environment, environ),
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
    with tree.with_suffix(".lock").open("wb") as lock:
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

    def write(line: str) -> None:
        line = line.replace(f"{tree}/", "")  # the checkout is gone when somebody looks for the file
        show(line)
        log.append(line.rstrip())

    line = [_program(step, tree, environ), *step.run[1:]]
    status = process_group.run(line, tree, environ, seconds=step.timeout_seconds, write=write)

    def failed(problem: str, hint: str) -> BuildFailed:
        return BuildFailed(f"`{shown}` {problem}", log=list(log), hint=hint, at=step.at)

    if status is None:
        raise failed(f"did not end within {step.timeout_seconds} s", "raise `timeout_seconds` of the step")
    if status != 0:
        raise failed(f"failed with exit code {status}", _CLEAN)
    for output in step.outputs:
        if not os.path.lexists(tree / output):
            raise failed(f"left no {output}", "correct `outputs`, or the command")


def _program(step: BuildStep, tree: Path, environ: Mapping[str, str]) -> str:
    name = step.run[0]
    found = foreign.program(name, tree, environ)
    if found is None:
        where = "the commit" if "/" in name else "PATH"
        hint = "install it where the build runs, or correct the command"
        raise KickoffError(f"the program {name!r} was not found in {where}", at=step.at, hint=hint)
    return found
