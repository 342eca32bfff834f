"""Seconds from `kickoff init` to the first release of each of the examples, and what its team owns then.

Each is shipped twice, from a new repository each time: *cold* with an empty cache and a file that no builder
has seen, *warm* with what the first time left. Everything is as `init` writes it, the load test included;
what `init` cannot know, a worker and its migration, is added.
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.adoption.foreign import Foreign  # noqa: E402
from tests.adoption.test_examples import EXAMPLES, Example, missing, repository  # noqa: E402
from tests.e2e.containers import engine_problem, registry, remove_project  # noqa: E402

OUTPUT = ROOT / ".kickoff" / "benchmarks" / "adoption.json"
TARGETS = {"local": "development", "containers": "staging"}
LIMIT = 1200.0


def ship(example: Example, target: str, folder: Path, cache: Path, unseen: str) -> dict[str, float]:
    """Take an example from nothing to released; return the seconds, and the files and lines its team owns."""
    made, environment = repository(example, folder), TARGETS[target]
    made.variables["XDG_CACHE_HOME"] = str(cache)
    made.write("UNSEEN", unseen)
    made.commit("Write a service")
    init = ["init", "--yes"]
    with ExitStack() as stack:
        if target == "containers":
            name = f"example-{secrets.token_hex(3)}"
            init += ["--docker", f"--name={name}"]
            made.variables["IMAGE_REPOSITORY"] = f"{stack.enter_context(registry())}/{name}"
            stack.callback(remove_project, f"{name}-{environment}")
        else:
            stack.callback(made.kickoff, "stop", "--env", environment)
        began = time.monotonic()
        made.kickoff(*init)
        made.write("kickoff.yml", (made.root / "kickoff.yml").read_text("utf-8") + example.also)
        made.commit("Ship with Kickoff")
        made.kickoff("release", "--env", environment, limit=LIMIT)
        return {"seconds": round(time.monotonic() - began, 1), **_owned(made)}


def _owned(made: Foreign) -> dict[str, int]:
    """Count what `init` wrote and the team may change: `upgrade` writes workflows and record anew."""
    written = made.git("show", "--format=", "--name-only", "HEAD").split()
    owned = [path for path in written if not path.startswith((".github/", ".kickoff-"))]
    return {
        "files": len(owned),
        "lines": sum(len((made.root / path).read_text("utf-8").splitlines()) for path in owned),
    }


def main() -> int:
    """Ship every example to every target that this machine has; print a table."""
    argparse.ArgumentParser(description=__doc__, allow_abbrev=False).parse_args()
    rows = []
    for target in TARGETS:
        for example in EXAMPLES:
            problem = engine_problem() if target == "containers" else ""
            if problem := problem or missing(example, contained=target == "containers"):
                print(f"{target:<11} {example.name:<14} not shipped: {problem}", flush=True)
                continue
            with tempfile.TemporaryDirectory(prefix="kickoff") as name:
                folder, unseen = Path(name), secrets.token_hex(8)
                for state in ("cold", "warm"):
                    (folder / state).mkdir()
                    row = ship(example, target, folder / state, folder / "cache", unseen)
                    rows.append({"target": target, "example": example.name, "state": state, **row})
                    print(
                        f"{target:<11} {example.name:<14} {state} {row['seconds']:>7} s"
                        f"   {row['files']:.0f} files, {row['lines']:.0f} lines",
                        flush=True,
                    )
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
