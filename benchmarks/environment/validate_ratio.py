#!/usr/bin/env python3
"""How long `validate --all` takes, as a ratio to importing yaml and jsonschema; exit code 1 from 2 upwards.

The two commands are run in turns on the same machine, so that what slows one slows the other; the ratio is
that of the medians, and its spread comes from the ratios of the single turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 2.0
BASELINE = [sys.executable, "-c", "import yaml, jsonschema"]
VALIDATE = [sys.executable, str(ROOT / "src" / "kickoff"), "env", "validate", "--all"]


def seconds(command: list[str]) -> float:
    """Return the wall-clock time of a command that has to succeed."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=_environ())
    return time.perf_counter() - began


def _environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "KICKOFF_"))}


def main() -> int:
    """Measure, print, and return 1 when the ratio is not below the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30, help="runs of each command (default: 30)")
    turns = parser.parse_args().turns
    if turns < 5:
        parser.error("fewer than 5 turns say nothing")
    for command in (BASELINE, VALIDATE):
        seconds(command)  # writes the bytecode and warms the file cache
    pairs = [(seconds(BASELINE), seconds(VALIDATE)) for _ in range(turns)]
    baseline, validate = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = validate / baseline
    single = sorted(b / a for a, b in pairs)
    print(f"import yaml, jsonschema   median {baseline * 1000:7.1f} ms")
    print(f"validate --all            median {validate * 1000:7.1f} ms")
    print(
        f"ratio                     {ratio:.2f}, limit {LIMIT:.2f}, {turns} turns, "
        f"single turns {single[turns // 10]:.2f} to {single[-1 - turns // 10]:.2f} (middle 80%)"
    )
    return 0 if ratio < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
