"""The end of every check: evidence, what people see, outputs, the record in the attempt, the exit code."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kickoff import github
from kickoff.checks.check import Check, Context
from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, stages


def run(
    checks: Sequence[Check],
    arguments: argparse.Namespace,
    tell: Callable[[Evidence], object] = lambda _: None,
) -> int:
    """Run checks that share their arguments, one after the other; a failure does not hide the next.

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
    for check in checks:
        for document in check.documents(context):
            codes.append(_finish(check, context, document))
            tell(document)
            verdicts.append(document.verdict)
            github.set_output("verdict", _together(verdicts))
            _record(context, document)
    return max(codes, default=ExitCode.PASS, key=_badness)


def _finish(check: Check, context: Context, document: Evidence) -> int:
    path = document.write(context.evidence)
    show(document, [("evidence", path), *check.attach(context, document, path)])
    code = int(document.facts.get("exit_code", document.verdict.exit_code))
    if code != ExitCode.PASS:
        github.annotate("error", document.summary, title=check.title)
    return code


def _record(context: Context, document: Evidence) -> None:
    if context.attempt and stages.stage(document.stage).required:
        context.session.record_check(context.attempt, document)


def show(document: Evidence, files: Iterable[tuple[str, Path]]) -> None:
    """Print a check's rules, its outcome and where it left what."""
    lines = []
    for rule in document.rules:
        lines += [_line(rule), *([f"    {rule.reason}"] if rule.reason else [])]
    lines.append(f"{document.verdict.sign} {document.verdict.word.upper()}  {document.summary}")
    lines += [f"  {label:<9} {path}" for label, path in files]
    lines += [f"  │ {line}" for line in document.log_tail]
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _line(rule: RuleResult) -> str:
    counted = f", n={rule.samples}" if rule.samples > 1 else ""
    measured = f": {rule.measured} ({rule.limit}{counted})" if rule.measured else ""
    return f"{rule.verdict.sign} {rule.rule}{measured}"


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    """Return one verdict for all; of checks that do not apply, that they do not."""
    return verdicts[0] if len(set(verdicts)) == 1 else combine(verdicts)


def _badness(code: int) -> tuple[bool, bool, int]:
    """Order exit codes: interruption, then rejection, then doubt, then success."""
    return code == ExitCode.INTERRUPTED, code == ExitCode.REJECTED, code
