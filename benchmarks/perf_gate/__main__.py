"""``python -m benchmarks.perf_gate record | resample | live | report | ceiling``; see README.md."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.perf_gate import ceiling, record, report  # noqa: E402

DEFAULT = Path(".kickoff/perf-gate")


def main() -> int:
    """Parse the arguments and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.perf_gate", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT, help="folder of the traces and results")
    commands = parser.add_subparsers(dest="command", required=True)
    names = [entry.name for entry in record.CHANGES]

    recording = commands.add_parser("record", help="record traces of the real service beside a neighbour")
    recording.add_argument("--change", choices=names, default="equal")
    recording.add_argument("--traces", type=int, default=1, help="how many, each with fresh processes")
    recording.add_argument("--seconds", type=float, default=60.0, help="length of each")

    living = commands.add_parser("live", help="run whole comparisons, as the pipeline does")
    living.add_argument("--change", choices=names, default="equal")
    living.add_argument("--runs", type=int, default=1)
    living.add_argument("--env", default="", help="settings of this environment instead of the defaults")

    resampling = commands.add_parser("resample", help="compare what was recorded, over and over")
    resampling.add_argument("--change", choices=names, default="equal")
    resampling.add_argument("--comparisons", type=int, default=2000, help="how many there shall be in all")
    resampling.add_argument("--jobs", type=int, default=2, help="processes")
    resampling.add_argument(
        "--at-most", type=float, default=float("inf"), help="seconds; call again to go on"
    )

    commands.add_parser("report", help="print the tables")

    most = commands.add_parser("ceiling", help="measure how much the load generator itself can send")
    most.add_argument("--seconds", type=float, default=10.0)
    most.add_argument("--workers", type=int, default=1)

    options = parser.parse_args()
    if options.command == "record":
        entry = record.change(options.change)
        for _ in range(options.traces):
            number = len(list(options.out.glob(f"{record.file_name(entry)}.*.csv.gz")))
            path = options.out / f"{record.file_name(entry)}.{number}.csv.gz"
            print(f"{path}: {record.trace(entry, options.seconds, path)} samples", flush=True)
    elif options.command == "live":
        for _ in range(options.runs):
            found = record.gate(record.change(options.change), options.env, options.out / "live.jsonl")
            print(f"{found['change']}: {found['verdict']} after {found['seconds']} s", flush=True)
    elif options.command == "resample":
        wanted = (options.out, options.change, options.comparisons, options.jobs, options.at_most)
        print(f"{options.change}: {report.extend(*wanted)} comparisons", flush=True)
    elif options.command == "ceiling":
        print(ceiling.measure(options.seconds, options.workers))
    else:
        print(report.tables(options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
