#!/usr/bin/env python3
"""Wait until a service is ready, then, if asked, probe it for a while and count what fails."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import math
import time
from collections.abc import Sequence

from kickoff import errors
from kickoff import service as services
from kickoff.errors import ExitCode
from kickoff.probing import readiness
from kickoff.probing.prober import Prober
from kickoff.service import Service


def main() -> int:
    """Wait and probe; the exit code is 0, 1 when probes failed, or 4 when it never became ready."""
    arguments = _arguments(sys.argv[1:])
    service = services.load(Path.cwd())
    ready = readiness.wait_ready(
        arguments.url,
        {},
        service.ready_path,
        service.release_header,
        arguments.expect_release,
        arguments.wait,
        lambda: "",
    )
    if not ready.ok:
        print(f"✗ {arguments.url}: {ready.reason}", file=sys.stderr)
        return ExitCode.UNREACHABLE
    print(f"✓ ready after {ready.seconds:.1f} s", file=sys.stderr)
    return _watch(arguments, service) if arguments.watch else ExitCode.PASS


def _watch(arguments: argparse.Namespace, service: Service) -> int:
    prober = Prober(
        arguments.url,
        {},
        service.probe,
        header=service.release_header,
        expected_release=arguments.expect_release,
        rate=arguments.rate,
        marker="probe",
    )
    with prober:
        time.sleep(arguments.watch)
    counts = prober.snapshot()
    mark = "✗" if counts.failures else "✓"
    print(
        f"{mark} {counts.probes} probes, {counts.failures} failed, {counts.wrong_release} by another release",
        file=sys.stderr,
    )
    if counts.last_error:
        print(f"    {counts.last_error}", file=sys.stderr)
    if not counts.probes:
        return ExitCode.INCONCLUSIVE
    return ExitCode.REJECTED if counts.failures else ExitCode.PASS


def _positive(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="address of the service, e.g. http://127.0.0.1:8000")
    parser.add_argument(
        "--expect-release", default="", metavar="ID", help="the release that must answer (default: any)"
    )
    parser.add_argument(
        "--wait", type=_positive, default=30.0, metavar="SECONDS", help="how long to wait (default: 30)"
    )
    parser.add_argument("--watch", type=_positive, metavar="SECONDS", help="then probe for that long")
    parser.add_argument(
        "--rate", type=_positive, default=20.0, metavar="N", help="probes a second (default: 20)"
    )
    arguments = parser.parse_args(argv)
    if not arguments.url.startswith(("http://", "https://")):
        parser.error(f"--url {arguments.url!r} is no address; write http://host:port")
    return arguments


if __name__ == "__main__":
    sys.exit(errors.run(main))
