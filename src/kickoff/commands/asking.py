"""Asking GitHub what the rules of a command judge by: the author, the pull request, and its last commit."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from kickoff import gh
from kickoff.commands.rules import Candidate, Request

_HINT = "the job needs `checks: read`, `contents: read`, `pull-requests: read`, `statuses: read` and GH_TOKEN"
_NOT_FOUND = 404


def permission(repository: str, author: str) -> str:
    """Return how much somebody may: ``admin``, ``write``, ``read`` or ``none``.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4).
    """
    path = f"repos/{repository}/collaborators/{quote(author, safe='')}/permission"
    try:
        return str(gh.api("GET", path, hint=_HINT)["permission"])
    except gh.GitHubError as error:
        if error.status == _NOT_FOUND:  # no user any more, or an app
            return "none"
        raise


def request(repository: str, number: int) -> tuple[Request, str]:
    """Return a pull request as it stands, and the name of its branch.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4).
    """
    found = gh.api("GET", f"repos/{repository}/pulls/{number}", hint=_HINT)
    head, base = found["head"], found["base"]
    theirs = (head["repo"] or {}).get("full_name")  # the repository of a fork may be gone
    fork, is_open = theirs != base["repo"]["full_name"], found["state"] == "open"
    return Request(str(base["ref"]), str(head["sha"]), is_open, bool(found["draft"]), fork), str(head["ref"])


def candidate(repository: str, found: Request, branch: str) -> Candidate:
    """Return what GitHub knows of the last commit of a pull request's branch, in the same repository.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4).
    """
    root = f"repos/{repository}"
    # The date in a commit is whatever its author writes there; this one is GitHub's own.
    path = f"{root}/activity?ref={quote(f'refs/heads/{branch}', safe='')}&per_page=1"
    last = next(iter(gh.api("GET", path, hint=_HINT)), None)
    arrived = None
    if last is not None and last["after"] == found.head:
        arrived = datetime.fromisoformat(str(last["timestamp"]))
    base = gh.api("GET", f"{root}/branches/{quote(found.base, safe='')}", hint=_HINT)["commit"]["sha"]
    compared = gh.api("GET", f"{root}/compare/{base}...{found.head}?per_page=1", hint=_HINT)
    return Candidate(arrived, list(_checks(f"{root}/commits/{found.head}")), int(compared["behind_by"]))


def _checks(commit: str) -> Iterator[tuple[str, str]]:
    """Yield name and result of every check and status of a commit.

    Those of the command's own run are not among them: it is a run of the default branch's commit.
    """
    for one in gh.listed(f"{commit}/check-runs", "check_runs", hint=_HINT):
        yield str(one["name"]), str(one["conclusion"] if one["status"] == "completed" else one["status"])
    for one in gh.listed(f"{commit}/status", "statuses", hint=_HINT):
        yield str(one["context"]), str(one["state"])
