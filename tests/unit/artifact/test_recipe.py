"""The key of an image: it follows from what the builder sees, and from nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

from kickoff.artifact import build_key, source
from kickoff.artifact.build_key import Recipe
from kickoff.errors import KickoffError
from kickoff.service import ImageSource

IMAGE = ImageSource("Dockerfile", ("app",), "", ("linux/amd64",))


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def commit(root: Path, **files: str) -> str:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message=x")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, Dockerfile="FROM scratch\nCOPY app /\n", app__main="1\n", other="1\n")
    return tmp_path


def of(root: Path, revision: str = "HEAD", image: ImageSource = IMAGE) -> Recipe:
    return build_key.read(root, source.resolve(root, revision), image)


def test_a_commit_that_touches_nothing_of_the_image_changes_neither_key_nor_labels(root: Path) -> None:
    first = of(root)
    second_commit = commit(root, other="2\n")
    second = of(root)
    assert (second.key, second.labels()) == (first.key, first.labels())
    assert second.commit == second_commit
    assert second.revision == first.commit


@pytest.mark.parametrize(
    "files",
    [
        {"app__main": "2\n"},
        {"app__more": ""},
        {"Dockerfile": "FROM scratch\nCOPY app /srv\n"},
        {".dockerignore": "*.md\n"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_whatever_the_builder_sees_changes_the_key(root: Path, files: dict[str, str]) -> None:
    before = of(root)
    changed = commit(root, **files)
    after = of(root)
    assert after.key != before.key
    assert after.revision == changed


def test_executable_bits_and_names_are_content_too(root: Path) -> None:
    keys = {of(root).key}
    (root / "app" / "main").chmod(0o755)
    commit(root)
    keys.add(of(root).key)
    (root / "app" / "main").rename(root / "app" / "start")
    commit(root)
    keys.add(of(root).key)
    assert len(keys) == 3


def test_what_is_taken_back_has_its_old_key(root: Path) -> None:
    first = of(root)
    commit(root, app__main="2\n")
    commit(root, app__main="1\n")
    assert of(root).key == first.key


def test_the_working_tree_is_never_looked_at(root: Path) -> None:
    before = of(root)
    (root / "app" / "main").write_text("not committed\n")
    (root / "app" / "new").write_text("not committed\n")
    os.utime(root / "Dockerfile", (0, 0))
    assert of(root) == before


def test_another_dockerfile_is_another_image_with_an_ignore_file_of_its_own(root: Path) -> None:
    commit(root, **{"other.Dockerfile": "FROM scratch\nCOPY app /\n", "other.Dockerfile.dockerignore": "x\n"})
    other = ImageSource("other.Dockerfile", ("app",), "", ("linux/amd64",))
    made = of(root, image=other)
    assert made.key != of(root).key
    assert made.paths == ("app", "other.Dockerfile", "other.Dockerfile.dockerignore")


def test_the_tag_names_content_and_platforms_in_one_order(root: Path) -> None:
    made = of(root)
    assert made.tag(["linux/arm64", "linux/amd64"]) == f"content-{made.key}-linux-amd64-linux-arm64"
    assert made.tag(["linux/arm/v7"]) == f"content-{made.key}-linux-arm-v7"


def test_labels_say_where_the_image_comes_from(root: Path) -> None:
    git(root, "tag", "v1.2.0")
    git(root, "remote", "add", "origin", "https://user:a-token@forge.example/team/football.git")
    made = of(root)
    created = git(root, "show", "-s", "--format=%ct", "HEAD")
    assert made.time == int(created)
    prefix = "org.opencontainers.image."
    assert {name.removeprefix(prefix): value for name, value in made.labels().items()} == {
        "source": "https://forge.example/team/football",
        "revision": made.commit,
        "version": "v1.2.0",
        "created": made.labels()[f"{prefix}created"],
    }
    assert made.labels()[f"{prefix}created"].endswith("+00:00")


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("https://forge.example/a/b.git", "https://forge.example/a/b"),
        ("http://127.0.0.1:3000/a/b", "http://127.0.0.1:3000/a/b"),
        ("https://x-access-token:secret@forge.example/a/b", "https://forge.example/a/b"),
        ("git@forge.example:a/b.git", "https://forge.example/a/b"),
        ("ssh://git@forge.example:2222/a/b.git", "https://forge.example/a/b"),
        ("/home/somebody/project", ""),
        ("../project", ""),
        ("file:///home/somebody/project", ""),
        ("C:\\Users\\somebody", ""),
    ],
)
def test_a_remote_is_shown_without_credentials_and_local_paths_never(
    root: Path, remote: str, shown: str
) -> None:
    git(root, "remote", "add", "origin", remote)
    assert of(root).repository == shown


def test_a_missing_dockerfile_or_path_is_named(root: Path) -> None:
    with pytest.raises(KickoffError, match=r"holds no nowhere/Dockerfile") as caught:
        of(root, image=ImageSource("nowhere/Dockerfile", ("app",), "", ()))
    assert caught.value.at == "kickoff.yml"
