"""Run a scenario: start the load generator, follow its progress, and collect its samples."""

import base64
import contextlib
import json
import math
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from kickoff import foreign, masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.performance import samples as sample_files
from kickoff.performance.resources import Monitor, Probe, Usage
from kickoff.performance.samples import Sample
from kickoff.performance.scenarios import Scenario

SLOW_MS = 5000.0
MAX_ERRORS = 20
_SHOWN = 200
"""Characters of an error that are kept."""
NEAR_CEILING = 0.8
"""Share of the generators' own ceiling above which a planned rate is not to be trusted."""
MOST_SILENCE = 10.0
"""Seconds without a right answer of live after which a comparison ends early."""

_STOP_TIMEOUT = 10.0
_START_TIMEOUT = 60.0
_CONNECT_TIMEOUT = 5.0
# Below this much processor time a ceiling derived from it would be a guess.
_LEAST_CPU_SECONDS = 0.2
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


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


@dataclass(frozen=True, slots=True)
class Progress:
    """How a run is going.

    Attributes:
        elapsed: Seconds since the first user started.
        duration: Planned length in seconds.
        users: Active users.
        requests: Requests finished so far, both sides together.
        failures: How many of them were wrong.
        rps: Requests a second since the previous report.
        p95_ms: 95th percentile since the previous report; the highest of several generators.
    """

    elapsed: float
    duration: float
    users: int
    requests: int
    failures: int
    rps: float
    p95_ms: float


@dataclass(slots=True)
class LoadResult:
    """What a run brought.

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
        """Why the generator itself was the bottleneck; empty when it was not."""
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
        """Why the plan asks too much of the generators, and what to do; empty when it does not."""
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
    locustfile: Path,
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
        locustfile: The user classes.
        rate: Requests a second for each side at the peak; 0 leaves the pacing to the user classes.
        release_header: The response header that names the release; empty for none.
        environ: Additional environment variables of the load generator.
        workers: One command per load generator that shares the users and the rate; an empty command is a
            process on this machine. A command for another host starts this package's generator there.
        probes: Read what each side of the service uses.
        on_progress: Called about twice a second.

    Raises:
        KickoffError: A generator could not start or died, or there are more generators than users.
        Interrupted: The user pressed Ctrl-C; the measured part is in the exception.
    """
    if not locustfile.is_file():
        raise KickoffError(
            f"the locustfile {locustfile} is missing",
            at=str(locustfile),
            hint="set `performance.locustfile` in configs/service.yml",
        )
    if len(workers) > scenario.users:
        raise KickoffError(
            f"{len(workers)} workers cannot share {scenario.users} users of {scenario.name}",
            hint=f"use --workers {scenario.users} or fewer",
        )
    plan = {
        "arms": [asdict(arm) for arm in arms],
        "environ": dict(environ or {}),
        "release_header": release_header,
        "duration": scenario.duration,
        "mix": dict(scenario.mix),
        "shape": [asdict(step) for step in scenario.shape],
        "stop_timeout": _STOP_TIMEOUT,
        "slow_ms": SLOW_MS,
        "max_errors": MAX_ERRORS,
        "most_silence": MOST_SILENCE,
    }
    with tempfile.TemporaryDirectory(prefix="kickoff-load-") as folder, Monitor(probes or {}) as monitor:
        fleet = _Fleet(Path(folder), scenario.duration)
        counts = _shares(scenario.users, len(workers))
        for number, (command, users) in enumerate(zip(workers, counts, strict=True)):
            share = users / scenario.users
            # Elsewhere the project may stand in another folder.
            file = os.path.relpath(locustfile) if command else str(locustfile.resolve())
            fleet.start(
                command, {**plan, "worker": number, "users": users, "rate": rate * share, "locustfile": file}
            )
        interrupted = fleet.follow(on_progress)
        log = fleet.log()
        measured = fleet.samples()
    if len(fleet.summaries) < len(workers) and not interrupted:
        raise KickoffError(
            "the load generator ended without a result",
            code=ExitCode.INCONCLUSIVE,
            causes=log[-3:],
            hint=f"run it by hand to see more: locust -f {locustfile}",
        )
    result = _merge(scenario, rate, measured, list(fleet.summaries.values()))
    result = replace(
        result,
        partial=result.partial or interrupted,
        log=log,
        generators=len(workers),
        usage=[entry for entry in monitor.usage if result.begun <= entry.time <= result.ended + 1.0],
    )
    if interrupted:
        raise Interrupted(result)
    return result


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
            {**slow, "error": masking.cut(slow["error"], _SHOWN)}
            for entry in summaries
            for slow in entry["slow"]
        ],
        errors=[masking.cut(error, _SHOWN) for entry in summaries for error in entry["errors"]][:MAX_ERRORS],
        log=[],
        generator_seconds=sum(entry["cpu_seconds"] for entry in summaries),
        live_silent=max((entry["live_silent"] for entry in summaries), default=0.0),
    )


