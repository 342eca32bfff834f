"""Kickoff as its users have it: built from the commit, and installed where there is nothing else of it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adoption.foreign import REPOSITORY


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and both as they were built.

    Attributes:
        programs: The folder to be put on the ``PATH``.
        archive: The source archive.
        wheel: The wheel.
        build_seconds: How long both took to build.
    """

    programs: Path
    archive: Path
    wheel: Path
    build_seconds: float

    @property
    def kickoff(self) -> str:
        """The command."""
        return str(self.programs / "kickoff")


def run(*command: str, cwd: Path) -> None:
    """Run a command that may need the package index."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "KICKOFF_VENV": sys.prefix},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip("the package index cannot be reached, so nothing is built or installed")
    assert done.returncode == 0, done.stderr


def build(folder: Path) -> tuple[Path, Path]:
    """Build source archive and wheel of the commit in a new folder, as a release does; return their paths."""
    folder.mkdir()
    run(sys.executable, str(REPOSITORY / "scripts" / "publish" / "publish.py"), "build", cwd=folder)
    [archive], [wheel] = folder.glob("dist/*.tar.gz"), folder.glob("dist/*.whl")
    return archive, wheel


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with what ``kickoff deploy`` needs, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("installed")
    began = time.monotonic()
    archive, wheel = build(folder / "built")
    seconds = time.monotonic() - began
    home, uv = folder / "home", str(Path(sys.executable).parent / "uv")
    run(uv, "venv", "--quiet", "--python", sys.executable, str(home), cwd=folder)
    pip = [uv, "pip", "install", "--quiet", "--python", str(home / "bin" / "python")]
    lock = str(REPOSITORY / "requirements" / "dev.txt")
    run(*pip, "--constraints", lock, f"{wheel}[deploy,performance]", cwd=folder)
    return Installed(home / "bin", archive, wheel, seconds)
