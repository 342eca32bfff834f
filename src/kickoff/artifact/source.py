"""The commit as the only source: the bytes of git's objects, never what lies about in the working tree.

Nothing between an object and its reader changes it: no attribute (``export-ignore``, ``export-subst``,
``eol``), no filter, no replacement and no configuration of whoever runs this. So a commit has the same
content everywhere.

git is asked in the project's folder, and all paths are those below it: a project may be a folder of a
repository, and then nothing beside it is part of its content.
"""

import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kickoff import git, masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.service import CONFIG, EVERYTHING, described_in

_SUBMODULE, _LINK, _EXECUTABLE = "160000", "120000", "100755"
_POINTER, _LARGEST_POINTER = b"version https://git-lfs.github.com/spec/", 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or link of a commit.

    Attributes:
        path: Its path in the project.
        object: Id of the object that holds its content, or a link's target.
        link: Whether it is a symbolic link.
        executable: Whether it may be executed.
    """

    path: str
    object: str
    link: bool
    executable: bool


def resolve(root: Path, revision: str = "HEAD") -> str:
    """Return the full id of the commit that ``revision`` (branch, tag, commit) stands for.

    For a project below the repository's top, that is the last commit which changed its folder: what others
    commit beside it makes no other release of it, and asks for no other proof.

    Raises:
        KickoffError: No repository, one that git refuses, no commit yet, no such revision, or one without
            the project.
    """
    git.require_repository(root)
    if commit := git.commit_of(root, revision):
        return _last_change(root, commit)
    if not git.commit_of(root, "HEAD"):
        raise KickoffError(
            "the repository has no commit yet, and only commits are shipped",
            hint="git add -A && git commit -m 'First release'",
        )
    raise KickoffError(
        f"no commit is called {revision!r} here",
        hint="see `git log --oneline` and `git tag`; a shallow clone needs `git fetch --unshallow`",
    )


def _last_change(root: Path, commit: str) -> str:
    below = git.below_top(root)
    if not below:
        return commit
    # By first parents: a merge is what the branch got, and what its run was about.
    changed = git.run(root, "rev-list", "-1", "--first-parent", commit, "--", EVERYTHING).stdout.strip()
    if not changed or not holds(root, changed, ""):
        raise KickoffError(
            f"commit {commit[:7]} holds nothing of {below}, and only commits are shipped",
            hint=f"git add . && git commit -m 'Add {below}'",
        )
    return changed


def committed_at(root: Path, commit: str) -> str:
    """Return when ``commit`` was committed, ISO 8601; empty when it is not in this repository."""
    found = git.run(root, "show", "--no-patch", "--format=%cI", f"{commit}^{{commit}}", check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def subject_of(root: Path, commit: str) -> tuple[str, str]:
    """Return the first line of a commit's message and its author; empty when it is not in this repository."""
    found = git.run(root, "show", "--no-patch", "--format=%s%x00%an", f"{commit}^{{commit}}", check=False)
    subject, _, author = (found.stdout if found.returncode == 0 else "").partition("\0")
    return masking.text(git.shown(subject).strip()[:200]), masking.text(git.shown(author).strip()[:200])


def tree(root: Path, commit: str) -> str:
    """Return the id of all that ``commit`` holds of the project: the same content has the same."""
    return git.run(root, "rev-parse", "--verify", f"{commit}:./").stdout.strip()


def tags(root: Path, commit: str) -> list[str]:
    """Return the tags of ``commit`` that are known in this repository."""
    return git.run(root, "tag", "--points-at", commit).stdout.split()


def changes(root: Path, paths: Sequence[str] = ()) -> list[str]:
    """Return the files below ``paths`` that differ from the last commit or are new, from the top folder."""
    paths = paths or (EVERYTHING,)
    listed = git.run(root, "status", "--porcelain", "--untracked-files=all", "-z", "--", *paths).stdout
    entries = git.shown(listed).split("\0")
    changed, index = [], 0
    while index < len(entries) and entries[index]:
        changed.append(entries[index][3:])
        # With -z a rename is followed by the old name as an entry of its own.
        index += 2 if entries[index][0] in "RC" else 1
    return changed


def holds(root: Path, commit: str, path: str) -> bool:
    """Tell whether ``commit`` has a file or folder at ``path``."""
    return git.run(root, "cat-file", "-e", f"{commit}:./{path}", check=False).returncode == 0


