"""The result of one rule; its id is what other code reads, its sentence is for people."""

import re
from dataclasses import dataclass

from kickoff.evidence.verdicts import Verdict

NO_DIFFERENCE, WITHIN_NOISE = "no difference shown", "within noise"
"""Findings of a comparison that passed: 0 lies in the interval; the estimate exceeds the limit by chance."""

WARNING = "inconclusive, a warning"
"""Finding of a comparison that could not tell, where that does not stop a release."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One gate: its rule, the measured value beside the threshold, and how many samples stand behind it.

    Attributes:
        id: Stable name of the rule, ``area.name``: ``perf.p95``, ``judge.users-5xx``.
        rule: What was checked, in words: ``p95 of POST /orders``.
        verdict: The outcome.
        measured: The value found, with its unit, as people read it (``241 ms``).
        threshold: The limit, with its unit.
        samples: Number of observations behind ``measured``; 0 when nothing was measured.
        reason: One sentence; required unless the rule passed.
        finding: The outcome in words of its own, where the verdict's would promise more than was shown:
            ``no difference shown``, ``within noise``, ``inconclusive, a warning``.
    """

    id: str
    rule: str
    verdict: Verdict
    measured: str
    threshold: str
    samples: int
    reason: str = ""
    finding: str = ""

    @property
    def sign(self) -> str:
        """One character for the outcome; a finding of its own is no tick, and a warning no dash."""
        if not self.finding:
            return self.verdict.sign
        return "≈" if self.verdict is Verdict.PASS else "!"

    @property
    def word(self) -> str:
        """The outcome in words."""
        return self.finding or self.verdict.word

    @property
    def limit(self) -> str:
        """The threshold in words: ``limit 194 ms``, ``at least 20/s``, ``expected exit 0``."""
        text = self.threshold
        for sign, word in (("≤", "limit "), ("<", "limit < "), ("≥", "at least "), (">", "more than ")):
            if re.match(rf"{sign}\s*[+\d]", text):
                return word + text[1:].strip()
        if re.match(r"\d[\d.,]*\s*(?:%|x\b|m?s\b|[KMG]iB)", text):
            return f"limit {text}"
        return f"expected {text}" if text else "no limit"


def rule_id(area: str, name: str) -> str:
    """Return the id of a rule whose name somebody chose freely: ``("quality", "Unit tests")``."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{area}.{slug or 'unnamed'}"
