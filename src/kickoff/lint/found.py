"""What a rule is asked about, and what it answers."""

from dataclasses import dataclass
from typing import NamedTuple

from kickoff.lint.shell import Script
from kickoff.lint.workflow import Step


class Found(NamedTuple):
    """One place that breaks a rule.

    Attributes:
        line: Its line in the file.
        message: What stands there, and what it leads to.
        job: The job that it is in; empty in a script of its own.
        column: Its column, from 1.
    """

    line: int
    message: str
    job: str = ""
    column: int = 1


@dataclass(frozen=True)
class Unit:
    """A script, with the step that holds it; a file that steps call has none.

    Attributes:
        script: The script.
        step: The step; ``None`` for a file.
    """

    script: Script
    step: Step | None = None

    @property
    def job(self) -> str:
        """The id of its job."""
        return self.step.job.id if self.step else ""

    @property
    def runs_after_failure(self) -> bool:
        """Whether the step runs only when the run is red already, so that it can hide no failure."""
        return self.step is not None and "failure()" in self.step.condition.replace("!failure()", "")

    def found(self, line: int, message: str) -> Found:
        """Return that a line breaks the rule."""
        return Found(line, message, self.job)