def shipped(root: Path, commit: str, paths: Sequence[str]) -> list[Entry]:
    """Return the files and links of ``commit`` at and below ``paths``.

    Raises:
        KickoffError: A path is not in the commit, or is a submodule, whose files the commit does not hold.
    """
    missing = [path for path in paths if path != EVERYTHING and not holds(root, commit, path)]
    if missing:
        raise KickoffError(
            f"commit {commit[:7]} does not hold {', '.join(missing)}",
            at=str(described_in(root)),
            hint=f"commit it (`git add {missing[0]}`), or take it out of `bundle:`",
        )
    entries, submodules = _listed(root, commit, paths)
    if submodules:
        raise KickoffError(
            f"{git.shown(submodules[0])} is a submodule, whose files the commit does not hold",
            hint="ship it as a package in the service's requirements, or copy it into the repository",
        )
    return entries


def contents(root: Path, entries: Sequence[Entry]) -> Iterator[tuple[Entry, bytes]]:
    """Yield every entry with its content, or a link's target, in order.

    Raises:
        KickoffError: An object is missing, as it may be in a partial clone (exit 4).
    """
    with tempfile.TemporaryFile() as wanted, tempfile.TemporaryFile() as complaints:
        # From a file: git answers while it reads, so neither may wait for the other.
        wanted.write("".join(f"{entry.object}\n" for entry in entries).encode())
        wanted.seek(0)
        with git.start(root, "cat-file", "--batch", "--buffer", given=wanted, said=complaints) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            for entry in entries:
                head = process.stdout.readline().split()
                size = int(head[2]) if len(head) == 3 and head[1] == b"blob" else -1
                content = process.stdout.read(size + 1)  # and a line end
                if len(content) != size + 1 or size < 0:
                    process.stdout.close()
                    process.wait()
                    complaints.seek(0)
                    raise _lost(entry, complaints.read())
                yield entry, content[:-1]


def refuse_pointers(pointers: Sequence[str]) -> None:
    """Refuse files that are pointers of Git LFS.

    Raises:
        KickoffError: There are any.
    """
    if not pointers:
        return
    first = git.shown(pointers[0])
    more = f" and {len(pointers) - 1} more" if len(pointers) > 1 else ""
    raise KickoffError(
        f"{first}{more}: the commit holds a pointer of Git LFS instead of the content, and would ship that",
        at=str(CONFIG),
        hint=f"commit the content (`git lfs untrack {shlex.quote(first)} && git add --renormalize .`), let "
        "the service fetch it, or take it out of `bundle:`",
    )


def is_pointer(content: bytes) -> bool:
    """Tell whether a file is a pointer of Git LFS, which stands for content that is kept elsewhere."""
    return len(content) <= _LARGEST_POINTER and content.startswith(_POINTER)


def target(content: bytes) -> str:
    """Return where a link leads, by its content."""
    return content.decode("utf-8", "surrogateescape")


def checkout(
    root: Path, commit: str, folder: Path, paths: Sequence[str] = (EVERYTHING,), *, links: bool = True
) -> None:
    """Write what ``commit`` holds at and below ``paths`` into ``folder``; submodules become empty folders.

    Args:
        root: The project.
        commit: The commit.
        folder: Where it is written.
        paths: What is written of it.
        links: Whether symbolic links are made, which may lead out of the folder.

    Raises:
        KickoffError: An object is missing, as it may be in a partial clone (exit 4), or a name leads out of
            the folder (exit 2).
    """
    entries, submodules = _listed(root, commit, paths)
    if leading := next((one.path for one in entries if ".." in Path(one.path).parts), ""):
        raise KickoffError(f"commit {commit[:7]} holds {git.shown(leading)}, a name that git does not allow")
    entries = [entry for entry in entries if links or not entry.link]
    folder.mkdir(parents=True, exist_ok=True)
    for entry, content in contents(root, entries):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.link:
            path.symlink_to(target(content))
        else:
            path.write_bytes(content)
            path.chmod(0o755 if entry.executable else 0o644)
    for name in submodules:
        (folder / name).mkdir(parents=True)


def _listed(root: Path, commit: str, paths: Sequence[str]) -> tuple[list[Entry], list[str]]:
    if not paths:  # git would take that for everything
        return [], []
    listed = git.run(root, "ls-tree", "-r", "-z", commit, "--", *paths).stdout
    entries, submodules = [], []
    for line in filter(None, listed.split("\0")):
        facts, path = line.split("\t", 1)
        mode, _, name = facts.split()
        if mode == _SUBMODULE:
            submodules.append(path)
        else:
            entries.append(Entry(path, name, link=mode == _LINK, executable=mode == _EXECUTABLE))
    return entries, submodules


def _lost(entry: Entry, said: bytes) -> KickoffError:
    return KickoffError(
        f"this clone lacks the content of {git.shown(entry.path)}",
        code=ExitCode.UNREACHABLE,
        causes=git.lines(said.decode("utf-8", "surrogateescape"))[:3],
        hint="a partial clone has to fetch it: see that its remote answers, or clone again without --filter",
    )
