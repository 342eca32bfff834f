"""Git repositories with something to ship."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from kickoff import artifact
from kickoff.artifact import source

Repository = Callable[[str], Path]


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(root: Path, message: str = "x") -> str:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(root, "rev-parse", "HEAD")


def build(root: Path, store: Path, revision: str = "HEAD") -> artifact.Bundle:
    return artifact.build(root, source.resolve(root, revision), ["app"], store)
