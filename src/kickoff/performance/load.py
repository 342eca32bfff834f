"""Run a scenario: start the load generator, follow its progress, and collect its samples."""

import math
import os
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.performance.fleet import SHOWN, Fleet, Progress
from kickoff.performance.resources import Monitor, Probe, Usage
from kickoff.performance.samples import Sample
from kickoff.performance.scenarios import Scenario

SLOW_MS = 5000.0
MAX_ERRORS = 20
NEAR_CEILING = 0.8
"""Share of the generators' own ceiling above which a planned rate is not to be trusted."""
MOST_SILENCE = 10.0
"""Seconds without a right answer of live after which a comparison ends early."""
_STOP_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 5.0
# Below this much processor time a ceiling derived from it would be a guess.
_LEAST_CPU_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a run.

    Attributes:
        name: ``candidate`` or ``live``.
        url: Base address.
        headers: Headers of every request (never written to a file).
        release: The release that must answer; empty when that is not checked.
    """

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    release: str = ""


@dataclass(slots=True)
class LoadResult:
    """The results of a run.

    Attributes:
        scenario: The scenario that ran (with the duration that was planned).
        rate: Requests a second that each side was to get at the peak; 0 for think-time pacing.
        begun: First moment of load, seconds since the epoch.
        ended: Last moment of load.
        samples: One per request, in order of completion.
        generator_cpu: Share of one processor that the busiest generator used.
        generator_lag_ms: 95th percentile of how late a generator's loop woke up; of the latest one.
        partial: Whether the run was interrupted.
        slow: The context of requests slower than :data:`SLOW_MS`.
        errors: Exceptions raised by the locustfile's own code.
        log: The generators' log, last lines.
        generators: How many generators sent the load.
        generator_seconds: Processor seconds that all of them used together.
        usage: What the service used meanwhile, where it could be read.
        live_silent: Seconds at the end in which live was asked and gave no right answer.
    """

    scenario: Scenario
    rate: float
    begun: float
    ended: float
    samples: list[Sample]
    generator_cpu: float
    generator_lag_ms: float
    partial: bool
    slow: list[dict[str, Any]]
    errors: list[str]
    log: list[str]
    generators: int = 1
    generator_seconds: float = 0.0
    usage: list[Usage] = field(default_factory=list)
    live_silent: float = 0.0

    @property
    def seconds(self) -> float:
        """Length of the load."""
        return max(self.ended - self.begun, 0.0)

    @property
    def saturated(self) -> str:
        """Reason why the generator itself was the bottleneck; empty when it was not."""
        if self.generator_cpu >= 0.9:
            return f"the load generator used {self.generator_cpu:.0%} of its processor"
        if self.generator_lag_ms >= 100:
            return f"the load generator woke {self.generator_lag_ms:.0f} ms late (p95)"
        return ""

    @property
    def ceiling(self) -> float:
        """Requests a second that one generator could send with a whole core; 0 when too little was sent."""
        enough = self.generator_seconds >= _LEAST_CPU_SECONDS
        return len(self.samples) / self.generator_seconds if enough else 0.0

    @property
    def near_ceiling(self) -> str:
        """Reason why the plan asks too much of the generators, and what to do; empty when it does not."""
        wanted = self.rate * (2 if any(sample.pair for sample in self.samples) else 1)
        able = self.ceiling * self.generators
        if not able or wanted <= NEAR_CEILING * able:
            return ""
        enough = math.ceil(wanted / (NEAR_CEILING * self.ceiling))
        return (
            f"{wanted:.0f} requests/s are planned, and {self.generators} load generator"
            f"{'' if self.generators == 1 else 's'} can send about {able:.0f}; use --workers {enough}"
        )


class Interrupted(Exception):
    """The run was interrupted; ``result`` holds what was measured until then."""

    def __init__(self, result: LoadResult) -> None:
        super().__init__("interrupted")
        self.result = result


def run(
    scenario: Scenario,
    arms: Sequence[Arm],
    *,
    locustfile: Path | None,
    rate: float,
    release_header: str = "X-Release",
    environ: Mapping[str, str] | None = None,
    workers: Sequence[Sequence[str]] = ((),),
    probes: Mapping[str, Probe] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> LoadResult:
    """Send the scenario's load and return what was measured.

    Args:
        scenario: What to send.
        arms: One side, or two for an interleaved comparison (the candidate first).
        locustfile: The user classes; ``None`` for those of the package.
        rate: Requests a second for each side at the peak; 0 leaves the pacing to the user classes.
        release_header: The response header that names the release; empty for none.
        environ: Additional environment variables of the load generator.
        workers: One command per load generator, which share users and rate; an empty one is a process here.
        probes: Read what each side of the service uses.
        on_progress: Called about twice a second.

    Raises:
        KickoffError: A generator could not start or died, or there are more generators than users.
        Interrupted: The user pressed Ctrl-C; the measured part is in the exception.
    """
    _require(locustfile, scenario, len(workers))
    plan = _plan(scenario, arms, release_header, environ or {})
    with tempfile.TemporaryDirectory(prefix="kickoff-load-") as folder, Monitor(probes or {}) as monitor:
        fleet = Fleet(Path(folder), scenario.duration, _STOP_TIMEOUT)
        counts = _shares(scenario.users, len(workers))
        for number, (command, users) in enumerate(zip(workers, counts, strict=True)):
            # Elsewhere the project may stand in another folder.
            file = "" if locustfile is None else _shown(locustfile, elsewhere=bool(command))
            pace = rate * users / scenario.users
            own = {"worker": number, "users": users, "rate": pace, "locustfile": file}
            fleet.start(command, plan | own)
        interrupted = fleet.follow(on_progress)
        log, measured = fleet.log(), fleet.samples()
    if len(fleet.summaries) < len(workers) and not interrupted:
        raise KickoffError(
            "the load generator ended without a result",
            code=ExitCode.INCONCLUSIVE,
            causes=log[-3:],
            hint=f"run it by hand to see more: locust -f {locustfile}" if locustfile else "",
        )
    merged = _merge(scenario, rate, measured, list(fleet.summaries.values()))
    result = replace(
        merged,
        partial=merged.partial or interrupted,
        log=log,
        generators=len(workers),
        usage=[entry for entry in monitor.usage if merged.begun <= entry.time <= merged.ended + 1.0],
    )
    if interrupted:
        raise Interrupted(result)
    return result


def _shown(locustfile: Path, *, elsewhere: bool) -> str:
    return os.path.relpath(locustfile) if elsewhere else str(locustfile.resolve())


def _require(locustfile: Path | None, scenario: Scenario, workers: int) -> None:
    if locustfile is not None and not locustfile.is_file():
        raise KickoffError(
            f"the locustfile {locustfile} is missing",
            at=str(locustfile),
            hint="set `performance.locustfile` in kickoff.yml",
        )
    if workers > scenario.users:
        raise KickoffError(
            f"{workers} workers are more than the users of {scenario.name}: {scenario.users}",
            hint=f"use --workers {scenario.users} or fewer",
        )


def _plan(
    scenario: Scenario, arms: Sequence[Arm], release_header: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "arms": [asdict(arm) for arm in arms],
        "environ": dict(environ),
        "release_header": release_header,
        "duration": scenario.duration,
        "mix": dict(scenario.mix),
        "shape": [asdict(step) for step in scenario.shape],
        "stop_timeout": _STOP_TIMEOUT,
        "slow_ms": SLOW_MS,
        "max_errors": MAX_ERRORS,
        "most_silence": MOST_SILENCE,
    }


def require(url: str) -> None:
    """Make sure that somebody listens, so that a scenario of minutes is not sent to nobody.

    Raises:
        KickoffError: Nobody does (exit 4).
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_TIMEOUT).close()
    except OSError as error:
        raise KickoffError(
            f"nobody answers at {url}",
            code=ExitCode.UNREACHABLE,
            causes=[str(error)],
            hint="start the service, or give its address with --host",
        ) from None


