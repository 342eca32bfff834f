"""Show what the change between two commits would do to each environment; on a pull request say it there."""

import argparse
from dataclasses import replace
from pathlib import Path

from kickoff import change as changes
from kickoff import gh, git, github, pull_request
from kickoff.change import Change
from kickoff.cli import output
from kickoff.cli.run.report import language_of
from kickoff.errors import KickoffError
from kickoff.github import Context, PullRequest
from kickoff.report import change as told
from kickoff.report import language

_FORBIDDEN = 403


def run(arguments: argparse.Namespace) -> int:
    """Print the change, and write it into the job summary; with ``--comment`` say it on the pull request.

    Raises:
        KickoffError: A commit is not here, or its configuration is wrong (exit 2); this clone lacks an
            object, or GitHub does not take the comment of what is from no fork (4).
    """
    root, context = Path.cwd(), github.context()
    wanted = language_of(arguments.lang)
    request = context.pull_request
    # GitHub checks out a merge of the pull request into its base: as that base is now, by the first parent,
    # while the event may name an older commit.
    parents = git.run(root, "rev-list", "--parents", "-1", "HEAD", check=False).stdout.split()[1:]
    merge = request is not None and len(parents) == 2 and parents[1] == request.head
    base = arguments.base or (parents[0] if merge else _request(context, "--base main").base)
    found = changes.compare(root, *changes.commits(root, base, arguments.head))
    if request is not None and merge and arguments.head == "HEAD":
        found = replace(found, head=request.head)  # the commit that people know
    done = ""
    with language.using(wanted):
        if arguments.comment:
            done = _say(context, found, told.render(found))
        else:
            github.append_summary(told.render(found, told.SUMMARY_LIMIT))
        text = "\n".join(told.lines(found))
    output.result(found.to_document() | {"done": done}, done or text)
    return 0


def _request(context: Context, option: str) -> PullRequest:
    """Return the pull request that this run is about, for which an option stands elsewhere.

    Raises:
        KickoffError: There is none (exit 2).
    """
    if context.pull_request is None:
        hint = f"name what it is compared with: kickoff workflow change {option}"
        raise KickoffError("this run is about no pull request", hint=hint)
    return context.pull_request


def _say(context: Context, found: Change, part: str) -> str:
    """Say it in the comment on the pull request; return what was done."""
    request = _request(context, "--base main")
    address = f"\n[{language.say('The run')}]({context.run_url})\n" if context.run_url else ""
    try:
        return pull_request.tell(
            github.repository(),
            request.number,
            found.project,
            pull_request.PLAN,
            part + address,
            begin=found.affected,
        )
    except gh.GitHubError as error:
        if not (request.fork and error.status == _FORBIDDEN):
            raise
        done = (
            f"#{request.number} comes from a fork, whose runs may not comment: the job summary has the plan"
        )
        github.annotate("notice", done)
        return done
