"""Folding act's JSON records into the state of jobs and steps."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kickoff import github

State = Literal["running", "success", "failure", "skipped", "cancelled"]
TAIL = 20
"""Lines of output that are kept for each step."""

_RESULTS: dict[str, State] = {
    "success": "success",
    "failure": "failure",
    "skipped": "skipped",
    "cancelled": "cancelled",
}


@dataclass(slots=True)
class Step:
    """One step of a job; the steps inside a composite action belong to it.

    Attributes:
        name: As written in the workflow.
        state: How it is going.
        started: Begin, seconds since the epoch.
        seconds: Duration once it has ended.
        tail: The last lines it printed.
        note: What it said last, such as what it waits for.
    """

    name: str
    state: State
    started: float
    seconds: float = 0.0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    note: str = ""


@dataclass(slots=True)
class Job:
    """One job of the workflow; times are seconds, ``started`` since the epoch."""

    name: str
    state: State
    started: float
    seconds: float = 0.0
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def current(self) -> Step | None:
        """The step that runs now."""
        return next((step for step in reversed(self.steps.values()) if step.state == "running"), None)


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line: a job or a step began or ended, gave notice, or reported an error.

    Attributes:
        kind: What happened.
        job: Name of the job.
        step: Name of the step; empty for a job's own event.
        state: The new state.
        seconds: Duration of what ended.
        message: Text of an error or a notice.
    """

    kind: Literal["job", "step", "note", "error"]
    job: str
    step: str
    state: State
    seconds: float = 0.0
    message: str = ""


class Progress:
    """The state of a run, built from act's records one by one."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.stopped_during: str | None = None
        self._cut: dict[str, Step | None] = {}

    def interrupt(self) -> None:
        """Note that somebody asked to stop: what runs now and fails then did not fail, but was cut short."""
        if self.stopped_during is None:
            running = [job for job in self.jobs.values() if job.state == "running"]
            self._cut = {job.name: job.current for job in running}
            self.stopped_during = ", ".join(step.name if step else name for name, step in self._cut.items())

    def apply(self, record: Mapping[str, Any], at: float) -> list[Event]:
        """Fold one record in.

        Args:
            record: A JSON record of ``act --json``; unknown ones change nothing.
            at: When it was read, seconds since the epoch. act's own time stamps have whole seconds only.

        Returns:
            What happened, in order.
        """
        name = str(record.get("jobID") or "")
        if not name:
            return []
        job = self.jobs.get(name)
        events: list[Event] = []
        if "jobResult" in record:
            state = _state(record["jobResult"])
            if job is None:
                job = self.jobs[name] = Job(name, state, at)
            job.state, job.seconds = self._ended(job, state), at - job.started
            for step in job.steps.values():
                if step.state == "running":
                    step.state, step.seconds = "cancelled", at - step.started
            return [Event("job", name, "", job.state, job.seconds)]
        if job is None:
            job = self.jobs[name] = Job(name, "running", at)
            events.append(Event("job", name, "", "running"))
        return events + self._step(job, record, at)

    def results(self) -> dict[str, dict[str, str]]:
        """Return how the jobs ended in the shape of GitHub's ``needs``.

        What did not end was cancelled when somebody asked to stop, and failed otherwise: act died.
        """
        unfinished = "failure" if self.stopped_during is None else "cancelled"
        return {
            job.name: {"result": unfinished if job.state == "running" else job.state}
            for job in self.jobs.values()
        }

    def failed_step(self) -> tuple[Job, Step] | None:
        """Return the first step that failed, with its job."""
        pairs = ((job, step) for job in self.jobs.values() for step in job.steps.values())
        return next((pair for pair in pairs if pair[1].state == "failure"), None)

    def _ended(self, job: Job, state: State) -> State:
        """Return how a job ended: act calls one a success that it cancelled before its first step."""
        if state == "success" and not job.steps:
            return "cancelled"
        failed = any(step.state == "failure" for step in job.steps.values())
        return "cancelled" if state == "failure" and job.name in self._cut and not failed else state

    def _step(self, job: Job, record: Mapping[str, Any], at: float) -> list[Event]:
        path = record.get("stepID")
        if not isinstance(path, list) or not path:
            return []  # act's own book-keeping around the steps
        key = str(path[0])
        step = job.steps.get(key)
        if record.get("raw_output") or record.get("command") in ("error", "notice", "warning"):
            return _output(job, step, record)
        if len(path) > 1 or record.get("stage") != "Main":
            return []  # inside a composite, or the clean-up after a step
        ended = "stepResult" in record
        if step is None:
            step = job.steps[key] = Step(str(record.get("step") or key), "running", at)
            if not ended:
                return [Event("step", job.name, step.name, "running")]
        if not ended:
            return []
        state = _state(record["stepResult"])
        step.state = "cancelled" if state == "failure" and step is self._cut.get(job.name) else state
        step.seconds = _seconds(record, at - step.started)
        return [Event("step", job.name, step.name, step.state, step.seconds)]


def _output(job: Job, step: Step | None, record: Mapping[str, Any]) -> list[Event]:
    if step is None:
        return []
    error = record.get("command") == "error"
    text = str(record.get("arg" if "command" in record else "msg") or "").rstrip("\n")
    step.note = text.strip().removeprefix(github.AT) or step.note
    if text and not text.startswith(github.AT):
        step.tail.append(text)
    if record.get("command") == "notice":
        return [Event("note", job.name, step.name, step.state, message=text)]
    return [Event("error", job.name, step.name, step.state, message=text)] if error else []


def _state(result: object) -> State:
    # An unknown result is a failure: a run must never look better than it was.
    return _RESULTS.get(str(result), "failure")


def _seconds(record: Mapping[str, Any], measured: float) -> float:
    spent = record.get("executionTime")
    return spent / 1e9 if isinstance(spent, int | float) else measured
