"""Processes that ask for one lock at the same moment."""

import os
import subprocess
import sys
from pathlib import Path

SRC = str(Path(__file__).resolve().parents[1] / "src")
RACER = """
import sys
from pathlib import Path
from kickoff.errors import KickoffError
from kickoff.release.stores import open_store
from kickoff.release.stores.lease import Owner

store = open_store(Path(sys.argv[1]))
print("up", flush=True)
sys.stdin.readline()
try:
    print(store.acquire(Owner(sys.argv[2], sys.argv[2], 0, 0.0), ttl=600).attempt)
except KickoffError as error:
    print(f"refused {error.code}")
"""


def raced(root: Path, number: int) -> str:
    """Let processes ask for the lock of a state folder; all but one are refused. Return its attempt."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(root), f"run-{one}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": SRC},
        )
        for one in range(number)
    ]  # fmt: skip
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "up\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        answers = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    [winner] = [answer for answer in answers if not answer.startswith("refused")]
    assert answers.count("refused 75") == number - 1
    return winner
