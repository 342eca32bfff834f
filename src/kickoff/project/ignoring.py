"""Lines of ``.gitignore`` that a project needs: appended when they are missing, never rewritten."""

from pathlib import Path

from kickoff import git
from kickoff.project.answers import Answers
from kickoff.project.merging import Change, Status

FILE = ".gitignore"


def ignored(root: Path, answers: Answers) -> Change:
    """Return the change of ``.gitignore``; it writes nothing when git ignores all that it must.

    What a run keeps is ignored, and what the build makes, unless it is committed.
    """
    wanted = [".kickoff", *(output for step in answers.build for output in step.outputs)]
    missing = [path for path in dict.fromkeys(wanted) if not _settled(root, path)]
    place = root / FILE
    before = place.read_bytes() if place.is_file() else None
    if not missing:
        return Change(FILE, Status.UNCHANGED, before, before)
    start = before or b""
    gap = b"\n" if start and not start.endswith(b"\n") else b""
    added = "".join(f"/{path.strip('/')}/\n" for path in missing).encode("utf-8")
    status = Status.ADDED if before is None else Status.MERGED
    return Change(FILE, status, before, start + gap + added)


def _settled(root: Path, path: str) -> bool:
    ignoring = git.run(root, "check-ignore", "--quiet", f"{path}/x", check=False).returncode == 0
    return ignoring or bool(git.run(root, "ls-files", "--", path).stdout)
