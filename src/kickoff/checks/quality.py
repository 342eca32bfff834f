"""The quality gate: run the commands that the service's description names on a commit, and keep every log."""

import sys

from kickoff import github, service
from kickoff.checks import commands
from kickoff.checks.check import Context, Need, SingleCheck
from kickoff.checks.commands import Outcome
from kickoff.evidence import Evidence, Verdict, combine


class QualityGate(SingleCheck):
    """Runs every command; a failure does not hide the ones after it."""

    name = "check"
    title = "Quality gate"
    needs = Need.COMMIT

    def run(self, context: Context) -> Evidence:
        """Run the commands on the files of the commit."""
        gate = context.service.quality_gate
        if not gate:
            document = context.document("quality-gate")
            document.verdict = Verdict.NOT_APPLICABLE
            document.summary = f"{service.described_in(context.root)} names no quality gate"
            return document
        commit = context.commit
        with context.checkout(commit) as (where, environ):
            document = context.document("quality-gate")
            outcomes = []
            for command in gate:
                given = {**environ, **commands.variables(command)}
                with github.group(f"{command.name}: {' '.join(command.run)}"):
                    outcomes.append(
                        commands.execute(
                            command,
                            root=where,
                            logs=context.evidence / "logs",
                            environ=given,
                            show=sys.stdout.write,
                            stage=document.stage,
                        )
                    )
        document.inputs = {"commit": commit, "commands": [list(command.run) for command in gate]}
        conclude(document, outcomes)
        return document


def conclude(document: Evidence, outcomes: list[Outcome]) -> None:
    """Put a rule per command and the log of the first that failed into the evidence."""
    document.rules = [outcome.rule("quality") for outcome in outcomes]
    document.verdict = combine(rule.verdict for rule in document.rules)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    document.summary = f"{len(outcomes)} of {len(outcomes)} checks passed"
    if failed:
        names = ", ".join(outcome.command.name for outcome in failed)
        document.summary = f"{len(failed)} of {len(outcomes)} checks failed: {names}"
        document.log_tail = failed[0].tail()


CHECK = QualityGate()
