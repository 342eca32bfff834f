"""The rules of a command: who may have what done, to which commit, and where. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from kickoff.commands.words import Command
from kickoff.environments import DeclaredEnvironment
from kickoff.locks import Lock

_MAY_WRITE = ("write", "admin")
_GREEN = ("success", "neutral", "skipped")
_NAMED = 5
"""Most checks that a refusal names."""


@dataclass(frozen=True, slots=True)
class Request:
    """A pull request, and what GitHub knows of the last commit of its branch.

    Attributes:
        base: Name of the branch that it goes into.
        branch: Name of its branch.
        head: The last commit of that, 40 hexadecimal digits: what would be deployed.
        open: Whether it is neither closed nor merged.
        draft: Whether it is a draft.
        fork: Whether its branch is in another repository, or gone; then the rest is not known.
        arrived: When the branch came to that commit, by GitHub's clock; ``None`` where it is at another one
            by now, or GitHub does not say.
        checks: Name and result of each check and status of the commit; another word while it is not complete.
        behind: Commits of the base that the branch lacks.
    """

    base: str
    branch: str
    head: str
    open: bool
    draft: bool
    fork: bool
    arrived: datetime | None = None
    checks: Sequence[tuple[str, str]] = ()
    behind: int = 0


class Refusal(NamedTuple):
    """A rule that does not let a command through: its id, what is so, and what to do."""

    rule: str
    why: str
    fix: str


def of_author(author: str, permission: str) -> Iterator[Refusal]:
    """Yield why somebody with a permission, as the API names it, may command nothing."""
    if permission not in _MAY_WRITE:
        why = f"{author} may not write to this repository"
        yield Refusal("permission", why, "ask somebody who may to write the command")


def of_environment(command: Command, declared: Sequence[DeclaredEnvironment]) -> Iterator[Refusal]:
    """Yield why the environment of a command is not one that it can be about."""
    names = [one.name for one in declared]
    into = next((one for one in declared if one.name == command.environment), None)
    if command.environment and into is None:
        why = f"{command.environment[:40]} is not an environment"
        yield Refusal("environment", why, f"name one of {', '.join(names)}")
    elif command.word == "deploy" and into is not None and not into.comment_deploys:
        fix = "merge a change that says `comment_deploys: true` in kickoff.yml; `.help` says which take them"
        yield Refusal("comment-deploys", f"{into.name} takes no deploys by comment", fix)


def of_request(command: Command, request: Request) -> Iterator[Refusal]:
    """Yield why a pull request is not one that a command can be about: even its files stay unread then."""
    if request.fork:
        fix = "push it to a branch of this repository, after a review"
        yield Refusal("fork", "the branch is in another repository", fix)
    if not request.open:
        yield Refusal("open", "the pull request is closed", "reopen it")
    if command.word == "deploy" and request.draft:
        yield Refusal("draft", "the pull request is a draft", "mark it as ready for review")


def of_commit(request: Request, commented: datetime, bases: Sequence[str]) -> Iterator[Refusal]:
    """Yield why the last commit of a pull request's branch is not deployed.

    Args:
        request: The pull request, which is of no fork.
        commented: When the comment was written.
        bases: Branches that it may go into.
    """
    commit = request.head[:7]
    if request.base not in bases:
        fix = f"let it go into {' or '.join(bases)}"
        yield Refusal("base", f"the pull request goes into {request.base}", fix)
    if request.arrived is None or request.arrived >= commented:
        why = f"{commit} was pushed after the comment, or GitHub does not say when"
        yield Refusal("moved", why, "look at the commits, then write the command again")
    if other := [f"{name} ({result})" for name, result in request.checks if result not in _GREEN]:
        rest = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        why = f"not every check of {commit} has passed: {', '.join(other[:_NAMED])}{rest}"
        yield Refusal("checks", why, "wait until they have, or mend what they found")
    elif not any(result == "success" for _, result in request.checks):
        yield Refusal("checks", f"no check of {commit} has passed", "let one run, such as ci.yml")
    if request.behind:
        why = f"the branch lacks {request.behind} of the commits of {request.base}"
        yield Refusal("behind", why, f"update it from {request.base}")


def of_lock(lock: Lock | None, author: str) -> Iterator[Refusal]:
    """Yield why the environment of a lock takes nothing of somebody."""
    if lock is not None and lock.by != author:
        fix = f"wait, or free it: `.unlock {lock.environment}`"
        yield Refusal("locked", f"{lock.environment} is {lock.told}", fix)
