"""The comments on a pull request: what it would change, what became of it, and a reply to each command.

Every run edits them in place. In the one that tells of the change, the plan and each environment have a part
of their own between two marks, so that a release to production keeps what the release to staging said.
"""

import re
from collections.abc import Mapping
from typing import Any

from kickoff import gh

PLAN = "release plan"
"""Whose part the plan is; no environment's name has a space."""
LIMIT = 65_536
"""Characters that GitHub takes."""
_HINT = "the job needs `pull-requests: write` and GH_TOKEN"
_END = "<!-- kickoff: end -->"
_PART = re.compile(r"<!-- kickoff part: (.+?) -->\n(.*?)\n" + re.escape(_END), re.DOTALL)


def settle(repository: str, commit: str, project: str, environment: str, part: str) -> list[str]:
    """Let the comment on each pull request of a commit say this of an environment.

    Args:
        repository: ``owner/name``.
        commit: Full id of the commit that was released.
        project: Name of the service, in a repository of several.
        environment: The environment, or several, as the report names them.
        part: Markdown.

    Returns:
        What was done, one sentence for each pull request; none when the commit belongs to none.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4).
    """
    found = gh.listed(f"repos/{repository}/commits/{commit}/pulls", hint=_HINT)
    numbers = [int(one["number"]) for one in found if one["state"] == "open" or one["merged_at"]]
    return [tell(repository, number, project, environment, part) for number in numbers]


def tell(
    repository: str, number: int, project: str, environment: str, part: str, *, begin: bool = True
) -> str:
    """Let the comment on one pull request say this of an environment, or as its plan.

    Args:
        repository: ``owner/name``.
        number: The pull request.
        project: Name of the service, in a repository of several.
        environment: Whose part it is; :data:`PLAN` for the plan.
        part: Markdown.
        begin: Whether to say it where nothing has been said of that yet.

    Returns:
        What was done, in one sentence.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4).
    """
    marker = f"<!-- kickoff: what became of {project} -->"
    written = _written(repository, number, marker)
    if not begin and (written is None or _begins(environment) not in str(written["body"])):
        return f"nothing to say on #{number}"
    body = updated(str(written["body"]) if written else marker, environment, part)
    return _write(repository, number, written, body)


def reply(repository: str, number: int, comment: int, text: str) -> str:
    """Let the one reply to a comment on a pull request say this.

    Args:
        repository: ``owner/name``.
        number: The pull request.
        comment: Number of the comment that is replied to.
        text: Markdown.

    Returns:
        What was done, in one sentence.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4).
    """
    marker = f"<!-- kickoff: reply to {comment} -->"
    return _write(repository, number, _written(repository, number, marker), f"{marker}\n{text.strip()}")


def acknowledge(repository: str, comment: int) -> None:
    """Let the author of a comment see that it was read, by a reaction to it.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4).
    """
    path = f"repos/{repository}/issues/comments/{comment}/reactions"
    gh.api("POST", path, {"content": "eyes"}, hint=_HINT)


def _written(repository: str, number: int, marker: str) -> Mapping[str, Any] | None:
    """Return our comment that begins with a marker; ``None`` where there is none yet."""
    found = gh.listed(f"repos/{repository}/issues/{number}/comments", hint=_HINT)
    return next((one for one in found if _is_ours(one, marker)), None)


def _write(repository: str, number: int, written: Mapping[str, Any] | None, body: str) -> str:
    issues = f"repos/{repository}/issues"
    if written is None:
        gh.api("POST", f"{issues}/{number}/comments", {"body": body}, hint=_HINT)
        return f"commented on #{number}"
    if body == written["body"]:
        return f"#{number} says it already"
    gh.api("PATCH", f"{issues}/comments/{written['id']}", {"body": body}, hint=_HINT)
    return f"updated the comment on #{number}"


def _is_ours(comment: Mapping[str, Any], marker: str) -> bool:
    return comment["user"]["login"] == gh.WORKFLOW and str(comment["body"]).startswith(marker)


def _begins(environment: str) -> str:
    return f"<!-- kickoff part: {environment} -->"


def updated(body: str, environment: str, part: str) -> str:
    """Return a comment in which an environment has another part; others keep theirs. Pure.

    What does not fit is left out, the oldest part first; the new one always stays.

    Args:
        body: The comment as it is.
        environment: Whose part it is.
        part: Markdown.
    """
    marker = body.replace("\r\n", "\n").partition("\n")[0]
    parts = dict(_PART.findall(body.replace("\r\n", "\n")))
    parts.pop(environment, None)
    parts[environment] = part.replace(_END, "").strip()
    while len(text := _joined(marker, parts)) > LIMIT and len(parts) > 1:
        del parts[next(iter(parts))]
    return text


def _joined(marker: str, parts: Mapping[str, str]) -> str:
    texts = [f"{_begins(name)}\n{text}\n{_END}" for name, text in parts.items()]
    return "\n\n".join([marker, *texts])
