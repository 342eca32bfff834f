"""The probe: a steady trickle of requests that tells how a release answers while it takes over."""

import itertools
import math
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kickoff.probing.http import SECONDS, CheckResult, open_client, perform
from kickoff.service import HttpCheck

_REQUEST_SECONDS = 5.0
_SAFE = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class ProbeCounts:
    """The probe's samples since it was started.

    Attributes:
        probes: Requests that were answered or failed.
        failures: Those that failed or answered wrongly, a wrong release included.
        slow: Those that took longer than the limit.
        named: Answers that named a release.
        wrong_release: Answers that named another release.
        marked: Marked halves of pairs.
        marked_failures: Those of them that failed.
        unmarked: Unmarked halves of pairs.
        unmarked_failures: Those of them that failed.
        last_error: Text of the last failure.
    """

    probes: int = 0
    failures: int = 0
    slow: int = 0
    named: int = 0
    wrong_release: int = 0
    marked: int = 0
    marked_failures: int = 0
    unmarked: int = 0
    unmarked_failures: int = 0
    last_error: str = ""


class Prober:
    """Send checks in turn, at a steady pace, from a thread of its own over one keep-alive connection.

    A slow answer delays the next request; the pace is not made up for in a burst afterwards.

    In pairs, a GET or HEAD is sent twice: with the marker, and without it as a user would. A service that
    treats checks differently shows it there. Other methods stay marked: unmarked, they would leave data among
    those of users.

    Args:
        base_url: Address of the release.
        headers: Sent with every request.
        checks: Sent one after the other, over and over.
        header: Response header that names the release; empty when the service sends none.
        expected_release: The release that must answer; empty for no such demand.
        rate: Requests a second, both halves of a pair counted.
        marker: Value of the ``X-Kickoff-Check`` header.
        pairs: Send safe requests without the marker, too.
        slow_seconds: What takes longer is counted as slow.
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
        pairs: bool = False,
        slow_seconds: float = math.inf,
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
        self._pairs = pairs
        self._slow_milliseconds = slow_seconds * 1000
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
            for check, marker in self._requests():
                if self._finish.wait(max(0.0, due - time.monotonic())):
                    return
                result = perform(
                    client,
                    check,
                    header=self._header,
                    expected_release=self._expected,
                    marker=marker,
                )
                self._count(check, marker, result)
                due = max(due + self._interval, time.monotonic())

    def _requests(self) -> Iterator[tuple[HttpCheck, str]]:
        """Yield checks and their markers for ever; chance says which half is first, so no rhythm hits one."""
        for check in itertools.cycle(self._checks):
            markers = [self._marker, ""] if self._paired(check) else [self._marker]
            for marker in random.sample(markers, len(markers)):
                yield check, marker

    def _paired(self, check: HttpCheck) -> bool:
        return self._pairs and check.method in _SAFE

    def _count(self, check: HttpCheck, marker: str, result: CheckResult) -> None:
        failed, half = not result.ok, self._paired(check)
        name = check.name if marker else f"{check.name} (unmarked)"
        with self._lock:
            counts = self._counts
            self._counts = ProbeCounts(
                probes=counts.probes + 1,
                failures=counts.failures + failed,
                slow=counts.slow + (result.milliseconds > self._slow_milliseconds),
                named=counts.named + bool(result.release),
                wrong_release=counts.wrong_release
                + bool(self._expected and result.release and result.release != self._expected),
                marked=counts.marked + (half and bool(marker)),
                marked_failures=counts.marked_failures + (half and bool(marker) and failed),
                unmarked=counts.unmarked + (not marker),
                unmarked_failures=counts.unmarked_failures + (not marker and failed),
                last_error=f"{name}: {result.error}" if failed else counts.last_error,
            )
