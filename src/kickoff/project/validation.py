"""Validation of a project: every mistake that can be seen without a run, with file, line and fix."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from kickoff import git, service, yaml_lines
from kickoff.description import Reader, problems
from kickoff.environment import comparison, loader, schema
from kickoff.environment.findings import Finding
from kickoff.errors import KickoffError
from kickoff.pipeline import installed_actions
from kickoff.project import generation, merging, neighbours, record, rendering
from kickoff.project.answers import PLACEHOLDER
from kickoff.project.files import Files
from kickoff.service import Service

_ACTION = re.compile(r"uses:\s*[\"']?([\w.-]+/[\w.-]+)/actions/([\w-]+)@")
_PORT = re.compile(r"\bPORT\b")


@dataclass(frozen=True, slots=True)
class Validated:
    """What was found.

    Attributes:
        findings: What has to be corrected before anything is deployed.
        hints: What may be wrong, or is not needed yet.
    """

    findings: list[Finding] = field(default_factory=list)
    hints: list[Finding] = field(default_factory=list)


def validate(root: Path, environ: Mapping[str, str] = os.environ, *, here: bool = True) -> Validated:
    """Return everything that is wrong with the project at ``root``.

    Args:
        root: Its folder.
        environ: The process environment; its ``PATH`` is where programs are looked for.
        here: Whether releases start on this machine; elsewhere a missing program is only a hint.
    """
    found = Validated()
    described = _description(root, found)
    found.findings.extend(_environments(root, environ))
    if described is not None:
        found.findings.extend(_name(root, described))
        found.findings.extend(_declared(root, described))
        found.findings.extend(_bundle(root, described))
        (found.findings if here else found.hints).extend(_program(root, described, environ))
        found.hints.extend(_port(root, described))
    _workflow(root, found)
    found.findings.extend(_generated(root, {one.file for one in found.findings}))
    found.findings.sort()
    return found


def _description(root: Path, found: Validated) -> Service | None:
    """Return the description; ``None`` when it has mistakes, all of which were noted."""
    try:
        path = service.described_in(root)
        if not service.is_described(root):
            fix = "`kickoff init` writes it"
            found.findings.append(_finding(str(path), "description", f"{path} is missing", fix))
            return None
        text, source = service.read(root)
        broken = [_from_error(one) for one in problems(Reader(text, source), yaml_lines.load(text, source))]
        if broken:
            found.findings.extend(broken)
            return None
        described = service.parse(text, source)
    except KickoffError as error:
        found.findings.append(_from_error(error))
        return None
    if not described.quality_gate:
        fix = "name a command, e.g. `kickoff init --gate 'make test'`"
        message = "there is no quality gate: nothing is checked before a commit is built"
        found.hints.append(_finding(described.at("quality_gate"), "gate", message, fix))
    return described


def _name(root: Path, described: Service) -> Iterator[Finding]:
    for other in neighbours.named(root, described.name):
        yield _from_error(neighbours.clash(described.name, other, described.at("name")))


def _environments(root: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what `kickoff env validate` finds, secrets not looked up."""
    try:
        keys, names = schema.read(root), loader.available(root)
        checked = {name: loader.inspect(name, root, keys, environ, with_secrets=False) for name in names}
    except KickoffError as error:
        yield _from_error(error)
        return
    for one in checked.values():
        yield from one.findings
    yield from comparison.compare(keys, checked)
    yield from loader.strangers(root)


def _declared(root: Path, described: Service) -> Iterator[Finding]:
    known = loader.available(root)
    for one in described.environments:
        if one.name not in known:
            path = schema.FOLDER / f"{one.name}.env"
            fix = f"`kickoff upgrade` writes it, or begin with `kickoff env template --env {one.name}`"
            at = described.at("environments", one.name)
            yield _finding(at, "environment", f"{one.name} has no file {path}", fix)


def _bundle(root: Path, described: Service) -> Iterator[Finding]:
    for index, path in enumerate(described.bundle):
        if path != service.EVERYTHING and not git.run(root, "ls-files", "--", path).stdout:
            there = (root / path).exists()
            fix = f"git add {path}" if there else "correct the path, or take it out"
            what = "is not committed" if there else "does not exist"
            at = described.at("bundle", index)
            yield _finding(at, "bundle", f"{path} is to be shipped, and {what}", fix)


