"""The linters of others that run beside the rules: zizmor and actionlint, where they are installed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickoff.environment.findings import Finding

_LIMIT = 300.0
"""Seconds that one of them may take."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a linter.

    Attributes:
        name: Its program.
        state: ``ran``, ``not installed`` or ``crashed``.
        reason: What it said when it crashed; empty otherwise.
        findings: What it found.
    """

    name: str
    state: str
    reason: str = ""
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Tool:
    command: Sequence[str]
    codes: Sequence[int]
    read: Callable[[dict[str, Any]], Finding]
    workflows_only: bool = False


def run(files: Sequence[Path], environ: Mapping[str, str] = os.environ) -> list[Ran]:
    """Return what each linter says of workflows and actions, in their own words.

    Args:
        files: Workflows, actions and scripts; those that a linter does not read are not given to it.
        environ: The process environment; its ``PATH`` is looked through after the interpreter's folder.
    """
    return [_run(name, tool, files, environ) for name, tool in _TOOLS.items()]


def _run(name: str, tool: _Tool, files: Sequence[Path], environ: Mapping[str, str]) -> Ran:
    beside = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    program = shutil.which(name, path=beside)
    given = [str(one) for one in files if one.suffix in (".yml", ".yaml")]
    if tool.workflows_only:
        given = [one for one in given if not one.endswith(("action.yml", "action.yaml"))]
    if program is None:
        return Ran(name, "not installed")
    if not given:
        return Ran(name, "ran")
    try:
        command = [program, *tool.command, *given]
        done = subprocess.run(command, capture_output=True, env=dict(environ), timeout=_LIMIT, check=False)
        if done.returncode not in tool.codes:
            raise ValueError(f"exit code {done.returncode}: {_first(done.stderr)}")
        answer = json.loads(done.stdout)
        if not isinstance(answer, list):
            raise ValueError(f"a list was expected, and not {str(answer)[:60]}")
        return Ran(
            name, "ran", findings=sorted(map(tool.read, (one for one in answer if not one.get("ignored"))))
        )
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        StopIteration,
        subprocess.SubprocessError,
    ) as error:
        return Ran(name, "crashed", " ".join(str(error).split())[:300])


def _first(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return lines[0] if lines else "nothing was said"


def _zizmor(one: dict[str, Any]) -> Finding:
    where = next(at for at in one["locations"] if at["symbolic"]["kind"] == "Primary")
    start = where["concrete"]["location"]["start_point"]
    path = os.path.normpath(where["symbolic"]["key"]["Local"]["verbatim_path"])
    message = f"{one['desc']}: {where['symbolic']['annotation']}"
    line, column = start["row"] + 1, start["column"] + 1
    return Finding(path, line, column, f"zizmor/{one['ident']}", "", message, f"see {one['url']}")


def _actionlint(one: dict[str, Any]) -> Finding:
    path, line, column = os.path.normpath(one["filepath"]), max(one["line"], 1), max(one["column"], 1)
    return Finding(path, line, column, f"actionlint/{one['kind']}", "", one["message"], "as the message says")


_TOOLS = {
    "zizmor": _Tool(
        ("--offline", "--no-progress", "--quiet", "--no-exit-codes", "--format=json-v1"), (0,), _zizmor
    ),
    "actionlint": _Tool(("-format", "{{json .}}"), (0, 1), _actionlint, workflows_only=True),
}
