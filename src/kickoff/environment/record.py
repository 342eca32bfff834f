"""The outcome of ``validate`` and ``drift``, also as evidence."""

from dataclasses import asdict, dataclass, field

from kickoff.environment.findings import Finding, count
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, now, rule_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check of environment files found. No part of it ever holds a secret.

    Attributes:
        found: What is wrong.
        doubts: What could not be checked, one sentence each.
        good: What was checked, in words.
        samples: How many values were checked.
        started: When, ISO 8601 UTC.
    """

    found: list[Finding]
    doubts: list[str]
    good: str
    samples: int
    started: str = field(default_factory=now)

    def evidence(self, stage: str, environment: str) -> Evidence:
        """Return the evidence of ``stage``; its facts hold the findings in full.

        Args:
            stage: ``validate`` or ``drift``.
            environment: The environment; empty for all.
        """
        rules = [
            RuleResult(
                rule_id("environment", one.rule),
                f"{one.rule} {one.key}".rstrip(),
                Verdict.FAIL,
                one.message,
                "",
                1,
                f"{one.place}: {one.fix}",
            )
            for one in self.found
        ]
        rules += [
            RuleResult("environment.compared", "compared", Verdict.INCONCLUSIVE, "unknown", "known", 0, one)
            for one in self.doubts
        ]
        if not rules and self.samples:
            rules = [
                RuleResult(
                    "environment.differences",
                    "no differences",
                    Verdict.PASS,
                    "0 found",
                    "0 found",
                    self.samples,
                )
            ]
        verdict = combine(rule.verdict for rule in rules)
        summary = count(len(self.found), "problem") if self.found else "; ".join(self.doubts) or self.good
        facts = {"findings": [asdict(one) for one in self.found], "doubts": self.doubts}
        return Evidence(stage, environment, verdict, summary, self.started, rules=rules, facts=facts)
