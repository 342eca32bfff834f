"""The dependency audit: known vulnerabilities of what a commit locks; silence is doubt, not a pass."""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from kickoff import github, service
from kickoff.accepted import Accepted
from kickoff.artifact import artifact_type
from kickoff.checks import commands
from kickoff.checks.check import Context, Need, SingleCheck
from kickoff.environment import loader, schema
from kickoff.evidence import Evidence, RuleResult, Verdict, combine
from kickoff.evidence.rules import WARNING
from kickoff.supply_chain import locks, pip
from kickoff.supply_chain.audit import Audit, Vulnerability

STAGE = "dependency-audit"
KEY = "DEPENDENCY_AUDIT"
REASON = "DEPENDENCY_AUDIT_REASON"


@dataclass(frozen=True, slots=True)
class Doubt:
    """The meaning of an audit that tells nothing, by the strictest environment that the commit goes to.

    Attributes:
        warns: Whether it only warns.
        why: What says so, for people; empty where it stops the release.
    """

    warns: bool
    why: str = ""

    @classmethod
    def of(cls, environments: Iterable[str], root: Path) -> "Doubt":
        """Return what the environments say; without any, nothing is released, and it warns.

        Raises:
            KickoffError: There is no such environment (exit 2).
        """
        keys = schema.read(root)
        found = {name: loader.inspect(name, root, keys, with_secrets=False).values for name in environments}
        if any(values.get(KEY) != "warn" for values in found.values()):
            return cls(False)
        reasons = dict.fromkeys(filter(None, (values.get(REASON, "") for values in found.values())))
        said = f" ({'; '.join(reasons)})" if reasons else ""
        return cls(True, f"a warning by {KEY}=warn{said}" if found else "a warning: nothing is released")

    def rule(self, rule: str, reason: str) -> RuleResult:
        """Return the rule of an audit that tells nothing."""
        if not self.warns:
            return RuleResult("audit.answer", rule, Verdict.INCONCLUSIVE, "no data", "an answer", 0, reason)
        told = f"{reason}; {self.why}"
        verdict = Verdict.NOT_APPLICABLE
        return RuleResult("audit.answer", rule, verdict, "no data", "an answer", 0, told, WARNING)


class DependencyAudit(SingleCheck):
    """Audits every lock file of the commit, and runs the commands that the project declares for others."""

    name = "audit"
    title = "Dependency audit"
    needs = Need.COMMIT

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add where the commit goes, and what came before it."""
        super().add_arguments(parser)
        parser.add_argument(
            "--deployments",
            default="",
            metavar="JSON",
            help='environments whose DEPENDENCY_AUDIT counts: ["staging"] (default: none; doubt warns)',
        )
        parser.add_argument(
            "--base",
            default="",
            metavar="REVISION",
            help="the change begins after it (default: as the event says, else the commit's parent)",
        )

    def run(self, context: Context) -> Evidence:
        """Ask for the vulnerabilities of every lock, and judge them."""
        described, given = context.service, context.arguments
        names = artifact_type.parse(given.deployments) if given.deployments else []
        doubt = Doubt.of(names, context.root)
        rules, audits, outcomes = [], list[Audit](), 0
        # Whoever declares a command may look at everything.
        read = [service.EVERYTHING] if described.audit else locks.files(described.requirements)
        with context.checkout(context.commit, read) as (where, environ):
            auditors = locks.audited(where, described.requirements)
            others = locks.unaudited(where)
            for lock, auditor in auditors.items():
                audits.append(auditor(where, lock, environ, context.stop))
            for command in described.audit:
                rules.append(_own(context, where, environ, command, doubt))
                outcomes += 1
        if not audits and not outcomes:
            return context.not_applicable(STAGE, _nothing(others, service.described_in(context.root)))
        document = context.document(STAGE)
        document.inputs = {"commit": context.commit, "locks": list(auditors), "environments": names}
        if database := os.environ.get(pip.URL):
            document.inputs["database"] = database
        today = datetime.now(UTC).date()
        rules = [one for audit in audits for one in judge(audit, described.accepted, today, doubt)] + rules
        conclude(document, rules, doubt)
        return document


def _nothing(others: Mapping[str, str], described: Path) -> str:
    if not others:
        return "nothing to audit: the commit has no lock file that is known"
    [lock, command] = next(iter(others.items()))
    return f"nothing was audited: {lock} needs a command under supply_chain.audit of {described}: {command}"


def _own(
    context: Context, where: Path, environ: Mapping[str, str], command: service.Command, doubt: Doubt
) -> RuleResult:
    """Run an audit that the project declares: 0 is no finding, 1 is one, anything else tells nothing."""
    outcome = commands.execute(
        command,
        root=where,
        logs=context.evidence / "logs",
        environ={**environ, **commands.variables(command)},
        show=sys.stdout.write,
        stage=STAGE,
        stop=context.stop,
    )
    found = outcome.rule("audit")
    if outcome.status in (0, 1):
        return found
    return doubt.rule(command.name, found.reason)


def judge(audit: Audit, accepted: Accepted, today: date, doubt: Doubt) -> list[RuleResult]:
    """Return the rules of one lock: one for all its packages, and one for each vulnerability."""
    rules = [_vulnerable(one, accepted, today) for one in audit.found]
    if audit.doubt:
        return [*rules, doubt.rule(audit.lock, audit.doubt)]
    measured = f"{audit.packages} packages, {len(audit.found)} vulnerabilities"
    whole = RuleResult(
        "audit.lock", audit.lock, Verdict.PASS, measured, "every package was asked for", audit.packages
    )
    return [whole, *rules]


def _vulnerable(found: Vulnerability, accepted: Accepted, today: date) -> RuleResult:
    name = f"{found.package} {found.version}: {found.ids[0]}"
    entry = accepted.vulnerability(found.ids)
    if entry is not None and today <= entry.until:
        reason = f"accepted until {entry.until}: {entry.reason}"
        verdict, measured = Verdict.NOT_APPLICABLE, "accepted"
        return RuleResult("audit.vulnerability", name, verdict, measured, "no vulnerability", 1, reason)
    fix = f"fixed in {', '.join(found.fixed)}" if found.fixed else "no fixed version is known"
    reason = f"{fix}; it was accepted until {entry.until}" if entry else fix
    verdict, measured = Verdict.FAIL, "vulnerable"
    return RuleResult("audit.vulnerability", name, verdict, measured, "no vulnerability", 1, reason)


def conclude(document: Evidence, rules: Sequence[RuleResult], doubt: Doubt) -> None:
    """Put the rules into the evidence, with a verdict and a sentence."""
    document.rules = list(rules)
    failed = [one for one in rules if one.verdict is Verdict.FAIL]
    untold = [one for one in rules if one.id == "audit.answer"]
    accepted = sum(one.measured == "accepted" for one in rules)
    document.verdict = combine(one.verdict for one in rules)
    if failed:
        document.summary = f"{len(failed)} known vulnerabilities: {', '.join(one.rule for one in failed[:3])}"
    elif untold:
        first = untold[0]
        document.summary = f"{first.rule} was not audited: {first.reason}"
        if doubt.warns:
            github.annotate("warning", document.summary, title=DependencyAudit.title)
            if document.verdict is Verdict.INCONCLUSIVE:  # nothing else was asked for
                document.verdict = Verdict.NOT_APPLICABLE
    else:
        document.summary = f"no known vulnerability that is not accepted ({accepted} are)"
        if not accepted:
            document.summary = "no known vulnerability"


CHECK = DependencyAudit()
