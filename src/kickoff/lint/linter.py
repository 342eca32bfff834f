"""The linter at work: files in, findings out."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kickoff.environment.findings import Finding
from kickoff.lint import allowing, comments, conditions, files, jobs, masks, probes, tools
from kickoff.lint import workflow as workflows
from kickoff.lint.found import Found, Unit
from kickoff.lint.shell import Script
from kickoff.lint.tools import Ran
from kickoff.lint.workflow import Workflow

IN_SCRIPTS: dict[str, tuple[Callable[[Unit], Iterable[Found]], ...]] = {
    "masked-failure": (masks.masked_failure,),
    "rollback-masked": (masks.rollback_masked,),
    "warning-for-error": (masks.warning_for_error,),
    "pipe-without-pipefail": (masks.pipe_without_pipefail,),
    "test-ends-script": (masks.test_ends_script,),
    "crash-counts-as-none": (masks.crash_counts_as_none,),
    "probe-loop-falls-through": (probes.loop_falls_through,),
    "probe-never-tested": (probes.never_tested,),
    "any-status-passes": (probes.any_status,),
    "sleep-for-probe": (probes.sleep_for_probe,),
    "deploy-skipped-green": (jobs.deploy_skipped_green,),
}
IN_WORKFLOWS: dict[str, tuple[Callable[[Workflow], Iterable[Found]], ...]] = {
    "masked-failure": (masks.continued,),
    "rollback-masked": (masks.rollback_continued,),
    "deploy-changes-nothing": (jobs.deploy_changes_nothing,),
    "check-switched-off": (comments.disabled,),
    "condition-never-true": (conditions.condition_never_true,),
    "rollback-cannot-run": (conditions.rollback_cannot_run,),
    "all-checks-incomplete": (conditions.all_checks_incomplete,),
    "deploy-concurrency": (conditions.deploy_concurrency,),
    "success-claimed-early": (jobs.success_claimed_early,),
    "rebuilt-not-promoted": (jobs.rebuilt_not_promoted,),
    "output-unread": (jobs.output_unread,),
}


@dataclass(frozen=True, slots=True)
class Linted:
    """What was read, and what was found.

    Attributes:
        files: The files that were read.
        tools: What became of the linters of others.
        findings: What was found, by file and line.
    """

    files: list[Path]
    tools: list[Ran]
    findings: list[Finding]


def lint(paths: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Linted:
    """Return what is wrong with workflows, actions and the scripts that their steps call.

    Args:
        paths: Files, and folders of repositories.
        environ: The process environment; its ``PATH`` is where other linters are looked for.

    Raises:
        KickoffError: A file is not there or cannot be read; names file and line (exit 2).
    """
    waiting, done, findings = files.named(paths), [], []
    while waiting:
        path = waiting.pop(0)
        if path in done:
            continue
        done.append(path)
        text = files.read(path)
        if path.suffix in files.YAML:
            workflow = workflows.read(text, str(path))
            findings += in_workflow(workflow)
            waiting += files.called(workflow)
        else:
            findings += in_script(text, str(path))
            waiting += files.called_by(text, path)
    ran = tools.run(done, environ)
    return Linted(done, ran, sorted([*findings, *(one for tool in ran for one in tool.findings)]))


def in_workflow(workflow: Workflow) -> list[Finding]:
    """Return the findings in a workflow or a composite action."""
    found = [(rule, one) for rule, asks in IN_WORKFLOWS.items() for ask in asks for one in ask(workflow)]
    for step in workflow.steps():
        for script in step.scripts:
            found += _in_unit(Unit(script, step))
    return _finished(found, workflow.file, workflow.text)


def in_script(text: str, file: str) -> list[Finding]:
    """Return the findings in a file that is a shell script."""
    script = Script(text, file, 1)
    found = [one for each in (script, *script.nested()) for one in _in_unit(Unit(each))]
    return _finished(found, file, text)


def _in_unit(unit: Unit) -> list[tuple[str, Found]]:
    return [(rule, one) for rule, asks in IN_SCRIPTS.items() for ask in asks for one in ask(unit)]


def _finished(found: Iterable[tuple[str, Found]], file: str, text: str) -> list[Finding]:
    """Return findings once each, in the order of their lines, without those that an exception lets stand."""
    lines = text.splitlines()
    both = [*found, *(("check-switched-off", one) for one in comments.commented_out(lines))]
    made: dict[tuple[str, int], Finding] = {}
    for rule, one in both:
        line = lines[one.line - 1] if one.line <= len(lines) else ""
        placed = one._replace(column=len(line) - len(line.lstrip()) + 1)
        # Steps that jobs share by a YAML alias are found once.
        made.setdefault((rule, one.line), allowing.finding_of(rule, file, placed))
    return sorted(allowing.applied(made.values(), file, text))
