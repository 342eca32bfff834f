"""Workflows and composite actions as jobs and steps, with the line of each."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kickoff import yaml_lines
from kickoff.errors import KickoffError
from kickoff.lint import vocabulary
from kickoff.lint.shell import Script

STATUS = re.compile(r"\b(always|failure|cancelled|success)\s*\(\s*\)")
ROLLBACK = re.compile(r"roll(ing)?[ _-]?back|\brevert\b", re.IGNORECASE)
_OWN_CLUSTER = re.compile(r"\bkind create|kind-action|minikube|\bk3d\b|localstack", re.IGNORECASE)
_BLOCK = re.compile(r":\s*([|>])[-+0-9]*\s*(#.*)?$")
_OTHER_SHELLS = re.compile(r"pwsh|powershell|cmd|python|node|perl|ruby")


@dataclass(frozen=True, eq=False)
class Step:
    """A step.

    Attributes:
        data: It, as written.
        line: Its line.
        scripts: The shell scripts that it holds: its own, and those that it gives to another shell.
        job: The job that it belongs to.
    """

    data: Mapping[str, Any]
    line: int
    scripts: tuple[Script, ...]
    job: "Job"

    @property
    def name(self) -> str:
        """Its name; empty when it has none."""
        return str(self.data.get("name") or "")

    @property
    def title(self) -> str:
        """How a message names it."""
        return repr(self.name) if self.name else "the step"

    @property
    def uses(self) -> str:
        """The action that it calls; empty for a script."""
        return str(self.data.get("uses") or "")

    @property
    def condition(self) -> str:
        """Its ``if``; empty when it has none."""
        return written(self.data.get("if"))

    @property
    def may_fail(self) -> bool:
        """Whether the job goes on as if nothing had happened when it fails."""
        return self.data.get("continue-on-error") is True

    def does(self, *kinds: str) -> bool:
        """Return whether a command or the action of it is of one of the kinds."""
        named = [kind for kind in kinds if kind in ("checks", "changes", "builds", "notices")]
        kinds += ("remote",) if "changes" in kinds else ()
        return vocabulary.action_is(self.uses, *named) or any(one.does(*kinds) for one in self.scripts)

    @cached_property
    def text(self) -> str:
        """All that is written in it."""
        return repr(dict(self.data))


@dataclass(frozen=True, eq=False)
class Job:
    """A job, or the steps of a composite action.

    Attributes:
        id: Its id.
        data: It, as written.
        line: Its line.
        workflow: The workflow that it belongs to.
        steps: Its steps.
    """

    id: str
    data: Mapping[str, Any]
    line: int
    workflow: "Workflow"
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its id and its name."""
        return f"{self.id} {self.data.get('name') or ''}".strip()

    @property
    def condition(self) -> str:
        """Its ``if``; empty when it has none."""
        return written(self.data.get("if"))

    @property
    def needs(self) -> list[str]:
        """The ids of the jobs that it waits for."""
        given = self.data.get("needs") or []
        return [given] if isinstance(given, str) else list(map(str, given))

    @cached_property
    def ancestors(self) -> set[str]:
        """The ids of the jobs that it waits for, at first and at second hand."""
        found: set[str] = set()
        waiting = list(self.needs)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.workflow.jobs[name].needs if name in self.workflow.jobs else []
        return found

    def does(self, *kinds: str) -> bool:
        """Return whether a step does one of the kinds; a deploy to the job's own cluster changes nothing."""
        if kinds == ("changes",) and _OWN_CLUSTER.search(self.text):
            return False
        return any(step.does(*kinds) for step in self.steps)

    @cached_property
    def text(self) -> str:
        """All that is written in it."""
        return repr(dict(self.data))

    def at(self, *path: str | int) -> int:
        """Return the line of a part of it."""
        inside = ("jobs", self.id) if self.workflow.is_workflow else ("runs",)
        return yaml_lines.line_of(self.workflow.text, (*inside, *path))


