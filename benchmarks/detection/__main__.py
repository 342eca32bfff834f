"""How many users meet a bad canary: a release that fails a few requests, and only those of the public.

``.venv/bin/python benchmarks/detection`` ships the fixture service on the local target of a temporary folder:
a healthy release, then one that fails 5 % of the public requests and none of the probe's, with 5 % of the
traffic for at most 180 s, at 200 requests a second. Exit code 1 when it was not taken back, or when more
users met a failure than ``--most``.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.traffic import recorded, traffic  # noqa: E402
from kickoff.errors import ExitCode  # noqa: E402
from tests.e2e.project import Project  # noqa: E402


def main() -> int:
    """Run every repetition, print a line for each, write the JSON."""
    arguments = _arguments()
    results = []
    for number in range(arguments.repetitions):
        with tempfile.TemporaryDirectory(prefix="kickoff-detection-") as folder:
            results.append(_run(Path(folder), arguments))
        print(f"{number + 1}: {_sentence(results[-1])}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\n{arguments.output}")
    good = all(
        each["exit_code"] == ExitCode.ROLLED_BACK and each["failed"] <= arguments.most for each in results
    )
    return 0 if good else 1


def _run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    project = Project(folder)
    os.environ |= project.environ
    hold = f"{arguments.hold:g}s"
    project.set(RELEASE_STRATEGY="canary", CANARY_STEPS="5,100", CANARY_HOLD=hold, BAKE_TIME="2s")
    log = folder / "requests.jsonl"
    try:
        good = project.ship()
        with traffic(project.address, arguments.rate, log):
            began = time.time()
            bad = project.ship(error_share=arguments.share, only_users=True)
            seconds = time.time() - began
    finally:
        project.close()
    requests = recorded(log)
    met = [request for request in requests if request.release == bad.release]
    first = min((request.began for request in met), default=began)
    last = max((request.ended for request in met), default=began)
    return {
        "exit_code": bad.facts.get("exit_code", 0),
        "why": bad.summary,
        "requests": len(requests),
        "met_candidate": len(met),
        "failed": sum(request.failed for request in requests),
        "seconds_exposed": round(last - first, 1),
        "seconds": round(seconds, 1),
        "serving": bad.facts["serving"]["release"] == good.release,
    }


def _sentence(result: dict[str, Any]) -> str:
    return (
        f"taken back after {result['seconds_exposed']:.1f} s of public traffic; {result['failed']} failed "
        f"of {result['met_candidate']} requests that met it ({result['requests']:,} in all); {result['why']}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/detection", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.05, help="share of failing requests (default: 0.05)")
    parser.add_argument("--rate", type=float, default=200, help="requests a second (default: 200)")
    parser.add_argument("--hold", type=float, default=180, help="seconds of the canary step (default: 180)")
    parser.add_argument(
        "--most", type=int, default=36, help="failed requests that are tolerated (default: 36)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(".kickoff/benchmarks/detection.json"),
        help="where the JSON goes (default: %(default)s)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
