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


def test_a_folder_inside_the_repository(project: Path) -> None:
    (project / "inner").mkdir()
    assert str(project) in refused(project / "inner").hint


def test_a_detached_head_has_no_branch(project: Path) -> None:
    git(project, "checkout", "--detach")
    assert repository.inspect(project, allow_dirty=False).branch == ""
