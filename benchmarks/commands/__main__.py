"""Time of commands beside those of another checkout, in one run: ``python -m benchmarks.commands OLD``.

Each round runs every command once in both checkouts, one after the other, so that a busy machine slows both.
``OLD`` is a work tree of the commit to compare with; its commands may have other names.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.project import Project

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "status": ["status", "--env", "development"],
    "plan": ["plan", "--env", "development"],
    "history": ["history", "--env", "development"],
    "rollback --help": ["rollback", "--help"],
}


def main() -> int:
    """Ship the fixture service once, time the commands, print medians of processor time and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("old", type=Path, help="work tree of the commit to compare with")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    # Both run what they are: the checkout of before had scripts.
    sides = {"old": _program(given.old.resolve()), "new": _program(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        with project.entered():
            project.ship()
            try:
                print(f"{'command':<16}{'old ms':>9}{'new ms':>9}{'new/old':>9}")
                for name, words in COMMANDS.items():
                    print(_row(name, words, sides, given.rounds), flush=True)
            finally:
                project.command("stop")
    return 0


def _program(root: Path) -> list[str]:
    new = root / "src" / "kickoff" / "__main__.py"
    return [sys.executable, str(new.parent if new.is_file() else root / "scripts/deploy/release.py")]


def _row(name: str, words: list[str], sides: dict[str, list[str]], rounds: int) -> str:
    found: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, program in sides.items():
            spent = _spent([*program, *words])
            if number:  # the first one compiles
                found[side].append(spent)
    old, new = (statistics.median(found[side]) for side in ("old", "new"))
    ratio = statistics.median(b / a for a, b in zip(found["old"], found["new"], strict=True))
    return f"{name:<16}{old:>9.0f}{new:>9.0f}{ratio:>9.2f}"


def _spent(command: list[str]) -> float:
    """Return the processor time of a command in milliseconds, which a busy machine changes least."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


if __name__ == "__main__":
    sys.exit(main())
