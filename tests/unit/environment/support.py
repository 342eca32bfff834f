"""What the tests of this folder share."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kickoff.environment.drift import Reader
from kickoff.release import target_state

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path("configs/environments")
GIVEN = {
    "API_KEY": "tallow-brine-91-mostly",
    "DATABASE_URL": "postgresql+psycopg://football:quarry-lantern-17@db.internal/football",
}
"""The secrets that staging and production need."""


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
        read_running: Reader = target_state.read,
    ) -> Outcome: ...


@dataclass(frozen=True)
class Project:
    """A copy of the project's environments that a test may break."""

    root: Path

    def path(self, name: str) -> Path:
        return self.root / FOLDER / name

    def replace(self, name: str, key: str, line: str) -> int:
        """Put ``line`` where ``key`` is assigned, or at the end; return its number."""
        path = self.path(f"{name}.env")
        lines = path.read_text("utf-8").removesuffix("\n").split("\n")
        number = next((i for i, text in enumerate(lines) if text.startswith(f"{key}=")), len(lines))
        lines[number : number + 1] = [line]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return number + 1

    def break_by(self, case: Mapping[str, Any]) -> tuple[str, int]:
        """Break a file as an entry of ``broken_inputs.yml`` says; return the environment and the line to find."""
        env = case.get("env", "production")
        path = self.path(f"{env}.env")
        replaced = 0
        if "line" in case:
            replaced = self.replace(env, case["key"], case["line"])
        elif "key" in case:
            kept = path.read_text("utf-8").splitlines(keepends=True)
            path.write_text("".join(line for line in kept if not line.startswith(f"{case['key']}=")), "utf-8")
        path.write_text(path.read_text("utf-8") + case.get("append", ""), "utf-8")
        lines = path.read_text("utf-8").rstrip("\n").split("\n")
        match case.get("at", replaced):
            case "end":
                return env, len(lines)
            case "+1":
                return env, replaced + 1
            case str(key):
                return env, next(n for n, line in enumerate(lines, 1) if line.startswith(f"{key}="))
            case number:
                return env, number
