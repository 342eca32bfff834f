"""The end of every check: evidence, what people see, outputs, the record in the attempt, the exit code."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from kickoff import github, logs
from kickoff.checks.check import Check, Context, Need
from kickoff.checks.side_by_side import each
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, stages
from kickoff.report.judgement import first_problem
from kickoff.report.messages import line

_LOG_LINES = 20
_WHY = 200
"""Characters of a reason that is kept with its cause; the evidence has the whole of it."""


def run(
    checks: Sequence[Check],
    arguments: argparse.Namespace,
    tell: Callable[[Evidence], object] = lambda _: None,
) -> int:
    """Run checks that share their arguments; a failure does not hide the others.

    Those of a commit run side by side; those of a candidate, which they would disturb, one after the other.

    Args:
        checks: The checks.
        arguments: The parsed arguments of their command.
        tell: Called with each evidence once it is written.

    Returns:
        The worst exit code.
    """
    for check in checks:
        check.verify(arguments)
    context = Context(arguments, Path.cwd(), Path(arguments.evidence))
    if context.without_candidate:
        github.set_output("verdict", Verdict.NOT_APPLICABLE)
        sys.stdout.write("nothing to check: stage found this release live and healthy already\n")
        return ExitCode.PASS
    codes: list[int] = []
    verdicts: list[Verdict] = []

    def ended(check: Check, documents: Iterable[Evidence]) -> None:
        for document in documents:
            codes.append(_finish(check, context, document))
            tell(document)
            verdicts.append(document.verdict)
            github.set_output("verdict", _together(verdicts))
            _record(context, document)

    try:
        if len(checks) > 1 and all(check.needs is Need.COMMIT for check in checks):
            each(checks, lambda check, stop: list(check.documents(replace(context, stop=stop))), ended)
        else:
            for check in checks:
                ended(check, check.documents(context))
    except KickoffError:
        if context.attempt:
            context.session.require_own(context.attempt)  # who took the candidate away is the better reason
        raise
    return max(codes, default=ExitCode.PASS, key=_badness)


def _finish(check: Check, context: Context, document: Evidence) -> int:
    path = document.write(context.evidence)
    show(document, [("evidence", path), *check.attach(context, document, path)])
    code = int(document.facts.get("exit_code", document.verdict.exit_code))
    if code != ExitCode.PASS:
        github.annotate("error", document.summary, title=check.title)
    return code


def _record(context: Context, document: Evidence) -> None:
    """Record the verdict in the attempt; where another run took that over, the evidence says so.

    Raises:
        KickoffError: The attempt no longer holds the lock.
    """
    if not (context.attempt and stages.stage(document.stage).required):
        return
    try:
        context.session.record_check(context.attempt, document, problem(document))
    except KickoffError as error:
        if error.code is ExitCode.LOCK_HELD:
            document.facts |= error.facts
            document.write(context.evidence)
        raise


def problem(document: Evidence) -> str:
    """Return why a check did not pass, with what its log says went wrong; empty for one that passed."""
    if document.verdict is Verdict.PASS:
        return ""
    why, cause = line(first_problem(document), _WHY), logs.essence(document.log_tail)
    return f"{why} ({cause})" if cause and cause not in why else why


def show(document: Evidence, files: Iterable[tuple[str, Path]]) -> None:
    """Print a check's rules, its outcome and where it left what."""
    lines = []
    for rule in document.rules:
        lines += [_line(rule), *([f"    {rule.reason}"] if rule.reason else [])]
    lines.append(f"{document.verdict.sign} {document.verdict.word.upper()}  {document.summary}")
    lines += [f"  {label:<9} {path}" for label, path in files]
    lines += [f"  │ {line}" for line in logs.excerpt(document.log_tail, _LOG_LINES).text()]
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _line(rule: RuleResult) -> str:
    counted = f", n={rule.samples}" if rule.samples > 1 else ""
    found = ", ".join(part for part in (rule.finding, rule.measured) if part)
    return f"{rule.sign} {rule.rule}" + (f": {found} ({rule.limit}{counted})" if found else "")


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    """Return one verdict for all; of checks that do not apply, that they do not."""
    return verdicts[0] if len(set(verdicts)) == 1 else combine(verdicts)


def _badness(code: int) -> tuple[bool, bool, int]:
    """Order exit codes: interruption, then rejection, then doubt, then success."""
    return code == ExitCode.INTERRUPTED, code == ExitCode.REJECTED, code
