"""How a run can end: each verdict with its word, its exit code and what it means to people."""

from enum import StrEnum
from typing import Literal

from kickoff.errors import ExitCode
from kickoff.report.language import say


class RunVerdict(StrEnum):
    """Outcomes of a run, the most urgent first."""

    ROLLBACK_FAILED = "rollback-failed"
    ROLLED_BACK = "rolled-back"
    TAKEN_BACK = "taken-back"
    REJECTED = "rejected"
    INVALID = "invalid"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    INTERRUPTED = "interrupted"
    INCONCLUSIVE = "inconclusive"
    RELEASED = "released"
    UNCHANGED = "unchanged"
    CHECKED = "checked"

    @property
    def icon(self) -> str:
        """One character that says the same as the word."""
        icons = {"rolled-back": "↶", "taken-back": "↶", "interrupted": "↯", "inconclusive": "?"}
        good = "◇" if self is RunVerdict.UNCHANGED else "✓"
        return icons.get(self, good if self in GOOD else "✗")

    @property
    def word(self) -> str:
        """The verdict in capitals."""
        return say(self.replace("-", " ").upper())

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a run that ends so; a rollback that somebody asked for is the one exception."""
        return _EXIT_CODES.get(self, ExitCode.PASS)


Meaning = Literal["good", "doubtful", "bad"]


def meaning(verdict: str, exit_code: object) -> Meaning:
    """Return what an outcome means to whoever waits for it, whatever its verdict is called."""
    undecided = (ExitCode.INCONCLUSIVE, ExitCode.LOCK_HELD, ExitCode.INTERRUPTED)
    if verdict == RunVerdict.INCONCLUSIVE or exit_code in undecided:
        return "doubtful"
    return "good" if exit_code == ExitCode.PASS and isinstance(exit_code, int) else "bad"


GOOD = frozenset({RunVerdict.RELEASED, RunVerdict.UNCHANGED, RunVerdict.CHECKED})
_EXIT_CODES = {
    RunVerdict.ROLLBACK_FAILED: ExitCode.ROLLBACK_FAILED,
    RunVerdict.ROLLED_BACK: ExitCode.ROLLED_BACK,
    RunVerdict.TAKEN_BACK: ExitCode.LOCK_HELD,
    RunVerdict.REJECTED: ExitCode.REJECTED,
    RunVerdict.INVALID: ExitCode.BAD_INPUT,
    RunVerdict.UNREACHABLE: ExitCode.UNREACHABLE,
    RunVerdict.BUSY: ExitCode.LOCK_HELD,
    RunVerdict.INTERRUPTED: ExitCode.INTERRUPTED,
    RunVerdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}
STOPPED = {code: verdict for verdict, code in _EXIT_CODES.items() if verdict is not RunVerdict.TAKEN_BACK}
"""The verdict of a stage that stopped the run, by the exit code of that stage."""
