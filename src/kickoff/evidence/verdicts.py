"""Verdicts, with the one sign and the one word that stand for each everywhere."""

from collections.abc import Iterable
from enum import StrEnum

from kickoff.errors import ExitCode


class Verdict(StrEnum):
    """The outcome of a rule or of a stage. Only ``PASS`` lets a release go on."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code a check with this verdict ends with."""
        return {
            Verdict.PASS: ExitCode.PASS,
            Verdict.FAIL: ExitCode.REJECTED,
            Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
            Verdict.NOT_APPLICABLE: ExitCode.PASS,
        }[self]

    @property
    def sign(self) -> str:
        """One character that says the same as the word."""
        return {
            Verdict.PASS: "✓",
            Verdict.FAIL: "✗",
            Verdict.INCONCLUSIVE: "?",
            Verdict.NOT_APPLICABLE: "\N{EN DASH}",
        }[self]

    @property
    def word(self) -> str:
        """The verdict as people read it."""
        return self.value.replace("-", " ")


URGENCY = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
"""All verdicts in the order in which people want to read them."""


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Fold rule verdicts into one: any failure fails, any doubt is doubt, nothing at all is doubt.

    Rules that do not apply are left out; when none applies, the result is ``INCONCLUSIVE``.
    """
    found = set(verdicts) - {Verdict.NOT_APPLICABLE}
    return next((verdict for verdict in URGENCY if verdict in found), Verdict.INCONCLUSIVE)
