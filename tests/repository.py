"""A git repository of a test's own."""

import subprocess
from pathlib import Path


class Repository:
    """The repository.

    Args:
        root: Its folder, which is created.
        branch: Its default branch.
    """

    def __init__(self, root: Path, branch: str = "main") -> None:
        self.root = root
        self.root.mkdir()
        self.git("init", "--quiet", f"--initial-branch={branch}")

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self, message: str = "A commit") -> str:
        """Commit everything, or nothing new; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        """Run git; return what it prints."""
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.invalid"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True).stdout