@dataclass(frozen=True, eq=False)
class Workflow:
    """A workflow, or a composite action, which has one job without a name.

    Attributes:
        file: Its file.
        text: It, as written.
        data: Its content.
        jobs: Its jobs by id.
    """

    file: str
    text: str
    data: Mapping[Any, Any]
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def is_workflow(self) -> bool:
        """Whether it is a workflow, and not an action."""
        return "jobs" in self.data

    @property
    def events(self) -> dict[str, Any]:
        """What starts it; ``on`` is a truth value in YAML."""
        given = self.data.get("on", self.data.get(True)) or {}
        if isinstance(given, str):
            return {given: None}
        return dict(given) if isinstance(given, dict) else dict.fromkeys(map(str, given))

    def steps(self) -> Iterator[Step]:
        """Yield the steps of all jobs."""
        for job in self.jobs.values():
            yield from job.steps


def read(text: str, file: str) -> Workflow:
    """Return a workflow or a composite action.

    Args:
        text: It, as written.
        file: Its file, for places.

    Raises:
        KickoffError: It is not YAML, or neither of the two; names file and line (exit 2).
    """
    data = yaml_lines.load(text, file, hint="correct it, or leave the file out")
    if not isinstance(data, dict) or not ({"jobs", "runs"} & set(data)):
        hint = "name workflows, actions, shell scripts, or a folder that holds them"
        raise KickoffError(f"{file} is neither a workflow nor an action", at=f"{file}:1", hint=hint)
    workflow = Workflow(file, text, data)
    jobs = data["jobs"] if "jobs" in data else {"": data["runs"]}
    for name, job in (jobs if isinstance(jobs, dict) else {}).items():
        if isinstance(job, dict):
            _add(workflow, str(name), job)
    return workflow


def _add(workflow: Workflow, name: str, data: Mapping[str, Any]) -> None:
    where: tuple[str, ...] = ("jobs", name) if workflow.is_workflow else ("runs",)
    job = Job(name, data, yaml_lines.line_of(workflow.text, where), workflow)
    workflow.jobs[name] = job
    steps = data.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, dict):
            line = yaml_lines.line_of(workflow.text, (*where, "steps", index))
            scripts = tuple(_scripts(job, step, (*where, "steps", index)))
            job.steps.append(Step(step, line, scripts, job))


def _scripts(job: Job, step: Mapping[str, Any], where: tuple[str | int, ...]) -> Iterator[Script]:
    key, given, shell = "run", step.get("run"), _shell(job, step)
    path: tuple[str | int, ...] = (*where, "run")
    if inner := vocabulary.script_input(str(step.get("uses") or "")):
        inputs = step.get("with") if isinstance(step.get("with"), dict) else {}
        key, given, shell = inner, (inputs or {}).get(inner), "sh -"
        path = (*where, "with", inner)
    if not isinstance(given, str) or _OTHER_SHELLS.search(shell):
        return
    line = yaml_lines.line_of(job.workflow.text, path)
    written_as = job.workflow.text.splitlines()[line - 1]
    block = _BLOCK.search(written_as) if key in written_as else None
    script = Script(
        given,
        job.workflow.file,
        line + bool(block),
        pipefail=shell == "bash" or "pipefail" in shell,
        folded=(block[1] == ">") if block else "\n" in given.strip(),
    )
    yield script
    yield from script.nested()


def _shell(job: Job, step: Mapping[str, Any]) -> str:
    """Return the shell of a step; empty for GitHub's default, which knows no ``pipefail``."""
    found = step.get("shell")
    for around in (job.data, job.workflow.data):
        defaults = around.get("defaults")
        run = defaults.get("run") if isinstance(defaults, dict) else None
        found = found or (run.get("shell") if isinstance(run, dict) else None)
    if not found and "windows" in str(job.data.get("runs-on")):
        return "pwsh"
    return str(found or "")


def written(value: object) -> str:
    """Return an expression as it is written: YAML makes a truth value of ``false``."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value).strip()
