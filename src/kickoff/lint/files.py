"""The files that the linter reads: workflows, actions, and the shell scripts that their steps call."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kickoff.errors import KickoffError
from kickoff.lint.shell import Script
from kickoff.lint.workflow import Workflow

_WORKFLOWS = Path(".github", "workflows")
_ACTIONS = ("action.yml", "action.yaml")
YAML = (".yml", ".yaml")
_NOT_OURS = {"node_modules", "vendor", "third_party"}
_SHEBANG = re.compile(r"#!\s*/\S*?(env\s+)?\b(ba|da|k|)sh\b")


def named(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are named, and in folders the workflows and actions.

    Args:
        paths: Files and folders.

    Raises:
        KickoffError: One is not there, or a folder holds none of the files (exit 2).
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise KickoffError(f"{path} does not exist", hint="name files, or folders of repositories")
        inside = [path] if path.is_file() else list(_in_folder(path))
        if not inside:
            hint = "name a repository with workflows or actions, or the files themselves"
            raise KickoffError(f"{path} has neither {_WORKFLOWS}/*.yml nor an action.yml", hint=hint)
        found += inside
    return list(dict.fromkeys(found))


def called(workflow: Workflow) -> Iterator[Path]:
    """Yield the shell scripts of the repository that the steps of a workflow call."""
    top = repository(Path(workflow.file))
    for step in workflow.steps():
        below = str(step.data.get("working-directory") or "")
        for script in step.scripts:
            yield from _called(script, (top, top / below, Path(workflow.file).parent))


def called_by(text: str, file: Path) -> Iterator[Path]:
    """Yield the shell scripts of the repository that a script calls."""
    yield from _called(Script(text, str(file), 1), (repository(file), file.parent))


def repository(file: Path) -> Path:
    """Return the top of the repository of a file: where ``.git`` or ``.github`` is, or its own folder."""
    for folder in file.absolute().parents:
        if (folder / ".git").exists() or (folder / ".github").is_dir():
            return Path(os.path.relpath(folder))
    return file.parent


def read(path: Path) -> str:
    """Return the text of a file.

    Raises:
        KickoffError: It cannot be read (exit 2).
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise KickoffError(f"{path} cannot be read: {error.strerror}", at=f"{path}:1") from None


def _in_folder(top: Path) -> Iterator[Path]:
    folder = top / _WORKFLOWS
    yield from sorted(one for one in folder.glob("*.y*ml") if one.suffix in YAML)
    for place, folders, names in os.walk(top):
        kept = (one for one in folders if one == ".github" or not (one[:1] == "." or one in _NOT_OURS))
        folders[:] = sorted(kept)
        yield from (Path(place, one) for one in _ACTIONS if one in names)


def _called(script: Script, folders: Sequence[Path]) -> Iterator[Path]:
    for command in script.commands:
        word = command.words[0] if command.words else ""
        if not word.endswith((".sh", ".bash")) and not word.startswith("./"):
            continue
        path = next((one / word for one in folders if (one / word).is_file()), None)
        if path is not None and (path.suffix in (".sh", ".bash") or _SHEBANG.match(read(path)[:80])):
            yield Path(os.path.normpath(path))
