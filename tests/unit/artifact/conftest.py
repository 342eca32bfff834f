"""A maker of repositories."""

from pathlib import Path

import pytest

from tests.unit.artifact.repositories import Repository, commit, git


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    def make(name: str) -> Path:
        root = tmp_path / name
        (root / "app" / "sub").mkdir(parents=True)
        (root / "app" / "main.py").write_text("print(1)\n")
        (root / "app" / "sub" / "é and space.txt").write_text("text\n")
        (root / "app" / "start.sh").write_text("#!/bin/sh\n")
        (root / "app" / "start.sh").chmod(0o755)
        (root / "app" / "link").symlink_to("sub")
        (root / "other.txt").write_text("not shipped\n")
        git(root.parent, "init", "--quiet", "--initial-branch=main", name)
        commit(root)
        return root

    return make
