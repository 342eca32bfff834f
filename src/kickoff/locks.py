"""Locks: environments that people keep from releases, each a ref of the repository that only one can create.

Below ``refs/kickoff/locks``, beside branches and tags: no push event tells of it, no rule of a branch is in
its way, and no clone fetches it unasked. It points to a commit without parents: author, date and message are
who, since when and why. A rollback never asks for locks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kickoff import gh, github
from kickoff.errors import ExitCode, KickoffError

_REFS = "kickoff/locks"
_HINT = "the job needs `contents: read`, or `contents: write` to lock, and GH_TOKEN"
_REFUSED = 422
"""GitHub's answer when a ref that is to be created is there, or one that is to be deleted is not."""


class Lock(NamedTuple):
    """A lock that is held: on which environment, by whose login, since when by GitHub's clock, and why."""

    environment: str
    by: str
    since: datetime
    reason: str

    @property
    def told(self) -> str:
        """Who, since when and why, as one clause."""
        return f"locked by {self.by} since {self.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {self.reason}"


def held(repository: str) -> dict[str, Lock]:
    """Return the locks of a repository by environment.

    Raises:
        GitHubError: GitHub cannot be asked, or refuses (exit code 4); so does everything here.
    """
    # Not the ref by its name: a token that may not read is told "not found", which would be taken for free.
    found = gh.api("GET", f"repos/{repository}/git/matching-refs/{_REFS}/", hint=_HINT)
    commits = {str(one["ref"]).removeprefix(f"refs/{_REFS}/"): one["object"]["sha"] for one in found}
    path = f"repos/{repository}/git/commits"
    return {name: _read(name, gh.api("GET", f"{path}/{sha}", hint=_HINT)) for name, sha in commits.items()}


def _read(environment: str, commit: Mapping[str, Any]) -> Lock:
    author = commit["author"]
    since = datetime.fromisoformat(str(author["date"]))
    return Lock(environment, str(author["name"]), since, str(commit["message"]).strip())


def take(repository: str, environment: str, by: str, reason: str, *, commit: str) -> Lock:
    """Lock an environment; return the lock that holds: of two who ask at once, one is told of the other's.

    Args:
        repository: ``owner/name``.
        environment: Its name.
        by: Login of who wants it.
        reason: Why, in one line.
        commit: Any commit of the repository, whose files the lock's commit borrows.
    """
    commits = f"repos/{repository}/git/commits"
    tree = gh.api("GET", f"{commits}/{commit}", hint=_HINT)["tree"]["sha"]
    author = {"name": by, "email": f"{by}@users.noreply.github.com"}
    document = {"message": reason, "tree": tree, "parents": [], "author": author}
    made = gh.api("POST", commits, document, hint=_HINT)
    try:
        ref = {"ref": f"refs/{_REFS}/{environment}", "sha": made["sha"]}
        gh.api("POST", f"repos/{repository}/git/refs", ref, hint=_HINT)
    except gh.GitHubError as error:
        other = held(repository).get(environment) if error.status == _REFUSED else None
        if other is None:
            raise
        return other
    return _read(environment, made)


def free(repository: str, environment: str) -> None:
    """Unlock an environment, whoever holds it; one that is free already stays so."""
    try:
        gh.api("DELETE", f"repos/{repository}/git/refs/{_REFS}/{environment}", hint=_HINT)
    except gh.GitHubError as error:
        if error.status != _REFUSED or environment in held(repository):
            raise


def require_free(environment: str) -> None:
    """Refuse a release of this run into an environment that is locked.

    Outside GitHub nobody is asked. The holder's own command on a pull request goes on, for that is what they
    locked it for; a push or a dispatch of theirs does not.

    Raises:
        KickoffError: It is locked (exit code 1).
    """
    where = github.context()
    if not where.active or where.act:
        return
    lock = held(where.repository).get(environment)
    if lock is None or (where.comment is not None and where.comment.author == lock.by):
        return
    raise KickoffError(
        f"{environment} is {lock.told}",
        code=ExitCode.REJECTED,
        hint=f"wait, or free it with a comment on any pull request: `.unlock {environment}`",
    )
