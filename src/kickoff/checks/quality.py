"""The quality gate: run the commands that the service's description names on a commit, and keep every log."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kickoff import github, service
from kickoff.checks import commands, reuse
from kickoff.checks.at_work import AtWork
from kickoff.checks.check import Context, Need, SingleCheck
from kickoff.checks.commands import Outcome
from kickoff.checks.reuse import Records
from kickoff.checks.side_by_side import each
from kickoff.evidence import Evidence, combine
from kickoff.process_group import Stop
from kickoff.service import Command

STAGE = "quality-gate"


class QualityGate(SingleCheck):
    """Runs every command that has not passed for the same content before; a failure hides no other."""

    name = "check"
    title = "Quality gate"
    needs = Need.COMMIT

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what says whether an earlier verdict may count."""
        super().add_arguments(parser)
        parser.add_argument(
            "--no-reuse",
            action="store_true",
            default=not reuse.wanted(),
            help="run every command, whatever has passed for the same content before",
        )
        parser.add_argument(
            "--reuse-directory",
            type=lambda text: Path(text) if text else reuse.directory(),
            default=reuse.directory(),
            metavar="DIR",
            help="where the passes are kept (default: %(default)s)",
        )

    def run(self, context: Context) -> Evidence:
        """Run the commands on the files of the commit."""
        gate = context.service.quality_gate
        if not gate:
            where = service.described_in(context.root)
            return context.not_applicable(STAGE, f"{where} names no quality gate")
        given, commit = context.arguments, context.commit
        document = context.document(STAGE)
        lock = commands.lock(context.root, given.requirements or "")
        records = Records(
            given.reuse_directory,
            context.root,
            commit,
            lock,
            context.evidence,
            gate,
            context.service.environment,
        )
        found = {} if given.no_reuse else records.find()
        logs = context.evidence / "logs"
        outcomes = {place: one.outcome(gate[place], logs, STAGE) for place, one in found.items()}
        places = [place for place in range(len(gate)) if place not in found]
        outcomes |= _execute(context, commit, places)
        for place in places:
            records.keep(place, outcomes[place])
        document.inputs = {"commit": commit, "commands": [list(command.run) for command in gate]}
        if found:
            document.facts = {"reused": [found[place].fact() for place in sorted(found)]}
        conclude(document, [outcomes[place] for place in range(len(gate))])
        return document


def _execute(context: Context, commit: str, places: Sequence[int]) -> dict[int, Outcome]:
    """Run the commands at these places of the gate, those that prepare first; print each when it ends."""
    gate = context.service.quality_gate
    outcomes: dict[int, Outcome] = {}
    if not places:
        return outcomes
    at_work = AtWork(len(places))
    with context.checkout(commit) as (where, environ), at_work.shown():

        def run(place: int, stop: Stop) -> Outcome:
            at_work.begins(gate[place].name)
            return commands.execute(
                gate[place],
                root=where,
                logs=context.evidence / "logs",
                environ={**environ, **commands.variables(gate[place])},
                show=partial(at_work.says, gate[place].name),
                stage=STAGE,
                stop=stop,
            )

        def ended(place: int, outcome: Outcome) -> None:
            at_work.ends(gate[place].name)
            with at_work.lock:
                _print(gate[place], outcome)
            outcomes[place] = outcome

        for place in (place for place in places if gate[place].prepares):
            each([place], run, ended)
        each([place for place in places if not gate[place].prepares], run, ended)
    return outcomes


def _print(command: Command, outcome: Outcome) -> None:
    """Print what a command said, in one piece: others run beside it."""
    with github.group(f"{command.name}: {' '.join(command.run)}"):
        sys.stdout.write(outcome.log.read_text(encoding="utf-8"))


def conclude(document: Evidence, outcomes: list[Outcome]) -> None:
    """Put a rule per command and the log of the first that failed into the evidence."""
    document.rules = [outcome.rule("quality") for outcome in outcomes]
    document.verdict = combine(rule.verdict for rule in document.rules)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    earlier = sum(bool(outcome.earlier) for outcome in outcomes)
    document.summary = f"{len(outcomes)} of {len(outcomes)} checks passed"
    if earlier:
        document.summary += f", {earlier} of them in an earlier run for the same content"
    if failed:
        names = ", ".join(outcome.command.name for outcome in failed)
        document.summary = f"{len(failed)} of {len(outcomes)} checks failed: {names}"
        document.log_tail = failed[0].tail()


CHECK = QualityGate()