class _Fleet:
    """The running generators: what they say, and what they measured."""

    def __init__(self, folder: Path, duration: float) -> None:
        self._folder = folder
        self._duration = duration
        self._processes: list[subprocess.Popen[str]] = []
        self._listeners: list[threading.Thread] = []
        self._said: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._ended: set[int] = set()
        self.summaries: dict[int, dict[str, Any]] = {}

    def start(self, command: Sequence[str], plan: Mapping[str, Any]) -> None:
        """Start one generator; an empty command is a process of this machine."""
        number = len(self._processes)
        python_path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))
        with (self._folder / f"log.{number}").open("wb") as log:
            process = subprocess.Popen(
                [*command] or [sys.executable, "-m", "kickoff.performance.generator"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                errors="replace",
                env={**foreign.environment(), "PYTHONPATH": python_path},
                # Ctrl-C reaches this process alone; it then asks the generators to finish what is in flight.
                start_new_session=True,
            )
        self._processes.append(process)
        try:
            # Through the pipe, not through a file or the command line: headers may hold a token.
            _pipe(process.stdin).write(json.dumps(plan) + "\n")
            _pipe(process.stdin).flush()
        except BrokenPipeError:
            pass  # it died at once; the missing summary says so, with its log
        listener = threading.Thread(target=self._listen, args=(number, process), daemon=True)
        listener.start()
        self._listeners.append(listener)

    def follow(self, on_progress: Callable[[Progress], None]) -> bool:
        """Wait until every generator has ended; return whether Ctrl-C ended them early."""
        # A generator that hangs must not hang the pipeline.
        deadline = threading.Timer(_START_TIMEOUT + self._duration + 2 * _STOP_TIMEOUT, self._kill)
        deadline.start()
        interrupted = False
        try:
            try:
                self._collect(on_progress)
            except KeyboardInterrupt:
                interrupted = True
                self._close_inputs()
                self._collect(lambda _: None)
        finally:
            deadline.cancel()
            self._close_inputs()
            self._kill()
            for listener in self._listeners:
                listener.join()  # it ends with its process
        return interrupted

    def samples(self) -> list[Sample]:
        """Return what all generators measured, in order of time."""
        masked = cache(lambda text: masking.cut(text, _SHOWN))  # what the load script and the service may say
        found = [
            replace(
                sample,
                endpoint=masked(sample.endpoint),
                error=masked(sample.error),
                release=masked(sample.release),
            )
            for path in sorted(self._folder.glob("samples.*"))
            for sample in sample_files.read(path)
        ]
        return found if len(self._processes) == 1 else sorted(found, key=lambda sample: sample.time)

    def log(self) -> list[str]:
        """Return the last lines that the generators logged."""
        texts = [path.read_text("utf-8", "replace") for path in sorted(self._folder.glob("log.*"))]
        return [line for text in texts for line in text.splitlines()[-20:]]

    def _listen(self, number: int, process: subprocess.Popen[str]) -> None:
        with _pipe(process.stdout) as said, (self._folder / f"samples.{number}").open("wb") as samples:
            for line in said:
                message = json.loads(line)
                if message["kind"] == "samples":
                    samples.write(base64.b64decode(message["data"]))
                else:
                    self._said.put((number, message))
        process.wait()
        self._said.put((number, None))

    def _collect(self, on_progress: Callable[[Progress], None]) -> None:
        latest: dict[int, dict[str, Any]] = {}
        last_requests, last_elapsed = 0, 0.0
        while self._open > 0:
            number, message = self._said.get()
            if message is None:
                self._ended.add(number)
            elif message["kind"] == "summary":
                self.summaries[number] = message
            else:
                latest[number] = message
                if number != max(latest):
                    continue  # one report for all of them
                requests = sum(entry["requests"] for entry in latest.values())
                step = max(message["elapsed"] - last_elapsed, 0.001)
                rps = max(requests - last_requests, 0) / step
                last_requests, last_elapsed = requests, message["elapsed"]
                on_progress(
                    Progress(
                        elapsed=message["elapsed"],
                        duration=self._duration,
                        users=sum(entry["users"] for entry in latest.values()),
                        requests=requests,
                        failures=sum(entry["failures"] for entry in latest.values()),
                        rps=rps,
                        p95_ms=max(entry["p95_ms"] for entry in latest.values()),
                    )
                )

    @property
    def _open(self) -> int:
        return len(self._processes) - len(self._ended)

    def _close_inputs(self) -> None:
        for process in self._processes:
            with contextlib.suppress(BrokenPipeError):  # it has ended by itself
                _pipe(process.stdin).close()

    def _kill(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("the generator was started without pipes")
    return stream
