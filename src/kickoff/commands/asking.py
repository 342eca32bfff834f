"""Asking GitHub what the rules of a command judge by: the author, the pull request, and its last commit."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from kickoff import gh
from kickoff.commands.rules import Request

_HINT = "the job needs `checks: read`, `contents: read`, `pull-requests: read`, `statuses: read` and GH_TOKEN"
_NOT_FOUND = 404


def permission(repository: str, author: str) -> str:
    """Return how much somebody may: ``admin``, ``write``, ``read`` or ``none``.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4); so does everything here.
    """
    path = f"repos/{repository}/collaborators/{quote(author, safe='')}/permission"
    try:
        return str(gh.api("GET", path, hint=_HINT)["permission"])
    except gh.GitHubError as error:
        if error.status == _NOT_FOUND:  # no user any more, or an app
            return "none"
        raise


def request(repository: str, number: int) -> Request:
    """Return a pull request as it stands, but for what :func:`judged` adds."""
    found = gh.api("GET", f"repos/{repository}/pulls/{number}", hint=_HINT)
    head, base = found["head"], found["base"]
    return Request(
        base=str(base["ref"]),
        branch=str(head["ref"]),
        head=str(head["sha"]),
        open=found["state"] == "open",
        draft=bool(found["draft"]),
        # The repository of a fork may be gone.
        fork=(head["repo"] or {}).get("full_name") != base["repo"]["full_name"],
    )


def judged(repository: str, found: Request) -> Request:
    """Return a pull request with what GitHub knows of its last commit."""
    root = f"repos/{repository}"
    # The date in a commit is whatever its author writes there; this one is GitHub's own.
    path = f"{root}/activity?ref={quote(f'refs/heads/{found.branch}', safe='')}&per_page=1"
    times = [one["timestamp"] for one in gh.api("GET", path, hint=_HINT) if one["after"] == found.head]
    base = gh.api("GET", f"{root}/branches/{quote(found.base, safe='')}", hint=_HINT)["commit"]["sha"]
    compared = gh.api("GET", f"{root}/compare/{base}...{found.head}?per_page=1", hint=_HINT)
    return replace(
        found,
        arrived=datetime.fromisoformat(str(times[0])) if times else None,
        checks=tuple(_checks(f"{root}/commits/{found.head}")),
        behind=int(compared["behind_by"]),
    )


def _checks(commit: str) -> Iterator[tuple[str, str]]:
    """Yield name and result of every check and status of a commit.

    Those of the command's own run are not among them: it is a run of the default branch's commit.
    """
    for one in gh.listed(f"{commit}/check-runs", "check_runs", hint=_HINT):
        yield str(one["name"]), str(one["conclusion"] if one["status"] == "completed" else one["status"])
    for one in gh.listed(f"{commit}/status", "statuses", hint=_HINT):
        yield str(one["context"]), str(one["state"])
