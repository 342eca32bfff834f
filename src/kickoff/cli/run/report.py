"""Turn a run's evidence into its summary, its report page and its outcome; fail when evidence is missing."""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

from kickoff import github, service
from kickoff.cli import output
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.plan import FILE as PLAN
from kickoff.plan import record_results
from kickoff.report import outcome as outcomes
from kickoff.report import page, summary
from kickoff.report.messages import line
from kickoff.report.run import Run, collect, read_plan
from kickoff.report.terminal import closing_block


def run(arguments: argparse.Namespace) -> int:
    """Write ``summary.md``, ``report.html`` and ``outcome.json``; return the run's exit code."""
    evidence = arguments.evidence or output.evidence_folder()
    folder = arguments.output or Path(os.environ.get("KICKOFF_REPORT_DIR") or evidence.parent / "report")
    problems = _enter(arguments.jobs, evidence)
    beside = evidence / PLAN
    found = _run(evidence, arguments.planned or (beside if beside.is_file() else None), problems)
    outcome = outcomes.decide(found, report=str(folder / "report.html"))
    text = summary.render(found, outcome)
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(outcome.to_document(), indent=1, ensure_ascii=False) + "\n"
    write_atomic(folder / "outcome.json", document)
    write_atomic(folder / "summary.md", text)
    write_atomic(folder / "report.html", page.render(found, outcome))
    if arguments.summary:
        with arguments.summary.open("a", encoding="utf-8") as stream:
            stream.write(text)
    github.set_output("path", folder / "report.html")
    github.set_output("verdict", {0: "pass", 3: "inconclusive"}.get(outcome.exit_code, "fail"))
    if outcome.exit_code:
        github.annotate("error", f"{outcome.title} {outcome.subject}: {outcome.why}")
    # The block ends with lines of somebody's log, which must not speak for the workflow.
    with github.group("Outcome"):
        output.result(outcome.to_document(), closing_block(outcome.to_document()))
    return outcome.exit_code


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
    try:
        if service.is_described(Path.cwd()):
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
        workflows=frozenset(path.name for path in Path(".github", "workflows").glob("*.yml")),
    )
