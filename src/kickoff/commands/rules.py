"""The rules of a command: who may have what done, to which commit, and where. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from kickoff.commands.words import Command
from kickoff.environments import DeclaredEnvironment
from kickoff.locks import Lock

MAY_WRITE = ("write", "admin")
"""Levels of permission, as the API names them: those that include pushing to the repository."""
_GREEN = ("success", "neutral", "skipped")
_NAMED = 5
"""Most checks that a refusal names."""


@dataclass(frozen=True, slots=True)
class Request:
    """A pull request as it stands.

    Attributes:
        base: Name of the branch that it goes into.
        head: The last commit of its branch, 40 hexadecimal digits: what would be deployed.
        open: Whether it is neither closed nor merged.
        draft: Whether it is a draft.
        fork: Whether its branch is in another repository, or gone.
    """

    base: str
    head: str
    open: bool
    draft: bool
    fork: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """What GitHub knows of the last commit of a pull request's branch.

    Attributes:
        arrived: When the branch came to that commit, by GitHub's clock; ``None`` where it is at another one
            by now, or GitHub does not say.
        checks: Result of each check and status of the commit by name; another word while it is not complete.
        behind: Commits of the base that the branch lacks.
    """

    arrived: datetime | None
    checks: Sequence[tuple[str, str]]
    behind: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that does not let a command through.

    Attributes:
        rule: Its id.
        why: What is so, in one sentence.
        fix: What to do.
    """

    rule: str
    why: str
    fix: str


def of_author(author: str, permission: str) -> Iterator[Refusal]:
    """Yield why the author of a comment may command nothing."""
    if permission not in MAY_WRITE:
        why = f"{author} may not write to this repository"
        yield Refusal("permission", why, "ask somebody who may to write the command")


def of_environment(command: Command, declared: Sequence[DeclaredEnvironment]) -> Iterator[Refusal]:
    """Yield why the environment of a command is not one that it can be about."""
    names = [one.name for one in declared]
    if command.environment and command.environment not in names:
        yield Refusal("environment", f"{command.environment[:40]} is not an environment", _one_of(names))
        return
    open_to = [one.name for one in declared if one.comment_deploys]
    if command.word == "deploy" and command.environment not in open_to:
        why = f"{command.environment} takes no deploys by comment"
        fix = f"{_one_of(open_to)}; or merge a change that says `comment_deploys: true` in kickoff.yml"
        yield Refusal("comment-deploys", why, fix)


def of_request(command: Command, request: Request) -> Iterator[Refusal]:
    """Yield why a pull request is not one that a command can be about: even its files stay unread then."""
    if request.fork:
        why = "the branch is in another repository"
        yield Refusal("fork", why, "push it to a branch of this repository, after a review")
    if not request.open:
        yield Refusal("open", "the pull request is closed", "reopen it")
    if command.word == "deploy" and request.draft:
        yield Refusal("draft", "the pull request is a draft", "mark it as ready for review")


def of_candidate(
    request: Request,
    candidate: Candidate,
    *,
    into: DeclaredEnvironment,
    default_branch: str,
    commented: datetime,
    author: str,
    lock: Lock | None,
) -> Iterator[Refusal]:
    """Yield why the last commit of a pull request's branch is not deployed by this comment.

    Args:
        request: The pull request.
        candidate: Its last commit.
        into: The environment, with the name of the default branch in the place of ``HEAD``.
        default_branch: Name of the repository's default branch.
        commented: When the comment was written.
        author: Login of who wrote it.
        lock: The lock of the environment, if it has one.
    """
    bases = {default_branch, into.branch} - {""}
    if request.base not in bases:
        why = f"the pull request goes into {request.base}"
        yield Refusal("base", why, f"let it go into {' or '.join(sorted(bases))}")
    if candidate.arrived is None or candidate.arrived >= commented:
        why = f"{request.head[:7]} was pushed after the comment, or GitHub does not say when"
        yield Refusal("moved", why, "look at the commits, then write the command again")
    yield from _of_checks(request.head, candidate.checks)
    if candidate.behind:
        why = f"the branch lacks {candidate.behind} of the commits of {request.base}"
        yield Refusal("behind", why, f"update it from {request.base}")
    if lock is not None and lock.by != author:
        fix = f"wait, or free it: `.unlock {into.name}`"
        yield Refusal("locked", f"{into.name} is {lock.told}", fix)


def _of_checks(head: str, checks: Sequence[tuple[str, str]]) -> Iterator[Refusal]:
    other = [f"{name} ({result})" for name, result in checks if result not in _GREEN]
    if other:
        rest = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        why = f"not every check of {head[:7]} has passed: {', '.join(other[:_NAMED])}{rest}"
        yield Refusal("checks", why, "wait until they have, or mend what they found")
    elif not any(result == "success" for _, result in checks):
        yield Refusal("checks", f"no check of {head[:7]} has passed", "let one run, such as ci.yml")


def _one_of(names: Sequence[str]) -> str:
    return f"name one of {', '.join(names)}" if names else "there is none"
