"""Run a scenario: start the load generator, follow its progress, and collect its samples."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.performance import samples as sample_files
from kickoff.performance.samples import Sample
from kickoff.performance.scenarios import Scenario

SLOW_MS = 5000.0
MAX_ERRORS = 20
_STOP_TIMEOUT = 10.0
_START_TIMEOUT = 60.0
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
        p95_ms: 95th percentile since the previous report.
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
        generator_cpu: Share of one processor that the generator used.
        generator_lag_ms: 95th percentile of how late the generator's loop woke up.
        partial: Whether the run was interrupted.
        slow: The context of requests slower than :data:`SLOW_MS`.
        errors: Exceptions raised by the locustfile's own code.
        log: The generator's log, last lines.
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
        on_progress: Called about twice a second.

    Raises:
        KickoffError: The generator could not start or died.
        Interrupted: The user pressed Ctrl-C; the measured part is in the exception.
    """
    if not locustfile.is_file():
        raise KickoffError(
            f"the locustfile {locustfile} is missing",
            at=str(locustfile),
            hint="set `performance.locustfile` in configs/service.yml",
        )
    with tempfile.TemporaryDirectory(prefix="kickoff-load-") as folder:
        samples = Path(folder) / "samples.csv.gz"
        plan = {
            "locustfile": str(locustfile.resolve()),
            "arms": [asdict(arm) for arm in arms],
            "release_header": release_header,
            "users": scenario.users,
            "duration": scenario.duration,
            "rate": rate,
            "mix": dict(scenario.mix),
            "shape": [asdict(step) for step in scenario.shape],
            "samples": str(samples),
            "stop_timeout": _STOP_TIMEOUT,
            "slow_ms": SLOW_MS,
            "max_errors": MAX_ERRORS,
        }
        log_path = Path(folder) / "log"
        with log_path.open("wb") as log:
            summary, interrupted = _drive(plan, log, environ or {}, scenario.duration, on_progress)
        log_lines = log_path.read_text("utf-8", "replace").splitlines()[-20:]
        measured = sample_files.read(samples) if samples.exists() else []
    if summary is None and not interrupted:
        raise KickoffError(
            "the load generator ended without a result",
            code=ExitCode.INCONCLUSIVE,
            causes=log_lines[-3:],
            hint=f"run it by hand to see more: locust -f {locustfile}",
        )
    found = summary or {}
    times = [sample.time for sample in measured] or [0.0]
    result = LoadResult(
        scenario=scenario,
        rate=rate,
        begun=found.get("begun", min(times)),
        ended=found.get("ended", max(times)),
        samples=measured,
        generator_cpu=found.get("cpu", 0.0),
        generator_lag_ms=found.get("lag_p95_ms", 0.0),
        partial=interrupted or bool(found.get("interrupted")),
        slow=found.get("slow", []),
        errors=found.get("errors", []),
        log=log_lines,
    )
    if interrupted:
        raise Interrupted(result)
    return result


def _drive(
    plan: Mapping[str, Any],
    log: IO[bytes],
    environ: Mapping[str, str],
    duration: float,
    on_progress: Callable[[Progress], None],
) -> tuple[dict[str, Any] | None, bool]:
    python_path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "kickoff.performance.generator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **environ, "PYTHONPATH": python_path},
        # Ctrl-C reaches this process alone; it then asks the generator to finish what is in flight.
        start_new_session=True,
    )
    # A generator that hangs must not hang the pipeline.
    deadline = threading.Timer(_START_TIMEOUT + duration + 2 * _STOP_TIMEOUT, process.kill)
    deadline.start()
    summary: dict[str, Any] | None = None
    interrupted = False
    try:
        try:
            _send(process, plan)
            summary = _follow(process, duration, on_progress)
        except KeyboardInterrupt:
            interrupted = True
            process.terminate()
            summary = _follow(process, duration, lambda _: None)
        process.wait()
    finally:
        deadline.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None and not stream.closed:
                stream.close()
    return summary, interrupted


def _send(process: subprocess.Popen[str], plan: Mapping[str, Any]) -> None:
    stdin = process.stdin
    if stdin is None:
        raise RuntimeError("the generator was started without a pipe")
    try:
        # Through the pipe, not through a file or the command line: headers may hold a token.
        stdin.write(json.dumps(plan) + "\n")
        stdin.close()
    except BrokenPipeError:
        process.wait()  # it died at once; the missing summary says so, with its log


def _follow(
    process: subprocess.Popen[str], duration: float, on_progress: Callable[[Progress], None]
) -> dict[str, Any] | None:
    summary: dict[str, Any] | None = None
    last_requests, last_elapsed = 0, 0.0
    for line in process.stdout or ():
        message = json.loads(line)
        if message["kind"] == "summary":
            summary = message
            continue
        step = max(message["elapsed"] - last_elapsed, 0.001)
        rps = (message["requests"] - last_requests) / step
        last_requests, last_elapsed = message["requests"], message["elapsed"]
        on_progress(
            Progress(
                elapsed=message["elapsed"],
                duration=duration,
                users=message["users"],
                requests=message["requests"],
                failures=message["failures"],
                rps=rps,
                p95_ms=message["p95_ms"],
            )
        )
    return summary
