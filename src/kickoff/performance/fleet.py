"""The load generators as processes: what they are told, what they say and what they measured."""

import base64
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, Any

from kickoff import foreign, masking
from kickoff.performance import samples as sample_files
from kickoff.performance.samples import Sample

SHOWN = 200
"""Characters of an error that are kept."""
_START_TIMEOUT = 60.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run.

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


class Fleet:
    """The running generators: what they say, and what they measured."""

    def __init__(self, folder: Path, duration: float, stop_timeout: float) -> None:
        self._folder = folder
        self._duration = duration
        self._stop_timeout = stop_timeout
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
        deadline = threading.Timer(_START_TIMEOUT + self._duration + 2 * self._stop_timeout, self._kill)
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
        masked = cache(lambda text: masking.cut(text, SHOWN))  # what the load script and the service may say
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
