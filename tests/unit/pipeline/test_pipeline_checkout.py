"""Each job's folder holds the commit's files, which are one on the disk, and a repository of its own."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from kickoff.pipeline import checkout, repository

WORKFLOW = ".github/workflows/cd.yml"
PLAIN = """
on: push
jobs:
  one:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
        with:
          fetch-depth: 0
"""
CALLED = "on:\n  workflow_call:\n" + PLAIN.partition("\n")[2].partition("\n")[2]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def prepared(tmp_path: Path, files: dict[str, str]) -> tuple[Path, list[str]]:
    """Return the copy of a repository with these files, and act's options for its workflow."""
    project, work = tmp_path / "project", tmp_path / "it's work"
    work.mkdir(parents=True)
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=A commit")
    copy = repository.copy(project, work / "repository")
    return copy, checkout.options(copy, WORKFLOW, work)


def checked_out(copy: Path, job: str) -> Path:
    """Return the folder of a job in which the stand-in's own script ran."""
    folder = copy.parent / job
    folder.mkdir(exist_ok=True)
    action = yaml.safe_load((copy.parent / "checkout" / "action.yml").read_text())
    (script,) = (step["run"] for step in action["runs"]["steps"])
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, check=True)
    return folder


FILES = {
    WORKFLOW: PLAIN,
    "a.txt": "a\n",
    "folder/run.sh": "#!/bin/sh\n",
    ".hidden": "h\n",
    "-odd name": "o\n",
    ".gitattributes": "*.crlf text eol=crlf\n*.bin filter=missing\n",
    "b.crlf": "b\n",
    "c.bin": "c\n",
}


def test_every_checkout_of_the_workflow_and_of_what_it_calls_is_stood_in(tmp_path: Path) -> None:
    more = {
        ".github/workflows/called.yml": CALLED.replace("@v7", "@v6"),
        ".github/workflows/other.yml": PLAIN.replace("@v7", "@v5"),
        "actions/own/action.yml": PLAIN.replace("@v7", "@v4"),
    }
    copy, options = prepared(tmp_path, {WORKFLOW: PLAIN} | more)
    named = [word.partition("=")[0] for word in options if word.startswith("actions/")]
    assert named == [f"actions/checkout@v{version}" for version in (4, 6, 7)]
    assert {word.partition("=")[2] for word in options if "=" in word} == {str(copy.parent / "checkout")}
    assert options[0] == "--no-skip-checkout"


@pytest.mark.parametrize("key", ["ref", "path", "repository"])
@pytest.mark.parametrize("place", [WORKFLOW, ".github/workflows/called.yml", "actions/own/action.yaml"])
def test_a_checkout_of_something_else_is_left_to_act(tmp_path: Path, place: str, key: str) -> None:
    text = (CALLED if "called" in place else PLAIN).replace("fetch-depth: 0", f"{key}: other")
    assert prepared(tmp_path, {WORKFLOW: PLAIN, place: text})[1] == []


def test_no_checkout_and_no_yaml_are_left_to_act(tmp_path: Path) -> None:
    assert prepared(tmp_path, {WORKFLOW: "on: push\njobs: {}\n"})[1] == []
    assert prepared(tmp_path / "more", {WORKFLOW: f"{PLAIN}  - [\n"})[1] == []


def test_a_file_system_without_links_is_left_to_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert prepared(tmp_path, {WORKFLOW: PLAIN})[1] == []


def test_a_job_has_every_file_by_a_link_and_a_repository_of_its_own(tmp_path: Path) -> None:
    copy, _ = prepared(tmp_path, FILES)
    job = checked_out(copy, "first")
    assert {name: (job / name).read_text() for name in FILES} == FILES, (
        "no filter and no line end touched them"
    )
    assert all((job / name).samefile(copy / name) for name in FILES)
    assert git(job, "status", "--porcelain", "--", *FILES.keys() - {"b.crlf", "c.bin"}) == ""
    assert git(job, "rev-parse", "HEAD") == git(copy, "rev-parse", "HEAD")
    (job / "new.txt").write_text("new\n")
    git(job, "add", "new.txt")
    assert git(checked_out(copy, "second"), "status", "--porcelain", "--", "new.txt", "a.txt") == ""


def test_what_a_job_changed_in_place_is_the_commits_again_in_the_next(tmp_path: Path) -> None:
    copy, _ = prepared(tmp_path, FILES)
    first = checked_out(copy, "first")
    with (first / "a.txt").open("a") as file:
        file.write("changed in place\n")
    (first / "folder" / "run.sh").chmod(0o755)
    (first / "b.crlf").write_text("written over\n")
    (first / "c.bin").unlink()
    second = checked_out(copy, "second")
    assert {name: (second / name).read_text() for name in FILES} == FILES
    assert not os.access(second / "folder" / "run.sh", os.X_OK)
    assert (first / "a.txt").read_text() == "a\nchanged in place\n", "and the job keeps what it wrote"


def test_a_job_that_checks_out_twice_has_the_commits_files_again(tmp_path: Path) -> None:
    copy, _ = prepared(tmp_path, FILES)
    job = checked_out(copy, "first")
    (job / "a.txt").unlink()
    (job / "a.txt").write_text("a file of its own\n")
    (job / "new.txt").write_text("new\n")
    assert checked_out(copy, "first") == job
    assert {name: (job / name).read_text() for name in FILES} == FILES
    assert not (job / ".git" / ".git").exists()
    assert (job / "new.txt").read_text() == "new\n"
