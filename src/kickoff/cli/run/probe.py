"""Wait until a service is ready, then, if asked, probe it for a while and count what fails."""

import argparse
import sys
import time
from pathlib import Path

from kickoff import service as services
from kickoff.cli import output
from kickoff.errors import ExitCode, KickoffError
from kickoff.probing import readiness
from kickoff.probing.prober import Prober
from kickoff.service import Service


def run(arguments: argparse.Namespace) -> int:
    """Wait and probe; the exit code is 0, 1 when probes failed, or 4 when it never became ready."""
    if not arguments.url.startswith(("http://", "https://")):
        raise KickoffError(f"--url {arguments.url!r} is not an address", hint="write http://host:port")
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
        sys.stderr.write(f"✗ {arguments.url}: {ready.reason}\n")
        output.result({"ready": False, "seconds": ready.seconds, "probes": 0, "failures": 0})
        return ExitCode.UNREACHABLE
    output.say(f"✓ ready after {ready.seconds:.1f} s")
    if arguments.watch:
        return _watch(arguments, service, ready.seconds)
    output.result({"ready": True, "seconds": ready.seconds, "probes": 0, "failures": 0})
    return ExitCode.PASS


def _watch(arguments: argparse.Namespace, service: Service, seconds: float) -> int:
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
    tell = sys.stderr.write
    wrong = counts.wrong_release
    tell(f"{mark} {counts.probes} probes, {counts.failures} failed, {wrong} by another release\n")
    if counts.last_error:
        tell(f"    {counts.last_error}\n")
    output.result({"ready": True, "seconds": seconds, "probes": counts.probes, "failures": counts.failures})
    if not counts.probes:
        return ExitCode.INCONCLUSIVE
    return ExitCode.REJECTED if counts.failures else ExitCode.PASS