def _shares(users: int, workers: int) -> list[int]:
    return [users // workers + (number < users % workers) for number in range(workers)]


def _merge(
    scenario: Scenario, rate: float, samples: list[Sample], summaries: Sequence[Mapping[str, Any]]
) -> LoadResult:
    times = [sample.time for sample in samples] or [0.0]
    return LoadResult(
        scenario=scenario,
        rate=rate,
        begun=min((entry["begun"] for entry in summaries), default=min(times)),
        ended=max((entry["ended"] for entry in summaries), default=max(times)),
        samples=samples,
        generator_cpu=max(
            (entry["cpu_seconds"] / max(entry["ended"] - entry["begun"], 0.001) for entry in summaries),
            default=0.0,
        ),
        generator_lag_ms=max((entry["lag_p95_ms"] for entry in summaries), default=0.0),
        partial=any(entry["interrupted"] for entry in summaries),
        slow=[
            {**slow, "error": masking.cut(slow["error"], SHOWN)}
            for entry in summaries
            for slow in entry["slow"]
        ],
        errors=[masking.cut(error, SHOWN) for entry in summaries for error in entry["errors"]][:MAX_ERRORS],
        log=[],
        generator_seconds=sum(entry["cpu_seconds"] for entry in summaries),
        live_silent=max((entry["live_silent"] for entry in summaries), default=0.0),
    )
