"""The reasons that the history keeps, with what the evidence of a run adds to the one given.

They are told before a verb is handed over: the host of an environment has no evidence of the run.
"""

import argparse
from pathlib import Path

from kickoff.checks.runner import problem
from kickoff.cli import output
from kickoff.plan import FILE
from kickoff.report.judgement import stopped
from kickoff.report.run import Run, collect, read_plan
from kickoff.report.verdicts import RunVerdict


def complete(arguments: argparse.Namespace) -> None:
    """Let the reason of an abort say who stopped the run, and that of a rollback what the live check saw."""
    folder, given = output.evidence_folder(), arguments.reason
    if arguments.command == "abort":
        arguments.reason = of_abort(folder, arguments.env, arguments.attempt, given)
    else:
        arguments.reason = of_rollback(folder, arguments.env, arguments.failed, given)


def of_abort(evidence: Path, environment: str, attempt: str, given: str) -> str:
    """Return who stopped the run, when and during what, where somebody did; else what is ``given``.

    Which check did not pass, the attempt knows by itself, on whatever host it is.
    """
    documents, _ = collect(evidence)
    mine = tuple(one for one in documents if one.attempt == attempt and one.environment == environment)
    plan, _ = read_plan(evidence / FILE)
    judgement = stopped(Run(mine, plan), {one.stage: one for one in mine}) if attempt else None
    if judgement is None or judgement.verdict is not RunVerdict.INTERRUPTED:
        return given
    at = f" {judgement.at}" if judgement.at else ""
    return f"{judgement.verdict.word.lower()}{at}: {judgement.why.partition('; ')[0]}"


def of_rollback(evidence: Path, environment: str, failed: str, given: str) -> str:
    """Return what is ``given``, with what the live smoke test of the release that failed found."""
    documents, _ = collect(evidence)
    mine = [one for one in documents if (one.environment, one.release) == (environment, failed)]
    found = next((problem(one) for one in mine if one.stage == "smoke-live"), "")
    return ": ".join(filter(None, (given, found)))
