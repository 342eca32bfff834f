"""Turn a run's evidence into its summary, its report page and its outcome; fail when evidence is missing."""

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from kickoff import git, github, naming, service
from kickoff.artifact import source
from kickoff.cli import output
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.plan import FILE as PLAN
from kickoff.plan import record_results
from kickoff.report import comment, index_page, language, load_page, page, past, summary
from kickoff.report import outcome as outcomes
from kickoff.report.messages import line
from kickoff.report.outcome import Outcome
from kickoff.report.run import Run, collect, read_plan
from kickoff.report.terminal import fitted

LOAD = "perf-baseline"
INDEX = "index.html"


class Written(NamedTuple):
    """A report: its outcome for programs, the same as the block shows it, and the summary."""

    outcome: Outcome
    shown: dict[str, Any]
    summary: str


def run(arguments: argparse.Namespace) -> int:
    """Write ``summary.md``, ``report.html`` and ``outcome.json``; return the run's exit code."""
    evidence = arguments.evidence or output.evidence_folder()
    wanted = language_of(arguments.lang)
    if arguments.index:
        return _index(arguments.output or runs_beside(evidence) or Path(".kickoff/runs"), wanted)
    folder = arguments.output or output.report_folder(evidence)
    problems = _enter(arguments.jobs, evidence)
    outcome, shown, text = write(evidence, folder, arguments.planned, problems, wanted)
    if arguments.summary:
        with arguments.summary.open("a", encoding="utf-8") as stream:
            stream.write(text)
    github.set_output("path", folder / "report.html")
    github.set_output("verdict", {0: "pass", 3: "inconclusive"}.get(outcome.exit_code, "fail"))
    if outcome.exit_code:
        github.annotate("error", f"{outcome.title} {outcome.subject}: {outcome.why}")
    # The block ends with lines of somebody's log, which must not speak for the workflow.
    with github.group("Outcome"):
        with language.using(wanted):
            block = fitted(shown, sys.stdout)
        output.result(outcome.to_document(), block)
    return outcome.exit_code


def language_of(name: str) -> str:
    """Return the language of an option, or of the environment without one.

    Raises:
        KickoffError: The option names none that there is a catalogue of (exit 2).
    """
    found = language.matching(name) if name else language.chosen(os.environ)
    if not found:
        known = ", ".join(language.languages())
        raise KickoffError(
            f"no report is written in {name!r}, but in {known}", hint="give --lang zh_CN, or leave it out"
        )
    return found


def write(
    evidence: Path,
    folder: Path,
    planned: Path | None = None,
    problems: tuple[str, ...] = (),
    wanted: str = "",
) -> Written:
    """Write page, summary and outcome of the evidence below a folder, and return what was written.

    Args:
        evidence: The folder.
        folder: Where they go.
        planned: The plan; beside the evidence by default.
        problems: What is known to be wrong with the evidence.
        wanted: The language that people read it in; that of the environment by default.
    """
    beside = evidence / PLAN
    found = _run(evidence, planned or (beside if beside.is_file() else None), problems)
    runs = runs_beside(evidence)
    if runs:
        found = replace(found, index=os.path.relpath(runs / INDEX, folder))
    outcome = outcomes.decide(found, report=str(folder / "report.html"))
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(outcome.to_document(), indent=1, ensure_ascii=False) + "\n"
    write_atomic(folder / "outcome.json", document)
    with language.using(wanted or language.chosen(os.environ)):
        told = outcomes.decide(found, report=outcome.report)
        text = summary.render(found, told)
        write_atomic(folder / "summary.md", text)
        if part := comment.render(found, told):
            write_atomic(folder / comment.FILE, part)
        for environment, name in found.pages.items():
            write_atomic(folder / name, load_page.render(found.of(environment)[LOAD]))
        write_atomic(folder / "report.html", page.render(found, told))
        if runs:
            write_atomic(runs / INDEX, index_page.render(past.read(runs)))
        return Written(outcome, told.to_document(), text)


def shown(evidence: Path, outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the outcome of a run in the language in use: what its evidence says, said again."""
    if language.current() == language.ENGLISH:
        return outcome
    plan = evidence / PLAN
    again = outcomes.decide(
        _run(evidence, plan if plan.is_file() else None, ()), str(outcome.get("report") or "")
    )
    return again.to_document() if again.verdict == outcome.get("verdict") else outcome


def _index(runs: Path, wanted: str) -> int:
    """Write the page of all releases that a folder of runs holds.

    Raises:
        KickoffError: It holds none (exit 2).
    """
    found = past.read(runs)
    if not found:
        raise KickoffError(
            f"no run in {runs} has an outcome",
            hint="name the folder of the runs: `kickoff report --index --output .kickoff/runs`",
        )
    with language.using(wanted):
        write_atomic(runs / INDEX, index_page.render(found))
    output.result({"index": str(runs / INDEX), "runs": len(found)}, str(runs / INDEX))
    return 0


def runs_beside(evidence: Path) -> Path | None:
    """Return the folder of all runs, when the evidence lies in a numbered one of them."""
    run = evidence.resolve().parent
    return run.parent if run.name.isdecimal() and run.parent.name == "runs" else None


def _enter(jobs: str, evidence: Path) -> tuple[str, ...]:
    """Enter how the jobs ended into the plan; return what kept that from being done."""
    if not jobs:
        return ()
    try:
        results = json.loads(jobs)
        if not isinstance(results, dict):
            raise KickoffError("it is not a JSON object")
        record_results(evidence, results)
    except ValueError as error:
        return (f"how the jobs ended is not JSON: {line(error)}",)
    except KickoffError as error:
        return (f"how the jobs ended is not known: {line(error)}",)
    return ()


def _run(evidence: Path, planned: Path | None, known: tuple[str, ...]) -> Run:
    documents, problems = collect(evidence)
    problems = (*known, *problems)
    plan, plan_problems = read_plan(planned)
    checks: Mapping[str, tuple[str, ...]] = {}
    label = name = ""
    try:
        if service.is_described(Path.cwd()):
            described = service.load(Path.cwd())
            name = described.name
            label = naming.label(Path.cwd(), name)
            names = {document.environment for document in documents} | set(plan.deployments if plan else ())
            checks = {where: described.checks_for(where) for where in names}
    except KickoffError as error:
        problems = (*problems, f"{service.CONFIG}: {line(error)}")
    context = github.context()
    found = Run(documents, plan)
    is_one = re.fullmatch("[0-9a-f]{7,64}", found.commit)
    subject, author = source.subject_of(Path.cwd(), found.commit) if is_one else ("", "")
    server = context.run_url.partition("/actions/runs/")[0]
    runs = runs_beside(evidence)
    return Run(
        evidence=documents,
        plan=plan,
        problems=(*plan_problems, *problems),
        checks=checks,
        actor=context.actor,
        run_url=context.run_url,
        workflows=frozenset(path.name for path in _workflows().glob("*.yml")),
        label=label,
        described=name,
        subject=line(subject, 120),
        author=line(author, 120),
        commit_url=f"{server}/commit/{found.commit}" if server and found.commit else "",
        pages={
            document.environment: f"performance.{document.environment}.html"
            for document in documents
            if document.stage == LOAD and re.fullmatch("[a-z0-9][a-z0-9-]*", document.environment)
        },
        past=tuple(e for e in past.read(runs) if e.run != evidence.resolve().parent.name) if runs else (),
    )


def _workflows() -> Path:
    return Path(naming.from_project(naming.WORKFLOWS, git.below_top(Path.cwd())))
