"""The arguments of a load test: what to run, against which address, with how many load generators."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kickoff.errors import KickoffError
from kickoff.performance import scenarios
from kickoff.performance.scenarios import Catalogue, Scenario

BASELINES = Path("configs/performance/baselines")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a load test."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scenario", metavar="NAME", help="run one scenario (default: smoke)")
    what.add_argument("--suite", nargs="+", metavar="NAME", help="run several scenarios, one after the other")
    what.add_argument("--list", action="store_true", help="show the scenarios and exit")
    _add_sides(parser)
    parser.add_argument("--duration", type=_seconds, help="run this long and no longer, e.g. 10s")
    parser.add_argument(
        "--max-rps", type=float, help="never send more requests a second (default: PERF_MAX_RPS)"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="also write an HTML page, a Markdown summary and a CSV of figures",
    )
    _add_baselines(parser)
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="load generators on this machine (default: 1)"
    )
    parser.add_argument(
        "--worker-command",
        action="append",
        default=[],
        metavar="COMMAND",
        help="one more load generator, started by this command, e.g. on another host through ssh",
    )


def _add_sides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", type=_address, help="address of the service, e.g. http://127.0.0.1:8000")
    parser.add_argument(
        "--against", type=_address, metavar="OLD_URL", help="compare with this one, interleaved"
    )
    parser.add_argument(
        "--header", action="append", default=[], help="header of every request: 'Name: value'"
    )
    parser.add_argument("--release", default="", metavar="ID", help="the release that must answer")
    parser.add_argument("--env", default="", metavar="NAME", help="apply this environment's overrides")
    parser.add_argument("--candidate", action="store_true", help="test the staged candidate against live")
    parser.add_argument("--attempt", default="", metavar="ID", help="the attempt that --candidate belongs to")


def _add_baselines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--baseline",
        nargs="?",
        type=Path,
        const=BASELINES,
        metavar="DIR",
        help=f"judge by the stored baseline of this scenario and runner class (default: {BASELINES})",
    )
    parser.add_argument(
        "--update-baseline",
        nargs="?",
        type=Path,
        const=BASELINES,
        metavar="DIR",
        help="add this run to that baseline, for review",
    )


def verify(arguments: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other.

    Raises:
        KickoffError: They do (exit 2).
    """
    stored = arguments.baseline is not None or arguments.update_baseline is not None
    given = (arguments.scenario, arguments.suite, arguments.duration, arguments.max_rps)
    own = any(one is not None for one in given)
    problems = (
        (arguments.candidate and own,
         "a candidate is judged by PERF_SCENARIO and PERF_MAX_RPS of its environment: leave --scenario, "
         "--suite, --duration and --max-rps out"),
        (arguments.candidate and not (arguments.env and arguments.attempt),
         "--candidate needs --env and --attempt"),
        (arguments.candidate and (arguments.host or arguments.against),
         "--candidate finds its addresses by itself; leave --host and --against out"),
        (arguments.workers < 0 or arguments.workers + len(arguments.worker_command) < 1,
         "--workers is at least 1, or 0 beside --worker-command"),
        (stored and (arguments.candidate or arguments.against),
         "a comparison loads two sides at once: measure baselines without --against"),
        (stored and arguments.duration is not None,
         "a baseline belongs to the whole scenario: leave --duration out"),
    )  # fmt: skip
    for found, problem in problems:
        if found:
            raise KickoffError(problem)


def most_requests(arguments: argparse.Namespace) -> float:
    """Return the upper bound of requests a second that was given here or by ``PERF_MAX_RPS``; 0 for none."""
    given = arguments.max_rps if arguments.max_rps is not None else os.environ.get("PERF_MAX_RPS")
    return float(given or 0)


def headers(given: Sequence[str]) -> dict[str, str]:
    """Return the headers of every request.

    Raises:
        KickoffError: One of them is not ``Name: value``.
    """
    found = {}
    for entry in given:
        name, separator, value = entry.partition(":")
        if not separator or not name.strip():
            raise KickoffError(f"`{name}` is not a header", hint="write --header 'Name: value'")
        found[name.strip()] = value.strip()
    return found


def chosen(arguments: argparse.Namespace, catalogue: Catalogue, default: str) -> tuple[Scenario, ...]:
    """Return the scenarios to run, shortened where ``--duration`` asks for it."""
    names = arguments.suite or [arguments.scenario or default or "smoke"]
    found = tuple(catalogue.get(name) for name in names)
    if arguments.duration is not None:
        return tuple(replace(scenario, duration=arguments.duration) for scenario in found)
    return found


def _seconds(text: str) -> float:
    try:
        value = scenarios.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value < 1:
        raise argparse.ArgumentTypeError("a run lasts at least 1s")
    return value


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address; write http://host:port")
    return text.rstrip("/")
