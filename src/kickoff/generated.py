"""Generated files of a repository: brought up to date by a script, or with ``--check`` only compared."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic


def main(script: Path, description: str | None, root: Path, render: Callable[[], Mapping[str, str]]) -> int:
    """Bring every file up to date that differs from what it is generated as; returns the exit code.

    Args:
        script: What generates them.
        description: What it does, for its ``--help``.
        root: The repository.
        render: Returns the text of each file by its path in the repository.

    Raises:
        KickoffError: A file is out of date and ``--check`` was given (exit 1).
    """
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something would")
    check = parser.parse_args().check
    files = render()
    stale = [name for name, text in files.items() if _read(root / name) != text]
    if check and stale:
        hint = f"python3 {script.resolve().relative_to(root)}"
        raise KickoffError(f"out of date: {', '.join(stale)}", code=ExitCode.REJECTED, hint=hint)
    for name in stale:
        write_atomic(root / name, files[name])
    sys.stdout.write(f"rewritten: {', '.join(stale)}\n" if stale else "everything is up to date\n")
    return ExitCode.PASS


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
