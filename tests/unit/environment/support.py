"""What the tests of this folder share."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kickoff import running
from kickoff.environment.drift import Reader

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path("configs/environments")


def tool(name: str) -> str | None:
    """Return the path of a program of this virtual environment or of the machine."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Loader(Protocol):
    """The loader's commands, run in the copied project with a clean environment."""

    def __call__(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        read_running: Reader = running.read,
    ) -> Outcome: ...


@dataclass(frozen=True)
class Project:
    """A copy of the project's environments that a test may break."""

    root: Path

    def path(self, name: str) -> Path:
        return self.root / FOLDER / name

    def replace(self, name: str, key: str, line: str) -> int:
        """Put ``line`` where ``key`` is assigned; return its number."""
        path = self.path(f"{name}.env")
        lines = path.read_text("utf-8").split("\n")
        number = next(i for i, text in enumerate(lines) if text.startswith(f"{key}="))
        lines[number] = line
        path.write_text("\n".join(lines), "utf-8")
        return number + 1
