"""The load generator: Locust in a process of its own, told what to do on standard input.

Started by :mod:`kickoff.performance.load` as ``python -m kickoff.performance.generator``, here or on another
host. It reads one JSON plan from standard input, writes progress and samples to standard output as JSON
lines, stops when standard input is closed, and never shares an interpreter with code that gevent's patches
could disturb.

In a comparison every task runs twice, once against each side, in an order drawn per pair from a shuffled
balanced block and with the same random numbers, so that both sides get the same requests at nearly the same
time.
"""

# ruff: noqa: ANN401 - Locust calls with whatever it has, and users are whatever the locustfile defines
# Locust patches the standard library on import, so it comes before everything that opens sockets or threads.
import locust  # isort: skip

import base64
import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import gevent
from locust.env import Environment
from locust.shape import LoadTestShape
from locust.user.task import DefaultTaskSet, TaskSet
from locust.util.load_locustfile import load_locustfile

from kickoff.performance.samples import Writer
from kickoff.performance.steering import Arm, Recorder, Refused, Steering, one_line

_DEFAULT_USERS = Path(__file__).with_name("default_users.py")


class _Shape(LoadTestShape):
    """Follows the plan's steps; ends when the time is over."""

    abstract = True

    def __init__(self, users: int, duration: float, steps: list[dict[str, float]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._users, self._duration, self._steps = users, duration, steps

    def tick(self) -> tuple[int, float] | None:
        at = self.get_run_time() / self._duration  # type: ignore[no-untyped-call]
        share = next((step["users"] for step in self._steps if at < step["until"]), 0.0)
        count = max(1, round(self._users * share))
        # All at once: the steps are the ramp.
        return count, float(max(count, self._users))


class Generator:
    """Carries out one plan."""

    def __init__(self, plan: dict[str, Any], progress: TextIO) -> None:
        self._plan = plan
        self._progress = progress
        self._arms = [Arm(document) for document in plan["arms"]]
        self._writer = Writer(self._stream)
        self._recorder = Recorder(self._writer, self._arms, plan["release_header"], plan["slow_ms"])
        self._users = 0
        self._interrupted = False
        self._lags: list[float] = []
        self._errors: list[str] = []

    def run(self) -> None:
        """Send the load, then report the summary."""
        self._patch_tasks()
        environment: Any = Environment(
            user_classes=self._user_classes(),
            host=self._arms[0].url,
            events=locust.events,
            stop_timeout=self._plan["stop_timeout"],
        )
        environment.events.request.add_listener(self._recorder)
        environment.events.user_error.add_listener(self._user_error)
        environment.shape_class = _Shape(self._plan["users"], self._plan["duration"], self._plan["shape"])
        runner = environment.create_local_runner()
        environment.events.test_start.fire(environment=environment)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        watch = gevent.spawn(self._watch_lag)
        begun, begun_cpu = time.time(), time.process_time()
        clock = time.perf_counter()
        runner.start_shape()
        while not self._over(clock):
            gevent.sleep(0.1)
            if time.perf_counter() - clock >= self._reported:
                self._report(runner.user_count, time.perf_counter() - clock)
        ended, used_cpu = time.time(), time.process_time() - begun_cpu
        live_silent = self._live_silent()
        runner.quit()
        watch.kill()
        self._writer.close()
        self._say(
            kind="summary",
            begun=begun,
            ended=ended,
            interrupted=self._interrupted,
            requests=self._recorder.requests,
            cpu_seconds=used_cpu,
            lag_p95_ms=_quantile(self._lags, 0.95) * 1000,
            live_silent=live_silent,
            slow=self._recorder.slow,
            errors=self._errors,
        )

    _reported = 0.5

    def _over(self, clock: float) -> bool:
        # Whoever started this closes standard input to stop it, or by dying.
        if select.select([0], [], [], 0)[0]:
            self._interrupted = True
        # The rest would be load for nothing, and users who wait for live do not ask the candidate.
        lost = self._live_silent() >= self._plan["most_silence"]
        return self._interrupted or lost or time.perf_counter() - clock >= self._plan["duration"]

    def _live_silent(self) -> float:
        # What silences both sides is the machine, or the generator.
        return max([0.0, *(arm.silent - self._arms[0].silent for arm in self._arms[1:])])

    def _report(self, users: int, elapsed: float) -> None:
        self._reported = elapsed + 0.5
        self._writer.flush()
        recent, self._recorder.recent = self._recorder.recent, []
        self._say(
            kind="progress",
            elapsed=elapsed,
            users=users,
            requests=self._recorder.requests,
            failures=self._recorder.failures,
            p95_ms=_quantile(recent, 0.95),
        )

    def _say(self, **values: Any) -> None:
        self._progress.write(json.dumps(values) + "\n")
        self._progress.flush()

    def _stream(self, data: bytes) -> None:
        self._say(kind="samples", data=base64.b64encode(data).decode())

    def _stop(self, *_: object) -> None:
        self._interrupted = True

    def _user_error(self, user_instance: Any, exception: BaseException, **_: Any) -> None:
        if len(self._errors) < self._plan["max_errors"]:
            self._errors.append(f"{type(user_instance).__name__}: {one_line(exception)}")

    def _watch_lag(self) -> None:
        # A loop that wakes late stamps its requests late: this shows a starved generator even when the
        # processor it lacks was used by somebody else.
        while True:
            before = time.perf_counter()
            gevent.sleep(0.02)
            self._lags.append(time.perf_counter() - before - 0.02)

    def _user_classes(self) -> list[Any]:
        found, _ = load_locustfile(self._plan["locustfile"] or str(_DEFAULT_USERS))
        mix = self._plan["mix"] or dict.fromkeys(found, 1)
        missing = [name for name in mix if name not in found]
        if missing:
            raise Refused(
                f"the locustfile has no user class {', '.join(missing)}; it has {', '.join(sorted(found))}"
            )
        classes = []
        for name, weight in mix.items():
            user_class = found[name]
            user_class.weight, user_class.fixed_count, user_class.host = weight, 0, self._arms[0].url
            self._steer(user_class)
            classes.append(user_class)
        return classes

    def _steer(self, user_class: Any) -> None:
        # A class may inherit from another one of the mix, which is steered already.
        original = getattr(user_class.__init__, "kickoff_original", user_class.__init__)
        rate = self._plan["rate"] / self._plan["users"]

        def __init__(user: Any, environment: Any) -> None:
            original(user, environment)
            self._users += 1
            user.kickoff = Steering(user, f"{self._plan['worker']}.{self._users}", self._arms, rate)

        __init__.kickoff_original = original  # type: ignore[attr-defined] # functions take attributes
        user_class.__init__ = __init__
        if rate:
            user_class.wait_time = lambda user: user.kickoff.wait()

    def _patch_tasks(self) -> None:
        if len(self._arms) == 1:
            return
        owner: Any
        for owner in (TaskSet, DefaultTaskSet):
            owner.execute_task = _paired(owner.execute_task)


def _paired(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def execute_task(self: Any, task: Any) -> None:
        if isinstance(task, type) and issubclass(task, TaskSet):
            original(self, task)  # its own tasks are the pairs
            return
        name = getattr(task, "__name__", "task")
        self.user.kickoff.run_pair(self.user, name, lambda: original(self, task))

    return execute_task


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0


def main() -> int:
    """Read the plan from standard input and carry it out.

    Returns:
        0, or 2 when the plan cannot be carried out (the reason is the last line of standard error).
    """
    plan = json.loads(sys.stdin.readline())
    os.environ.update(plan["environ"])
    # A locustfile may print; progress has a descriptor of its own so that such text cannot spoil it.
    progress = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        Generator(plan, progress).run()
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