def _program(root: Path, described: Service, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the start command's program when nothing can be it; what a build makes is not there yet."""
    program = described.web_command[0]
    if described.build or described.requirements or "{" in program:
        return
    if "/" in program and not program.startswith("/"):
        there = (root / program).is_file()
    else:
        there = shutil.which(program, path=environ.get("PATH", os.defpath)) is not None
    if not there:
        where = "in the repository" if "/" in program else "on the PATH"
        fix = "install it, correct the command, or name the command under `build:` that makes it"
        yield _finding(described.command_at, "program", f"{program} is not {where}", fix)


def _port(root: Path, described: Service) -> Iterator[Finding]:
    if any("{port}" in word for word in described.web_command):
        return
    repository = Files.read(root)
    ours = {rendering.DESCRIPTION, str(record.FILE)}
    read = (name for name in repository.names if name not in ours and not name.startswith("."))
    if not any(_PORT.search(repository.text(name)) for name in read):
        message = "the command has no {port}, and no file reads the variable PORT"
        fix = "write {port} where the command takes its port, or read PORT in the service"
        yield _finding(described.command_at, "port", message, fix)


def _workflow(root: Path, found: Validated) -> None:
    """Note what is wrong with the workflow that deploys."""
    try:
        workflow, text = installed_actions.read_workflow(root)
        yaml_lines.load(text, workflow, hint="correct it, or resolve the conflict there")
    except KickoffError as error:
        found.findings.append(_from_error(error))
        return
    known, sources = installed_actions.names(), installed_actions.sources(text)
    repositories = {source.repository for source in sources}
    for number, written in enumerate(text.splitlines(), 1):
        used = _ACTION.search(written)
        if used and used[1] in repositories and used[2] not in known:
            near = get_close_matches(used[2], known, 1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            message = f"no action is called {used[2]}"
            found.findings.append(_finding(f"{workflow}:{number}", "action", message, fix))
    for message, named in installed_actions.mismatches(text, workflow):
        at = _place_of(named, text, workflow)
        found.findings.append(_finding(at, "version", message, "`kickoff upgrade`"))
    for source in sources:
        if source.repository == PLACEHOLDER:
            message = f"{source.name} is a placeholder, which GitHub cannot run"
            fix = "say where the actions are published: `kickoff init --actions OWNER/REPO@REF`"
            at = _place_of(f"@{source.ref}", text, workflow)
            found.hints.append(_finding(at, "source", message, fix))


def _generated(root: Path, noted: set[str]) -> Iterator[Finding]:
    """Yield generated files that wait for somebody, or no longer follow the description."""
    try:
        before = record.read(root)
        if before is None or rendering.DESCRIPTION in noted:
            return
        answers, before = generation.gather(root, {})
        changes = generation.plan(root, answers, before, {}, force=False).changes
    except KickoffError as error:
        yield _from_error(error)
        return
    for change in changes:
        mark = merging.unresolved(change.before or b"")
        if mark:
            fix = "keep what is right and remove the marks"
            yield _finding(f"{change.path}:{mark}", "conflict", "a merge left both sides here", fix)
        elif change.writes and change.path not in noted and change.path != ".gitignore":
            message = f"it does not follow {rendering.DESCRIPTION}"
            yield _finding(change.path, "generated", message, "`kickoff upgrade`")


def _finding(at: str, rule: str, message: str, fix: str) -> Finding:
    """Return the finding at ``file:line``, or about a file as a whole."""
    file, _, line = at.partition(":")
    number = re.match(r"\d+", line)
    return Finding(file, int(number[0]) if number else 1, 1, rule, "", message, fix)


def _from_error(error: KickoffError) -> Finding:
    text = " ".join([str(error), *(f"({cause})" for cause in error.causes)])
    return _finding(error.at or rendering.DESCRIPTION, "project", text, error.hint)


def _place_of(part: str, text: str, workflow: str) -> str:
    lines = text.splitlines()
    return f"{workflow}:{next((number for number, line in enumerate(lines, 1) if part in line), 1)}"
