"""The report of a run as a command: summary, page and outcome; it fails when evidence is missing."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from kickoff import github, service
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.report import outcome as outcomes
from kickoff.report import page, summary
from kickoff.report.run import Run, collect, read_plan
from kickoff.report.terminal import closing_block
from kickoff.report.wording import line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--evidence", required=True, help="folder with the evidence, searched in depth")
    parser.add_argument("--output", required=True, help="folder that receives the three files")
    parser.add_argument("--planned", help="the plan with the results of the jobs (plan.json)")
    parser.add_argument("--summary", help="file the summary is appended to ($GITHUB_STEP_SUMMARY)")


def run(arguments: argparse.Namespace) -> int:
    """Write ``summary.md``, ``report.html`` and ``outcome.json``; return the run's exit code."""
    evidence, output = Path(arguments.evidence), Path(arguments.output)
    found = _run(evidence, Path(arguments.planned) if arguments.planned else None)
    outcome = outcomes.decide(found, report=str(output / "report.html"))
    text = summary.render(found, outcome)
    output.mkdir(parents=True, exist_ok=True)
    document = json.dumps(outcome.to_document(), indent=1, ensure_ascii=False) + "\n"
    write_atomic(output / "outcome.json", document)
    write_atomic(output / "summary.md", text)
    write_atomic(output / "report.html", page.render(found, outcome))
    if arguments.summary:
        with Path(arguments.summary).open("a", encoding="utf-8") as stream:
            stream.write(text)
    github.set_output("path", output / "report.html")
    github.set_output("verdict", {0: "pass", 3: "inconclusive"}.get(outcome.exit_code, "fail"))
    if outcome.exit_code:
        github.annotate("error", f"{outcome.title} {outcome.subject}: {outcome.why}")
    # The block ends with lines of somebody's log, which must not speak for the workflow.
    with github.group("Outcome"):
        sys.stdout.write(f"{closing_block(outcome.to_document())}\n")
        sys.stdout.flush()
    return outcome.exit_code


def _run(evidence: Path, planned: Path | None) -> Run:
    documents, problems = collect(evidence)
    plan, plan_problems = read_plan(planned)
    checks: Mapping[str, tuple[str, ...]] = {}
    try:
        if service.CONFIG.is_file():
            described = service.load(Path.cwd())
            names = {document.environment for document in documents} | set(plan.deployments if plan else ())
            checks = {name: described.checks_for(name) for name in names}
    except KickoffError as error:
        problems = (*problems, f"{service.CONFIG}: {line(error)}")
    context = github.context()
    return Run(
        evidence=documents,
        plan=plan,
        problems=(*plan_problems, *problems),
        checks=checks,
        actor=context.actor,
        run_url=context.run_url,
    )
