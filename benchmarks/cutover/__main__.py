"""Release again and again under load: failed requests, how fast traffic moves, how fast it comes back.

``.venv/bin/python benchmarks/cutover --releases 100`` ships the fixture service of the end-to-end tests on
the local target of a temporary folder. Exit code 1 when a request failed.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.cutover.figures import Cutover, measure, table  # noqa: E402
from benchmarks.traffic import recorded, traffic  # noqa: E402
from kickoff.release.engine import Engine  # noqa: E402
from kickoff.release.session import open_session  # noqa: E402
from tests.e2e.project import Project  # noqa: E402


def main() -> int:
    """Run the benchmark, print the table, write the JSON."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="kickoff-cutover-") as folder:
        project = Project(Path(folder))
        os.environ |= project.environ
        project.set(BAKE_TIME=arguments.bake, PROBE_RATE="20", KEEP_RELEASES="3")
        try:
            document = _run(project, arguments, Path(folder) / "requests.jsonl")
        finally:
            project.close()
    print(table(document))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"\n{arguments.output}")
    for failure in document["failures"]:
        print(f"  failed: {failure}", file=sys.stderr)
    return 1 if document["failed"] else 0


def _run(project: Project, arguments: argparse.Namespace, log: Path) -> dict[str, Any]:
    live, _ = _ship(project, 0)
    shipped, rollbacks = [], []
    with traffic(project.address, arguments.rate, log):
        for number in range(1, arguments.releases + 1):
            new, decided = _ship(project, number)
            shipped.append((live, new, decided))
            live = new
            if number % 10 == 0 or number == arguments.releases:
                print(f"  {number} of {arguments.releases} releases", file=sys.stderr)
        ends = [*(decided for _, _, decided in shipped[1:]), time.time()]
        for _ in range(arguments.rollbacks):
            began = time.monotonic()
            done = project.command("rollback")
            rollbacks.append(time.monotonic() - began)
            if done.returncode != 0:
                raise SystemExit(f"a rollback failed: {done.stderr}")
        deaths = [_kill(project) for _ in range(arguments.deaths)]
    requests = recorded(log)
    cutovers = [Cutover(*each, until) for each, until in zip(shipped, ends, strict=True)]
    return measure(requests, cutovers, rollbacks, deaths) | {"rate": arguments.rate, "bake": arguments.bake}


def _ship(project: Project, number: int) -> tuple[str, float]:
    """Release a new commit; return its id and when the engine decided to move the traffic."""
    decided: list[float] = []

    def observe(record: dict[str, Any]) -> None:
        if record["event"] == "intent" and record["step"] == "shift":
            decided.append(time.time())

    commit = project.commit(delay_ms=number % 3)
    artifacts = project.root.parent / "artifacts"
    digest = project.build(commit)
    engine = Engine(open_session("development", project.root, observe), project.root)
    staged = engine.stage(digest, artifacts, commit, wait=0, force=False)
    evidence = engine.promote(staged.attempt) if staged.verdict == "pass" else staged
    if evidence is None or evidence.verdict != "pass":
        raise SystemExit(f"a healthy release was refused: {evidence.summary if evidence else 'it was live'}")
    return evidence.release, decided[0]


def _kill(project: Project) -> tuple[float, float]:
    """Kill the live release's process, with no pipeline about; return when, and until when it was watched."""
    session = project.session()
    live = session.store.state().live
    if live is None:
        raise SystemExit("nothing is live to be killed")
    process = session.target.state(live)
    killed = time.time()
    os.kill(process.pid, signal.SIGKILL)
    # The supervisor starts it again by itself, and it has to pass its health check before it is used again.
    time.sleep(8)
    until = time.time()
    time.sleep(2)  # so that no slow request of this death is still under way at the next one
    return killed, until


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/cutover", description=__doc__)
    parser.add_argument("--releases", type=int, default=20, help="consecutive releases (default: 20)")
    parser.add_argument("--rollbacks", type=int, default=10, help="rollbacks afterwards (default: 10)")
    parser.add_argument("--deaths", type=int, default=3, help="kills of the live release (default: 3)")
    parser.add_argument("--rate", type=float, default=200, help="requests a second (default: 200)")
    parser.add_argument("--bake", default="2s", help="BAKE_TIME of each release (default: 2s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(".kickoff/benchmarks/cutover.json"),
        help="where the JSON goes (default: %(default)s)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
