"""Rehearse failure on the fixture service: ``make rehearse ARGS='[faults|gates|kills] [NAME ...]'``.

``faults`` (the default) prints the fault table with the expected and the actual end of every row, with
``--screens`` also what a person sees last of it in 24 rows of 80 columns; ``gates`` takes out each of the
engine's gates and says which row noticed; ``kills`` kills every command on both sides of every journal record
and counts the points. Exit code 1 when a row ends otherwise than it says, when a gate's loss goes unnoticed, or
when users or the next command notice a kill.
"""

import argparse
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context, util
from pathlib import Path
from typing import TypeVar

from tests.e2e.faults import BY_NAME
from tests.e2e.gates import GATES
from tests.e2e.kills import LEAST, SIDES, Killed, kill_everywhere
from tests.e2e.project import Project
from tests.e2e.rehearsal import Bench, Result, needs, noticed

T = TypeVar("T")
GATES_BY_NAME = {gate.name: gate for gate in GATES}
KILLS = tuple(f"{command} {side}" for command in LEAST for side in SIDES)


def main() -> int:
    """Run what the arguments name; return the exit code."""
    parser = argparse.ArgumentParser(prog="make rehearse", description=__doc__)
    parser.add_argument("what", nargs="?", default="faults", choices=("faults", "gates", "kills"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows, gates or kills; all by default")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at once (default 2)")
    parser.add_argument("--screens", action="store_true", help="show the last screen of every fault")
    options = parser.parse_args()
    rehearsals: dict[str, tuple[tuple[str, ...], Callable[[Sequence[str], int], int]]] = {
        "faults": (tuple(BY_NAME), partial(_faults, screens=options.screens)),
        "gates": (tuple(GATES_BY_NAME), _gates),
        "kills": (KILLS, _kills),
    }
    known, report = rehearsals[options.what]
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of: {', '.join(known)}")
    return report(options.names or known, options.jobs)


def _faults(names: Sequence[str], jobs: int, *, screens: bool) -> int:
    print(f"{'fault':<47} {'expected':<26} {'actual':<26} {'failed':>9} {'time':>6}")
    wrong = skipped = passes = compared = differ = 0
    for name, result in _in_parallel(_rehearse, names, jobs):
        fault = BY_NAME[name]
        expected = f"{fault.stopped} {fault.verdict} {int(fault.code)}"
        if result is None:
            skipped += 1
            print(f"{name:<47} {expected:<26} skipped: needs {needs(fault)}")
            continue
        actual = f"{result.stopped} {result.verdict} {result.code}"
        failed, mark = f"{result.failed}/{result.requests}", "✗" if result.problems else "✓"
        print(f"{name:<47} {expected:<26} {actual:<26} {failed:>9} {result.seconds:5.1f}s {mark}")
        for problem in result.problems:
            print(f"    {problem}")
        if screens:
            print("\n".join(f"    │ {row}" for row in result.screen.splitlines()))
        wrong += bool(result.problems)
        passes += fault.code != 0 and result.code == 0
        compared += result.reported is not None
        differ += result.reported not in (None, result.code)
    ran = len(names) - skipped
    print(f"\n{ran} rows, {ran - wrong} as expected, {wrong} wrong, {passes} wrong passes, {skipped} skipped")
    print(f"{compared} exit codes compared with that of a report over the evidence, {differ} differ")
    return 1 if wrong else 0


def _gates(names: Sequence[str], jobs: int) -> int:
    print(f"{'gate taken out':<45} noticed by")
    decorative = 0
    for name, row in _in_parallel(_take_out, names, jobs):
        rows = [candidate for candidate in GATES_BY_NAME[name].rows if not needs(BY_NAME[candidate])]
        print(f"{name:<45} {row or ('✗ no row' if rows else 'skipped: its rows cannot run here')}")
        decorative += bool(rows) and not row
    print(f"\n{len(names)} gates, {decorative} decorative")
    return 1 if decorative else 0


def _kills(names: Sequence[str], jobs: int) -> int:
    print(f"{'killed':<22} {'points':>6} {'requests':>9} {'failed':>7}")
    points = bad = 0
    for name, killed in _in_parallel(_kill, names, jobs):
        if isinstance(killed, str):
            bad += 1
            print(f"{name:<22} ✗ {killed}")
            continue
        points += killed.points
        bad += bool(killed.failed)
        print(f"{name:<22} {killed.points:>6} {killed.requests:>9} {len(killed.failed):>7}")
    print(
        f"\n{points} points, {len(names) - bad} of {len(names)} commands always converged, unnoticed by users"
    )
    return 1 if bad else 0


def _rehearse(name: str) -> Result | None:
    return None if needs(BY_NAME[name]) else _bench().rehearse(BY_NAME[name])


def _take_out(name: str) -> str:
    return noticed(_bench(), GATES_BY_NAME[name])


def _kill(name: str) -> Killed | str:
    command, _, side = name.partition(" ")
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        with project.entered():
            try:
                return kill_everywhere(project, command, side)
            except AssertionError:
                return traceback.format_exc(limit=-2)
            finally:
                project.close()


@cache
def _bench() -> Bench:
    """The bench of this worker, closed when the worker ends."""
    folder = tempfile.mkdtemp()
    bench = Bench(Path(folder))
    util.Finalize(None, shutil.rmtree, (folder,), exitpriority=1)
    util.Finalize(None, bench.close, exitpriority=2)
    return bench


def _in_parallel(work: Callable[[str], T], names: Sequence[str], jobs: int) -> Iterator[tuple[str, T]]:
    # Processes, not threads: a rehearsal changes the working directory, the environment and the engine.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from zip(names, pool.map(work, names), strict=True)


if __name__ == "__main__":
    sys.exit(main())
