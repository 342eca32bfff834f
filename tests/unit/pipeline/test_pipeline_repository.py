"""Only commits are shipped, and the refusal says what to do."""

import subprocess
from pathlib import Path

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.pipeline import repository


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--initial-branch=trunk")
    (tmp_path / "a.txt").write_text("a\n")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--message=A commit")
    return tmp_path


def refused(folder: Path) -> KickoffError:
    with pytest.raises(KickoffError) as caught:
        repository.inspect(folder, allow_dirty=False)
    assert caught.value.code == ExitCode.BAD_INPUT
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_clean_project(project: Path) -> None:
    head = repository.inspect(project, allow_dirty=False)
    assert (len(head.commit), head.branch, head.default_branch, head.author) == (40, "trunk", "main", "Test")


def test_no_repository(tmp_path: Path) -> None:
    assert "not in a git repository" in str(refused(tmp_path))


def test_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert "no commit yet" in str(refused(tmp_path))


@pytest.mark.parametrize("name", ["a.txt", "new file é.txt"])
def test_uncommitted_files_are_named(project: Path, name: str) -> None:
    (project / name).write_text("changed\n")
    assert name in str(refused(project))
    assert repository.inspect(project, allow_dirty=True).branch == "trunk"


def test_many_uncommitted_files_are_counted(project: Path) -> None:
    for number in range(8):
        (project / f"n{number}").touch()
    assert "and 3 more" in str(refused(project))


def test_a_project_in_a_folder_of_the_repository_is_asked_about_that_folder_alone(project: Path) -> None:
    inner = project / "inner"
    inner.mkdir()
    assert "holds nothing of inner" in str(refused(inner))
    (inner / "b.txt").write_text("b\n")
    git(project, "add", "--all")
    git(project, "commit", "--message=The project")
    shipped = repository.inspect(inner, allow_dirty=False).commit
    (project / "a.txt").write_text("changed\n")
    assert repository.inspect(inner, allow_dirty=False).commit == shipped, "a dirty neighbour is none of its"
    git(project, "commit", "--all", "--message=Beside it")
    assert repository.inspect(inner, allow_dirty=False).commit == shipped
    (inner / "b.txt").write_text("changed\n")
    assert "inner/b.txt" in str(refused(inner))


def test_a_detached_head_has_no_branch(project: Path) -> None:
    git(project, "checkout", "--detach")
    assert repository.inspect(project, allow_dirty=False).branch == ""


def said(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("kind", ["branch", "detached", "worktree"])
def test_a_copy_has_what_is_committed_and_everything_git_knows(
    project: Path, tmp_path: Path, kind: str
) -> None:
    git(project, "tag", "v1")
    git(project, "remote", "add", "origin", "https://example.org/somebody/things.git")
    if kind == "detached":
        git(project, "checkout", "--detach")
    if kind == "worktree":
        git(project, "worktree", "add", "-b", "other", str(tmp_path / "beside"))
    top = tmp_path / "beside" if kind == "worktree" else project
    (top / "a.txt").write_text("not committed\n")
    copy = repository.copy(top, tmp_path / "copy")
    assert (copy / "a.txt").read_text() == "a\n"
    assert said(copy, "status", "--porcelain") == ""
    for question in (("rev-parse", "HEAD"), ("branch", "--show-current"), ("show-ref",), ("remote", "-v")):
        assert said(copy, *question) == said(top, *question)
    assert not [path for path in (copy / ".git" / "objects").rglob("*") if len(path.name) == 38]


def test_a_repository_that_keeps_its_references_otherwise_is_not_copied(
    project: Path, tmp_path: Path
) -> None:
    git(project, "config", "extensions.refStorage", "files")
    assert repository.copy(project, tmp_path / "copy") == project
