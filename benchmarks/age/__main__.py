"""The time of commands by the number of past releases: `status`, and a whole release.

``.venv/bin/python benchmarks/age --past 5000`` ships the fixture service on the local target of two temporary
folders, writes 5 past releases into the state of one and 5,000 into the other's, and times both in turn.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from kickoff.release.stores.files import Store  # noqa: E402
from tests.e2e.project import Project  # noqa: E402

FEW = 5


def main() -> int:
    """Run the benchmark, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--past", type=int, default=5000, help="past releases of the old project")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path(".kickoff/benchmarks/age.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kickoff-age-") as folder, ExitStack() as stack:
        projects = {}
        for past in (FEW, arguments.past):
            home = Path(folder) / str(past)
            home.mkdir()
            projects[past] = project = Project(home)
            stack.enter_context(project.entered())
            stack.callback(project.close)
            project.set(BAKE_TIME="0.5s")
            grow(project.store, past)
            _ship(project)
        seconds: dict[str, dict[int, list[float]]] = {"status": {}, "release": {}}
        for number in range(arguments.rounds):
            for past, project in projects.items():
                with project.entered():
                    took = _timed(_status, project)
                    seconds["status"].setdefault(past, []).append(took)
                    if number < 3:
                        took = _timed(_ship, project)
                        seconds["release"].setdefault(past, []).append(took)
    print(f"| command | {' | '.join(f'{past:,} past' for past in projects)} | ratio |\n|---|---:|---:|---:|")
    for what, by_past in seconds.items():
        few, many = (statistics.median(by_past[past]) for past in projects)
        print(f"| {what} | {few:.3f} s | {many:.3f} s | {many / few:.2f} |")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(seconds, indent=1) + "\n", encoding="utf-8")
    return 0


def grow(store: Store, past: int) -> None:
    """Write ``past`` finished releases by the engine's own writers, but leave out to sync each line."""
    before = ""
    with patch.object(os, "fsync"):
        for number in range(past):
            attempt, release = f"{number}-{number:06x}", f"{number:07x}-{number:08x}"
            store.journal.append(event="opened", attempt=attempt, kind="release", owner="ada@host")
            store.journal.append(
                event="planned", attempt=attempt, release=release, colour="blue", previous=before,
                warm_start=False,
            )  # fmt: skip
            for step in (
                "prepare",
                "fetch",
                "hook",
                "start",
                "ready",
                "ready",
                "shift",
                "bake",
                "drain",
                "record",
            ):
                store.journal.append(event="intent", attempt=attempt, step=step)
                store.journal.append(event="done", attempt=attempt, step=step, seconds=0.1)
            store.journal.append(event="finished", attempt=attempt, outcome="released")
            store.journal.archive_finished()
            store.history.append(
                "release", "live", release, before, attempt=attempt, by="ada@host", baked_at="2026-01-01",
                commit=f"{number:040x}", committed="2026-01-01T12:00:00+00:00",
            )  # fmt: skip
            before = release
    # Nothing runs yet: what is to be shipped first shall not look for a release that was never there.
    store.history.append("auto-rollback", "undone", before, "", attempt="", by="ada@host")


def _ship(project: Project) -> None:
    shipped = project.ship(delay_ms=int(time.time()) % 5)
    if shipped.verdict != "pass":
        raise SystemExit(f"a healthy release was refused: {shipped.summary}")


def _status(project: Project) -> None:
    project.command("status").check_returncode()


def _timed(act: Callable[[Project], None], project: Project) -> float:
    began = time.monotonic()
    act(project)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
