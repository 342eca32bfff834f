"""Evidence: verdicts, rules, stages and the document each stage leaves; the vocabulary of all others."""

from kickoff.evidence.document import Evidence, judged, promoted_before, read
from kickoff.evidence.files import now, write_atomic
from kickoff.evidence.rules import RuleResult, rule_id
from kickoff.evidence.verdicts import URGENCY, Verdict, combine

__all__ = [
    "URGENCY",
    "Evidence",
    "RuleResult",
    "Verdict",
    "combine",
    "judged",
    "now",
    "promoted_before",
    "read",
    "rule_id",
    "write_atomic",
]
