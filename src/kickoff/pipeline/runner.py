"""Keeping act: start it, read it, pass a wish to stop on, and leave no step of it running."""

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO

import psutil

from kickoff.evidence import now
from kickoff.process_group import handling

_TICK = 0.25
"""Seconds between two looks at act and two redraws."""
STOP_LIMIT = 120.0
"""Seconds act's ``always()`` steps get to abort or roll back once somebody asked to stop."""
_GRACE = 10.0
"""Seconds a step gets between the request to end and the kill."""
_DRAIN = 2.0
"""Seconds to read what is left of the output; a deployed process may hold the pipe open for ever."""


class Runner:
    """One run of act.

    Args:
        command: Its command line.
        root: The repository's top folder.
        env: Its whole environment.
        work: Folder in which act keeps the working copies of this run, and of no other.
        stop_limit: Seconds it gets to end after a wish to stop.
    """

    def __init__(
        self,
        command: list[str],
        *,
        root: Path,
        env: Mapping[str, str],
        work: Path,
        stop_limit: float = STOP_LIMIT,
    ) -> None:
        self._command, self._root, self._env, self._work = command, root, env, work
        self._stop_limit = stop_limit
        self._wishes: list[str] = []
        self._steps: set[psutil.Process] = set()

    @property
    def interrupted(self) -> bool:
        """True when somebody asked to stop."""
        return bool(self._wishes)

    @property
    def interrupted_at(self) -> str:
        """When somebody first asked to stop, ISO 8601 UTC; empty when nobody did."""
        return self._wishes[0] if self._wishes else ""

    def run(self, on_line: Callable[[str], None], on_tick: Callable[[], None]) -> int:
        """Run act to its end, whatever that is, and end the steps it left behind.

        Args:
            on_line: Called with every line act prints.
            on_tick: Called a few times a second.

        Returns:
            act's exit code; negative when a signal ended it.
        """
        with self._signals():
            # A session of its own: Ctrl-C reaches act through us alone, once.
            process = subprocess.Popen(
                self._command,
                cwd=self._root,
                env=dict(self._env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self._follow(process, on_line, on_tick)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
                self._end_steps()
        return process.returncode

    def _follow(
        self, process: "subprocess.Popen[bytes]", on_line: Callable[[str], None], on_tick: Callable[[], None]
    ) -> None:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        passed_on, deadline, drained, look = 0, float("inf"), float("inf"), 0.0
        while True:
            with suppress(queue.Empty):
                line = lines.get(timeout=_TICK)
                if line is None:
                    process.wait()
                    return
                on_line(line)
            on_tick()
            if process.poll() is None:
                if time.monotonic() >= look:  # not with every line: a look reads all that runs
                    self._note_steps(process.pid)
                    look = time.monotonic() + _TICK
                if len(self._wishes) > passed_on:
                    passed_on = len(self._wishes)
                    if passed_on > 1:  # asked twice: no more waiting
                        process.kill()
                    else:
                        # Always as an interrupt: on SIGTERM act runs no always() step at all.
                        os.killpg(process.pid, signal.SIGINT)
                        deadline = time.monotonic() + self._stop_limit
                if time.monotonic() > deadline:
                    process.kill()
            else:
                drained = min(drained, time.monotonic() + _DRAIN)
                if time.monotonic() > drained and lines.empty():
                    return

    def _signals(self) -> AbstractContextManager[None]:
        return handling(lambda *_: self._wishes.append(now()))

    def _note_steps(self, act: int) -> None:
        """Remember act's children: it starts every step in a session of its own.

        Those of the last look are kept while they live: act may die between the caller's look and ours,
        and then it has no children any more.
        """
        with suppress(psutil.NoSuchProcess):
            found = set(psutil.Process(act).children())
            self._steps = found | {step for step in self._steps if step.is_running()}

    def _end_steps(self) -> None:
        """End the steps that outlived act. What was deployed left their sessions long ago and stays."""
        sessions = {step.pid for step in self._steps}
        place, scripts = str(self._work), "/act/workflow/"
        for process in psutil.process_iter(["cmdline"]):
            # A step that began just before act was killed: its shell runs a script from our work folder.
            if any(part.startswith(place) and scripts in part for part in process.info["cmdline"] or []):
                sessions.add(_session(process.pid))
        sessions -= {0, _session(0)}
        left = [process for process in psutil.process_iter() if _session(process.pid) in sessions]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, stubborn = psutil.wait_procs(left, timeout=_GRACE)
        for process in stubborn:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(stubborn, timeout=_GRACE)


def _session(pid: int) -> int:
    """Return the session of a process, 0 when it is gone; ``pid`` 0 stands for this one."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def parse(line: str) -> dict[str, object] | None:
    """Return the record in a line of ``act --json``; ``None`` for plain text."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _read(stream: IO[bytes], lines: "queue.Queue[str | None]") -> None:
    with stream:
        for raw in stream:
            lines.put(raw.decode("utf-8", "replace").rstrip("\n"))
    lines.put(None)
