"""Generation of a project's files: answers are gathered, files planned, and what was planned is written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from kickoff import __version__, environments, git, notices, service, stack, yaml_lines
from kickoff.description import Reader, problems
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.project import answers as answering
from kickoff.project import detection, merging, neighbours, record, rendering
from kickoff.project.answers import Answers
from kickoff.project.ignoring import ignored
from kickoff.project.merging import Change, Status
from kickoff.project.record import Record

_DESCRIBED = ("name", "run", "health", "gate", "header", "build", "bundle", "environments")
"""Answers that stand in the description alone, or first in it."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What would be written.

    Attributes:
        root: The project's folder.
        answers: What it is made from.
        changes: One for each file.
        record: The record afterwards.
        before: The record as it is; ``None`` when there is none.
    """

    root: Path
    answers: Answers
    changes: list[Change]
    record: Record
    before: Record | None

    @property
    def conflicts(self) -> list[str]:
        """Paths of the files that somebody has to resolve."""
        return [change.path for change in self.changes if change.status is Status.CONFLICT]

    @property
    def differs(self) -> bool:
        """True when anything would be written, or waits to be resolved."""
        changed = any(change.writes for change in self.changes) or bool(self.conflicts)
        return changed or self.before is None or self.before.to_text() != self.record.to_text()

    def write(self) -> None:
        """Write the files, and the record last: after a crash, the same again comes to the same."""
        for change in self.changes:
            if change.writes:
                change.write(self.root)
        if self.differs:
            self.record.write(self.root)


def gather(root: Path, flags: Mapping[str, Any]) -> tuple[Answers, Record | None]:
    """Return the answers: a flag beats what was generated before, and that beats what is detected.

    Raises:
        KickoffError: A flag cannot be right, or the record or the description cannot be read (exit 2).
    """
    if service.described_in(root) == service.FORMER:
        raise KickoffError(
            f"{service.FORMER} describes this service already",
            at=str(service.FORMER),
            hint=f"git mv {service.FORMER} {rendering.DESCRIPTION}",
        )
    before = record.read(root)
    described: dict[str, Any] = {k: str(value) for k, value in description(root).items() if k == "name"}
    if before is not None:
        _refuse_older(before.version)
        actions = _moved(before.answers.actions, before.version)
        answers = replace(before.answers, **{"actions": actions, **described})
    else:
        answers = replace(Answers(), **{**detection.detect(root), **described})
    given = {name: value for name, value in flags.items() if name != "environments"}
    return answering.overlay(answers, given), before


def plan(
    root: Path, answers: Answers, before: Record | None, flags: Mapping[str, Any], *, force: bool
) -> Generated:
    """Return what would be written for these answers.

    Raises:
        KickoffError: A flag would change a description that somebody wrote, there is no start command, or a
            file cannot be read (exit 2).
    """
    below = git.below_top(root)
    answers = answering.promoted(answers, flags.get("environments") or (), answers.name if below else "")
    present = (root / rendering.DESCRIPTION).exists()
    base = before.files if before else {}
    foreign = present and rendering.DESCRIPTION not in base and not force
    said = [key for key in _DESCRIBED if flags.get(key)]
    if foreign and said:
        raise KickoffError(
            f"{rendering.DESCRIPTION} is not written by `kickoff init`, which therefore does not change it",
            at=rendering.DESCRIPTION,
            hint=f"change `{said[0]}` in it, or replace it: add `--force`",
        )
    if not answers.run and not foreign:
        raise KickoffError(
            "nothing here says how the service is started",
            hint="say it: `kickoff init --run 'COMMAND --port {port}'`",
        )
    stays = present and (foreign or rendering.DESCRIPTION in base) and not flags.get("environments")
    declared, notify = _described(root) if stays else ((), [])
    there = neighbours.environment_files(root)
    # A file whose port somebody changed is rendered with the one it was generated with: nothing is new in it.
    made = {Path(path).stem: text for path, text in base.items() if path.endswith(".env") and not force}
    rendered = rendering.render(
        answers,
        __version__,
        declared,
        secrets=stack.every_secret(root),
        notify=notify,
        ports=neighbours.ports_in(there | made),
        taken=[*neighbours.ports_in(there).values(), *neighbours.ports(root)],
        folder=below,
    )
    align = partial(_align, old=before, answers=answers) if before else str
    changes = merging.plan(root, rendered, base, label=f"kickoff {__version__}", force=force, align=align)
    lines = ignored(root, answers)
    changes += [lines] if lines.writes else []
    files = {change.path: change.base for change in changes if change.base is not None}
    return Generated(root, answers, changes, Record(__version__, answers, files), before)


def description(root: Path) -> dict[str, Any]:
    """Return the description of the project at ``root`` as it is written; empty without one.

    Raises:
        KickoffError: It cannot be read, or is not YAML (exit 2).
    """
    if not service.is_described(root):
        return {}
    document = yaml_lines.load(*service.read(root), hint="correct the line and run again")
    return document if isinstance(document, dict) else {}


def _described(root: Path) -> tuple[tuple[DeclaredEnvironment, ...], list[str]]:
    """Return what the workflows need of the description at ``root``, of which the rest may be wrong.

    Returns:
        The environments, and the names of the secrets with the addresses of those who are told.
    """
    document, (text, source) = description(root), service.read(root)
    for key in (environments.KEY, notices.KEY):
        problem = next(problems(Reader(text, source), document, key), None)
        if problem is not None:
            raise problem
    declared = environments.parse(document.get(environments.KEY), text, source)
    return declared, [one["secret"] for one in document.get(notices.KEY, ())]


def _moved(actions: str, version: str) -> str:
    """Return the actions' source at this version's tag, when it was at that of the record; a pin stays."""
    tag = actions.removesuffix(version)
    return f"{tag}{__version__}" if tag != actions and tag.endswith("v") else actions


def _align(text: str, old: Record, answers: Answers) -> str:
    """Return a workflow with the version and the actions' source of now, which nobody shall have to merge."""
    was, _, ref = old.answers.actions.partition("@")
    now, _, new = answers.actions.partition("@")
    comment = rf"(?: # {re.escape(old.version)})?"
    source = rf"(?<![\w/.-]){re.escape(was)}(/actions/[\w-]+@){re.escape(ref)}{comment}(?![\w./-])"
    text = re.sub(source, lambda found: f"{now}{found[1]}{new} # {__version__}", text)
    return re.sub(rf"^(# Generated by kickoff ){re.escape(old.version)}(?= )", rf"\g<1>{__version__}", text)


def _refuse_older(version: str) -> None:
    if _released(version) > _released(__version__):
        raise KickoffError(
            f"kickoff {version} generated these files, and this is {__version__}",
            at=str(record.FILE),
            hint=f"install kickoff {version} or a newer one, and run again",
        )


def _released(version: str) -> list[int]:
    """Return the parts of the release that a version is, or is developed into."""
    return [int(part) for part in re.findall(r"\d+", version.partition(".dev")[0])]
