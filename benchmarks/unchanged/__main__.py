"""Time of `kickoff deploy` when nothing changed, with and without the earlier passes of the quality gate.

Ships this commit to a project of its own once, then again and again in turns, so that a busy machine slows
both: everything that is committed, the whole gate, the real ``cd.yml``. Changes nothing of yours.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kickoff.release.targets.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / ".kickoff" / "benchmarks" / "unchanged.json"
SIDES = {"gate run": ["--no-reuse"], "gate reused": []}


class Project:
    """A clone of this repository with a state folder and a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._root, self._state, self._port = folder / "project", folder / "state", free_port()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self._root)], check=True)

    def call(self, *words: str) -> dict[str, float]:
        """Run a command; return the seconds it took: on the clock, and of processors."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"KICKOFF_STATE_ROOT": str(self._state), "KICKOFF_PORT": str(self._port)}
        command = [sys.executable, "src/kickoff", *words, "--env", "development"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            command, cwd=self._root, env=kept | own, capture_output=True, encoding="utf-8", check=False
        )
        after, spent = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"kickoff {' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"seconds": round(spent, 1), "processor": round(used, 1)}


def main() -> int:
    """Ship once, take turns, print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        try:
            print(f"first release: {project.call('deploy')['seconds']} s", flush=True)
            for _ in range(rounds):
                for side, words in SIDES.items():
                    found[side].append(project.call("deploy", *words))
                    print(f"{side:<12} {found[side][-1]}", flush=True)
        finally:
            project.call("stop")
    figures = {
        side: {unit: statistics.median(one[unit] for one in turns) for unit in turns[0]}
        for side, turns in found.items()
    }
    ratio = statistics.median(
        new["seconds"] / old["seconds"] for old, new in zip(*found.values(), strict=True)
    )
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    document = {"rounds": rounds, "load": os.getloadavg(), "medians": figures, "ratio": round(ratio, 2)}
    OUTPUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
