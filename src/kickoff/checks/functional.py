"""The functional test: the service's own tests against the staged candidate, from outside."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kickoff.checks.check import Context, Need, SingleCheck
from kickoff.checks.commands import Outcome, execute
from kickoff.evidence import Evidence, RuleResult
from kickoff.service import Command

STAGE = "functional-candidate"
HEADERS = "KICKOFF_CHECK_HEADERS"
"""Environment variable that hands the headers to the tests: they hold secrets, and arguments are public."""


class Functional(SingleCheck):
    """Runs the interface tests where the environment demands them."""

    name = "functional"
    title = "Functional test"
    needs = Need.CANDIDATE | Need.COMMIT

    def run(self, context: Context) -> Evidence:
        """Run the tests against the candidate, unless this environment does without them."""
        check = context.session.service.functional
        if check is None:
            return _idle(context, "kickoff.yml names no functional test")
        if not check.runs_in(context.environment):
            return _idle(context, f"kickoff.yml has no functional test in {context.environment}")
        return test(context, STAGE, check.command)


def _idle(context: Context, why: str) -> Evidence:
    return context.not_applicable(STAGE, why, release=context.session.expected_release("candidate"))


def test(context: Context, stage: str, command: Command) -> Evidence:
    """Run a command of the service's own against the candidate and return its evidence."""
    session, commit = context.session, context.commit
    document = context.document(stage, release=session.expected_release("candidate"))
    with context.checkout(commit) as (where, environ), session.reach("candidate") as found:
        outcome = run(
            command,
            url=found.url,
            release=document.release,
            headers={**found.headers, **session.check_headers()},
            root=where,
            logs=context.evidence / "logs",
            environ=environ | {key: session.environment.text(key) for key in command.environment},
            show=sys.stdout.write,
            stage=stage,
        )
    result = rule(outcome, "functional" if stage == STAGE else "check")
    document.rules, document.verdict = [result], result.verdict
    document.summary = f"{result.rule}: {result.measured}"
    document.inputs = {"commit": commit, "command": list(outcome.command.run)}
    if not outcome.passed:
        document.log_tail = outcome.tail()
    return document


def run(
    command: Command,
    *,
    url: str,
    release: str,
    headers: Mapping[str, str],
    root: Path,
    logs: Path,
    environ: Mapping[str, str],
    show: Callable[[str], object],
    stage: str = STAGE,
) -> Outcome:
    """Run the tests against an address.

    Args:
        command: The tests; ``{url}`` and ``{release}`` in its arguments are replaced.
        url: Address of the release.
        release: The release that must answer.
        headers: What every request must carry.
        root: The folder the tests run in.
        logs: The folder their log goes to.
        environ: Their environment, besides the headers.
        show: Called with each line of their output.
        stage: Begins the name of the log.
    """
    filled = tuple(part.replace("{url}", url).replace("{release}", release) for part in command.run)
    return execute(
        replace(command, run=filled),
        root=root,
        logs=logs,
        environ={**environ, HEADERS: json.dumps(dict(headers))},
        show=show,
        stage=stage,
    )


def rule(outcome: Outcome, area: str = "functional") -> RuleResult:
    """Return the rule for the report; what tests that passed said last stands beside their exit code."""
    found = outcome.rule(area)
    said = next((line.strip() for line in reversed(outcome.tail()) if line.strip()), "")
    return replace(found, measured=f"{found.measured}: {said}" if said else found.measured)


CHECK = Functional()
