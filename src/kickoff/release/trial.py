"""Watching both colours while traffic moves: probe, proxy counters and process usage, sampled each second."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from kickoff.evidence import RuleResult, Verdict, combine
from kickoff.probing.prober import Prober
from kickoff.release.alerts import Witness
from kickoff.release.judge import GROWTH, Limits, Observation, judge
from kickoff.release.model import Colour
from kickoff.release.route import HEALTH_SECONDS
from kickoff.release.routers import Meter, MetricsUnreadable, Traffic
from kickoff.release.session import Session
from kickoff.release.targets import ProcessState, worker_of

INTERVAL = 1.0
_NOT_THERE = ProcessState(running=False, pid=0, detail="not there")


@dataclass(slots=True)
class Trial:
    """The candidate on trial: probed, counted and judged while it has traffic.

    Attributes:
        session: The environment.
        candidate: Colour on trial.
        live: Colour it is compared with; ``None`` on a first release.
        pid: Process id the candidate had when it was found ready.
        witness: Whose alerts count.
        workers: Process ids that its workers had when they were found up; empty until they are its own.
        points: Traffic per second and release, for the report.
        began: Monotonic time that counts as zero in ``points``.
    """

    session: Session
    candidate: Colour
    live: Colour | None
    pid: int
    witness: Witness
    began: float = field(default_factory=time.monotonic)
    points: list[dict[str, Any]] = field(default_factory=list)
    workers: Mapping[str, int] = field(default_factory=dict)

    def watch_workers(self) -> None:
        """Count a restart of one of the candidate's workers as one of the candidate from now on."""
        self.workers = self._workers()

    def _workers(self) -> dict[str, int]:
        states = self.session.target.workers(self.candidate)
        return {name: state.pid if state.running else 0 for name, state in states.items()}

    def hold(self, seconds: float, keep_lease: Callable[[], None]) -> list[RuleResult]:
        """Watch for ``seconds`` and judge; return early once a rule has failed beyond doubt.

        Doubt at the end is given half the time again, once: the exact tests often need only more requests.
        Counters that cannot be read are doubt at once. What failed while a host of the candidate was lost is
        not held against it: it is watched anew, once for each such host.
        """
        lost: list[str] = []
        while True:
            results = self._judged(seconds, keep_lease)
            failed = combine(rule.verdict for rule in results) is Verdict.FAIL
            gone = self.session.target.lost_hosts(self.candidate) if failed else ()
            found = [host for host in gone if host not in lost]
            if not found:
                return results + ([_excused(lost)] if lost else [])
            lost += found
            began = time.monotonic()
            while time.monotonic() - began < HEALTH_SECONDS + 2 * INTERVAL:  # until nobody is led there
                time.sleep(INTERVAL)
                keep_lease()

    def _judged(self, seconds: float, keep_lease: Callable[[], None]) -> list[RuleResult]:
        """Watch for ``seconds`` and judge, wherever what fails may run."""
        try:
            return self._watch(seconds, keep_lease)
        except MetricsUnreadable as error:
            reason = f"{error}; the requests of users cannot be judged"
            return [
                RuleResult(
                    "judge.metrics",
                    "metrics of the proxy",
                    Verdict.INCONCLUSIVE,
                    "no data",
                    "readable",
                    0,
                    reason,
                )
            ]

    def _watch(self, seconds: float, keep_lease: Callable[[], None]) -> list[RuleResult]:
        session = self.session
        limits = self._limits()
        results: list[RuleResult] = []
        with ExitStack() as stack:
            state = session.store.state()
            arms = {c: state.release_of(c) for c in (self.candidate, self.live) if c is not None}
            probers = {}
            for colour, release in arms.items():
                endpoint = stack.enter_context(session.target.reach(str(colour)))
                service = session.service_of(release)
                probers[colour] = stack.enter_context(
                    Prober(
                        endpoint.url,
                        {**endpoint.headers, **session.check_headers()},
                        service.probe,
                        header=service.release_header,
                        expected_release=release,
                        rate=session.environment.integer("PROBE_RATE"),
                        marker="probe",
                        pairs=True,
                        slow_seconds=limits.response_seconds,
                    )
                )
            meter = Meter(session.proxy.metrics())
            observed = {colour: Observation() for colour in arms}
            cpu_start = session.target.state(self.candidate).cpu_seconds
            began = time.monotonic()
            deadline, extended = began + seconds, False
            look, judged_at = 0, 0
            while True:
                time.sleep(max(0.0, min(INTERVAL, deadline - time.monotonic())))
                self._record(arms, meter.add(session.proxy.metrics()))
                for colour, prober in probers.items():
                    seen = observed[colour]
                    seen.probe = prober.snapshot()
                    if unsent := session.unsent_headers(seen.probe.last_error):
                        error = f"{seen.probe.last_error} ({unsent})"
                        seen.probe = replace(seen.probe, last_error=error)
                    seen.traffic = meter.total(str(colour))
                self._usage(observed[self.candidate], cpu_start, time.monotonic() - began)
                keep_lease()
                over = time.monotonic() >= deadline
                count = observed[self.candidate].requests
                # Restarts and wrong releases need no statistics, so they are looked at every second.
                if over or count >= judged_at * GROWTH + 1:
                    look, judged_at = look + 1, count
                    other = observed[self.live] if self.live is not None else None
                    results = judge(observed[self.candidate], other, limits, look) + self.witness.testify()
                    verdict = combine(rule.verdict for rule in results)
                    if verdict is Verdict.FAIL or (over and (verdict is Verdict.PASS or extended)):
                        return results
                    if over:
                        deadline, extended = time.monotonic() + max(seconds / 2, INTERVAL), True

    def _limits(self) -> Limits:
        environment = self.session.environment
        return Limits(
            error_rate=environment.fraction("ERROR_RATE_THRESHOLD"),
            response_seconds=environment.seconds("RESPONSE_TIME_THRESHOLD"),
            memory=environment.fraction("MEMORY_USAGE_THRESHOLD"),
            memory_bytes=environment.bytes("MEMORY_LIMIT"),
            cpu=environment.fraction("CPU_USAGE_THRESHOLD"),
            expected_client_errors=self.session.service.expected_client_errors,
        )

    def _record(self, arms: dict[Colour, str], added: dict[str, Traffic]) -> None:
        elapsed = round(time.monotonic() - self.began, 2)
        for colour, release in arms.items():
            delta = added.get(str(colour), Traffic())
            quantile = delta.quantile(0.95)
            self.points.append(
                {
                    "t": elapsed,
                    "release": release,
                    "colour": str(colour),
                    "rps": delta.requests,
                    "failed": delta.errors,
                    "p95_ms": None if quantile != quantile or quantile == float("inf") else quantile * 1000,  # noqa: PLR0124
                }
            )

    def _ended(self, process: ProcessState) -> str:
        """Return which process of the candidate ended, and how; empty while all are those of the begin."""
        target = self.session.target
        if not process.running or process.pid != self.pid:
            return _end("the process", process, target.last_end(str(self.candidate)))
        states = target.workers(self.candidate) if self.workers else {}
        for name in sorted(states.keys() | self.workers.keys()):
            state = states.get(name, _NOT_THERE)
            if not state.running or state.pid != self.workers.get(name):
                return _end(f"worker {name}", state, target.last_end(worker_of(self.candidate, name)))
        return ""

    def _usage(self, seen: Observation, cpu_start: float, elapsed: float) -> None:
        process = self.session.target.state(self.candidate)
        if ended := self._ended(process):
            seen.restarts, seen.ended = max(1, seen.restarts), ended
            return
        seen.memory_bytes = max(seen.memory_bytes, process.memory_bytes)
        used = max(0.0, process.cpu_seconds - cpu_start) / max(elapsed, 0.1)
        seen.cpu = used / process.processors
        seen.usage_samples += 1


def _excused(lost: list[str]) -> RuleResult:
    rule, found = "hosts of the candidate", f"{', '.join(lost)} lost"
    reason = "what failed meanwhile is not the release's doing, so it was judged anew without that host"
    return RuleResult("judge.hosts", rule, Verdict.PASS, found, "-", len(lost), reason)


def _end(what: str, state: ProcessState, last: str) -> str:
    """Return what ended in words; how is told by its state, or by its last end where it runs again."""
    how = last if state.running else state.detail
    return f"{what} ended ({how})" if how else f"{what} ended"
