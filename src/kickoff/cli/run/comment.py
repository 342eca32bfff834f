"""Say on the pull request what became of its commit: one comment, edited by every run."""

import argparse

from kickoff import gh, github, pull_request
from kickoff.cli import output
from kickoff.plan import FILE as PLAN
from kickoff.report import comment
from kickoff.report.run import read_plan


def run(arguments: argparse.Namespace) -> int:
    """Write the comment; return 0 also when GitHub does not take it, which is told as a warning.

    A release is what its evidence says, whether or not it can be talked about.

    Raises:
        KickoffError: There is no report, or this is no workflow (exit code 2).
    """
    repository = github.repository()
    evidence = arguments.evidence or output.evidence_folder()
    folder = arguments.report or output.report_folder(evidence)
    outcome = output.outcome(folder)
    done = ["nothing was deployed, so there is nothing to say"]
    if outcome["environment"]:
        plan, _ = read_plan(evidence / PLAN)
        commit = plan.commit if plan else github.context().sha
        part = (folder / comment.FILE).read_text(encoding="utf-8")
        try:
            done = pull_request.settle(
                repository, commit, outcome["service"], outcome["environment"], part
            ) or [f"no pull request holds {commit[:7]}"]
        except gh.GitHubError as error:
            done = [f"not said: {error}; {error.answer}; {error.hint}"]
            github.annotate("warning", done[0], title="The pull request was not told")
    output.result({"done": done}, "\n".join(done))
    return 0
