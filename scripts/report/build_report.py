#!/usr/bin/env python3
"""Turn a run's evidence into its summary, its report page and its outcome; fail when evidence is missing."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import json
from collections.abc import Mapping

from kickoff import github, service
from kickoff.errors import KickoffError, run
from kickoff.evidence import write_atomic
from kickoff.report import outcome as outcomes
from kickoff.report import page, summary
from kickoff.report.run import Run, collect, read_plan
from kickoff.report.terminal import closing_block
from kickoff.report.wording import line


def main() -> int:
    """Write ``summary.md``, ``report.html`` and ``outcome.json``; return the run's exit code."""
    arguments = _parser().parse_args()
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
        print(closing_block(outcome.to_document()), flush=True)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evidence", required=True, help="folder with the evidence, searched in depth")
    parser.add_argument("--output", required=True, help="folder that receives the three files")
    parser.add_argument("--planned", help="the plan with the results of the jobs (plan.json)")
    parser.add_argument("--summary", help="file the summary is appended to ($GITHUB_STEP_SUMMARY)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
