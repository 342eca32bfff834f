"""Generation of a project's files: answers are gathered, files planned, and what was planned is written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from kickoff import __version__, git, stack
from kickoff.environment import schema, secret_source
from kickoff.errors import KickoffError
from kickoff.project import answers as answering
from kickoff.project import detection, merging, record, rendering
from kickoff.project.answers import Answers
from kickoff.project.ignoring import ignored
from kickoff.project.merging import Change, Status
from kickoff.project.record import Record

_BEFORE = Path("configs/service.yml")
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


def top(folder: Path) -> Path:
    """Return ``folder`` when it is the top of a git repository.

    Raises:
        KickoffError: It is none (exit 2).
    """
    git.require_repository(folder)
    place = git.run(folder, "rev-parse", "--show-toplevel").stdout.rstrip("\n")
    if Path(place).resolve() != folder.resolve():
        raise KickoffError(
            "this is not the top folder of the git repository", at=str(folder), hint=f"run again in {place}"
        )
    return folder


def gather(root: Path, flags: Mapping[str, Any]) -> tuple[Answers, Record | None]:
    """Return the answers: a flag beats what was generated before, and that beats what is detected.

    Raises:
        KickoffError: A flag cannot be right, or the record or the description cannot be read (exit 2).
    """
    if (root / _BEFORE).exists():
        raise KickoffError(
            f"{_BEFORE} describes this service already",
            at=str(_BEFORE),
            hint=f"git mv {_BEFORE} {rendering.DESCRIPTION}",
        )
    before = record.read(root)
    if before is not None:
        _refuse_older(before.version)
        answers = replace(before.answers, actions=_moved(before.answers.actions, before.version))
    else:
        found = detection.detect(root)
        described = {key: str(value) for key, value in description(root).items() if key == "name"}
        answers = replace(Answers(), **{**found, **described})
    return answering.overlay(answers, flags), before


def plan(
    root: Path, answers: Answers, before: Record | None, flags: Mapping[str, Any], *, force: bool
) -> Generated:
    """Return what would be written for these answers.

    Raises:
        KickoffError: A flag would change a description that somebody wrote, there is no start command, or a
            file cannot be read (exit 2).
    """
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
    declared = None if flags.get("environments") or not present else description(root).get("environments")
    rendered = rendering.render(
        answers, __version__, _environments(declared), secrets=_secrets(root), ports=_ports(root)
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
    try:
        document = yaml.safe_load((root / rendering.DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise KickoffError(f"{rendering.DESCRIPTION} cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KickoffError(
            f"{rendering.DESCRIPTION} is not YAML: {error.problem}",
            at=f"{rendering.DESCRIPTION}:{line}",
            hint="correct the line and run again",
        ) from None
    return document if isinstance(document, dict) else {}


def _secrets(root: Path) -> set[str]:
    """Return the names of the secrets that a deployment may need."""
    return {*schema.read(root).secrets, *secret_source.BESIDE_SCHEMA, *stack.every_key(root)}


def _ports(root: Path) -> dict[str, int]:
    """Return the public ports of the environments that have a file: a new one beside them moves none."""
    texts = {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in _files(root)}
    found = {name: re.search(r"^PUBLIC_PORT=(\d{1,5})\b", text, re.M) for name, text in texts.items()}
    return {name: int(match[1]) for name, match in found.items() if match}


def _files(root: Path) -> list[Path]:
    return sorted(path for path in (root / schema.FOLDER).glob("*.env") if path.is_file())


def _environments(declared: Any) -> dict[str, dict[str, Any]] | None:  # noqa: ANN401 - any YAML
    if not isinstance(declared, dict):
        return None
    return {str(name): dict(entry) if isinstance(entry, dict) else {} for name, entry in declared.items()}


def _moved(actions: str, version: str) -> str:
    """Return the actions' source at this version, when it was at that of the record; a pin stays."""
    return f"{actions.partition('@')[0]}@v{__version__}" if actions.endswith(f"@v{version}") else actions


def _align(text: str, old: Record, answers: Answers) -> str:
    """Return a workflow with the version and the actions' source of now, which nobody shall have to merge."""
    was, _, ref = old.answers.actions.partition("@")
    now, _, new = answers.actions.partition("@")
    comment = rf"(?: # {re.escape(old.version)})?"
    source = rf"(?<![\w/.-]){re.escape(was)}(/actions/[\w-]+@){re.escape(ref)}{comment}(?![\w./-])"
    text = re.sub(source, lambda found: f"{now}{found[1]}{new} # {__version__}", text)
    return re.sub(rf"^(# Generated by kickoff ){re.escape(old.version)}(?= )", rf"\g<1>{__version__}", text)


def _refuse_older(version: str) -> None:
    if _parts(version) > _parts(__version__):
        raise KickoffError(
            f"kickoff {version} generated these files, and this is {__version__}",
            at=str(record.FILE),
            hint=f"pip install 'kickoff=={version}', or a newer one",
        )


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
