"""The probe: a steady trickle of requests that tells how a release answers while it takes over."""

import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from kickoff.checks.http import SECONDS, open_client, perform
from kickoff.service import HttpCheck

_REQUEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ProbeCounts:
    """What the probe has seen since it was started.

    Attributes:
        probes: Requests that were answered or failed.
        failures: Those that failed or answered wrongly, a wrong release included.
        wrong_release: Answers that named another release.
        last_error: Text of the last failure.
    """

    probes: int = 0
    failures: int = 0
    wrong_release: int = 0
    last_error: str = ""


class Prober:
    """Send checks in turn, at a steady pace, from a thread of its own over one keep-alive connection.

    A slow answer delays the next request; the pace is not made up for in a burst afterwards.

    Args:
        base_url: Address of the release.
        headers: Sent with every request.
        checks: Sent one after the other, over and over.
        header: Response header that names the release; empty when the service sends none.
        expected_release: The release that must answer; empty for no such demand.
        rate: Requests a second.
        marker: Value of the ``X-Kickoff-Check`` header.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        checks: Sequence[HttpCheck],
        *,
        header: str,
        expected_release: str,
        rate: float,
        marker: str,
    ) -> None:
        if rate <= 0 or not checks:
            raise ValueError("a probe needs a rate above 0 and at least one check")
        self._base_url = base_url
        self._headers = dict(headers)
        self._checks = tuple(checks)
        self._header = header
        self._expected = expected_release
        self._interval = 1 / rate
        self._marker = marker
        self._lock = threading.Lock()
        self._counts = ProbeCounts()
        self._crash: Exception | None = None
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe-{marker}", daemon=True)

    def start(self) -> None:
        """Begin to probe; a probe starts once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop probing and wait for the request under way; without effect when not running."""
        self._finish.set()
        if self._thread.is_alive():
            self._thread.join(SECONDS + 2 * _REQUEST_SECONDS)

    def snapshot(self) -> ProbeCounts:
        """Return the counts so far; subtract two snapshots for what happened between.

        Raises:
            RuntimeError: The probe itself broke, so its counts stand still and mean nothing.
        """
        with self._lock:
            if self._crash is not None:
                raise RuntimeError(f"the probe of {self._base_url} broke") from self._crash
            return self._counts

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._probe()
        except Exception as error:  # carried to the thread that reads the counts
            with self._lock:
                self._crash = error

    def _probe(self) -> None:
        due = time.monotonic()
        with open_client(self._base_url, self._headers, seconds=_REQUEST_SECONDS) as client:
            for check in itertools.cycle(self._checks):
                if self._finish.wait(max(0.0, due - time.monotonic())):
                    return
                result = perform(
                    client,
                    check,
                    header=self._header,
                    expected_release=self._expected,
                    marker=self._marker,
                )
                wrong = bool(self._expected and result.release and result.release != self._expected)
                with self._lock:
                    self._counts = replace(
                        self._counts,
                        probes=self._counts.probes + 1,
                        failures=self._counts.failures + (not result.ok),
                        wrong_release=self._counts.wrong_release + wrong,
                        last_error=self._counts.last_error if result.ok else f"{check.name}: {result.error}",
                    )
                due = max(due + self._interval, time.monotonic())
