"""The outcome of ``validate`` and ``drift``: as evidence, and as it is shown."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from kickoff import github, masking
from kickoff.environment.findings import Finding, as_github, as_json, as_markdown, as_text, count
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, now, rule_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """The findings of a check of environment files. No part of it ever holds a secret.

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


def form(wanted: str | None, environ: Mapping[str, str]) -> str:
    """Return how findings are shown: as wanted, else ``github`` in a workflow on GitHub, else ``text``."""
    where = github.context(environ)
    return wanted or ("github" if where.active and not where.act else "text")


def show(outcome: Outcome, form: str, environ: Mapping[str, str]) -> None:
    """Write the findings in one of the forms; ``github`` also fills the job's summary."""
    good = "; ".join(outcome.doubts) or outcome.good
    match form:
        case "json":
            sys.stdout.write(as_json(outcome.found))
        case "github":
            masking.unmasked(sys.stdout).write(masking.text(as_github(outcome.found)))
            github.append_summary(as_markdown(outcome.found, good), environ=environ)
        case "markdown":
            sys.stdout.write(as_markdown(outcome.found, good))
        case _:
            sys.stdout.write(as_text(outcome.found))
