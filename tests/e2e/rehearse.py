"""Rehearse failure on the fixture service: ``python -m tests.e2e.rehearse [--gates] [--jobs N] [ROW ...]``.

Prints the fault table with the expected and the actual end of every row; with ``--gates`` it takes out each
of the engine's gates instead and says which row noticed. Exit code 1 when a row ends otherwise than it says,
or when a gate's loss goes unnoticed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.e2e.faults import BY_NAME
from tests.e2e.gates import GATES
from tests.e2e.rehearsal import Bench, Result, needs, noticed

GATES_BY_NAME = {gate.name: gate for gate in GATES}


def main() -> int:
    """Run the rows or the gates named by the arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.rehearse", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ROW", help="rows, or gates with --gates; all by default")
    parser.add_argument("--gates", action="store_true", help="take out each gate and see which row notices")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at once (default 2)")
    options = parser.parse_args()
    known: Iterable[str] = GATES_BY_NAME if options.gates else BY_NAME
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of: {', '.join(known)}")
    names = options.names or list(known)
    return (_gates if options.gates else _rows)(names, options.jobs)


def _rows(names: list[str], jobs: int) -> int:
    print(f"{'fault':<47} {'expected':<26} {'actual':<26} {'failed':>9} {'time':>6}")
    wrong = skipped = passes = 0
    for name, result in _in_parallel(_rehearse, names, jobs):
        fault = BY_NAME[name]
        expected = f"{fault.stopped} {fault.verdict} {int(fault.code)}"
        if isinstance(result, str):
            skipped += 1
            print(f"{name:<47} {expected:<26} skipped: needs {result}")
            continue
        actual = f"{result.stopped} {result.verdict} {result.code}"
        failed = f"{result.failed}/{result.requests}"
        mark = "✗" if result.problems else "✓"
        print(f"{name:<47} {expected:<26} {actual:<26} {failed:>9} {result.seconds:5.1f}s {mark}")
        for problem in result.problems:
            print(f"    {problem}")
        wrong += bool(result.problems)
        passes += fault.code != 0 and result.code == 0
    ran = len(names) - skipped
    print(
        f"\n{ran} rows, {ran - wrong} as expected, {wrong} wrong ({passes} wrong passes), {skipped} skipped"
    )
    return 1 if wrong else 0


def _gates(names: list[str], jobs: int) -> int:
    print(f"{'gate taken out':<45} noticed by")
    decorative = 0
    for name, row in _in_parallel(_take_out, names, jobs):
        gate = GATES_BY_NAME[name]
        if all(needs(BY_NAME[candidate]) for candidate in gate.rows):
            print(f"{name:<45} skipped: needs {needs(BY_NAME[gate.rows[0]])}")
            continue
        print(f"{name:<45} {row or '✗ NO ROW'}")
        decorative += not row
    print(f"\n{len(names)} gates, {decorative} decorative")
    return 1 if decorative else 0


def _rehearse(name: str) -> Result | str:
    fault = BY_NAME[name]
    if needs(fault):
        return needs(fault)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            return bench.rehearse(fault)
        finally:
            bench.close()


def _take_out(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            return noticed(bench, GATES_BY_NAME[name])
        finally:
            bench.close()


def _in_parallel(work: Callable[[str], Any], names: list[str], jobs: int) -> Iterator[tuple[str, Any]]:
    # One process for each: a rehearsal changes the working directory, the environment and the engine.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        yield from zip(names, pool.map(work, names), strict=True)


if __name__ == "__main__":
    sys.exit(main())
