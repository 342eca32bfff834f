"""Answers: everything that the generated files depend on, but for the version that generates them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from kickoff import __version__, environments
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError

PLACEHOLDER = "owner/kickoff"
"""The repository of the actions until somebody says where they are published."""
ACTIONS = f"{PLACEHOLDER}@kickoff-v{__version__}"
"""Their source by default: the tag of this version, as a release of Kickoff is tagged."""
_CLASSES = [one.name for one in environments.DEFAULT]
"""The classes of environments: those of a description that declares none are named after them."""
_SOURCE = re.compile(r"[\w.-]+/[\w.-]+@[\w][\w./-]*")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the build, and the paths that it makes for the artefact."""

    run: str
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers.

    Attributes:
        name: The service's name.
        run: Its start command.
        health: Path that answers when it can serve; two, with a blank between, for liveness and readiness.
        language: ``node``, ``python``, ``go``, ``static``, or empty.
        bundle: Paths that are shipped; empty for everything that is committed.
        build: Commands that make what is not committed.
        gate: Command that checks a commit; empty when none was found.
        header: Response header that names the release; ``none`` when the service sends none.
        environments: As ``kickoff.yml`` declares them; empty for the three that are the default.
        default_branch: The branch whose pushes are deployed.
        actions: Repository and ref of the actions: ``OWNER/REPO@REF``.
        docker: Whether containers are wanted.
    """

    name: str = ""
    run: str = ""
    health: str = "/"
    language: str = ""
    bundle: tuple[str, ...] = ()
    build: tuple[Step, ...] = ()
    gate: str = ""
    header: str = "none"
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    default_branch: str = "main"
    actions: str = ACTIONS
    docker: bool = False

    def to_document(self) -> dict[str, Any]:
        """Return the answers as JSON has them."""
        return asdict(self)

    @property
    def paths(self) -> str | Mapping[str, str]:
        """The health path, or those of liveness and readiness by name."""
        live, _, ready = self.health.partition(" ")
        return {"live": live, "ready": ready} if ready else live

    @property
    def placeholder(self) -> bool:
        """True while nobody has said where the actions are published."""
        return self.actions.startswith(f"{PLACEHOLDER}@")


def parse(document: Mapping[str, Any]) -> Answers:
    """Return the answers in a JSON document; what it does not know keeps its default."""
    known = {one.name for one in fields(Answers)}
    given = {name: value for name, value in document.items() if name in known}
    steps = tuple(Step(step["run"], tuple(step["outputs"])) for step in given.get("build", ()))
    return Answers(**{**given, "build": steps, "bundle": tuple(given.get("bundle", ()))})


def overlay(answers: Answers, given: Mapping[str, Any]) -> Answers:
    """Return the answers with those of ``given`` in their place, as far as it has any.

    Raises:
        KickoffError: One of them cannot be right (exit 2).
    """
    return check(
        replace(answers, **{name: value for name, value in given.items() if value not in (None, "")})
    )


def check(answers: Answers) -> Answers:
    """Return the answers when they can be rendered.

    Raises:
        KickoffError: One of them cannot be right (exit 2).
    """
    mistakes = {
        f"--name {answers.name!r} is not a name": (
            not _NAME.fullmatch(answers.name),
            "a small letter, then up to 39 small letters, digits and hyphens, e.g. `--name things`",
        ),
        "--run or --gate has more than one line": (
            "\n" in answers.run + answers.gate,
            "give one command; no shell runs it",
        ),
        f"--health {answers.health!r} is not a path": (
            not re.fullmatch(r"/\S*( /\S*)?", answers.health),
            "begin it with a slash, e.g. `--health /healthz`",
        ),
        f"--actions {answers.actions!r} does not name a repository and a ref": (
            not _SOURCE.fullmatch(answers.actions),
            f"write it as OWNER/REPO@REF, e.g. `kickoff init --actions {ACTIONS}`",
        ),
    }
    for name in answers.environments:
        mistakes[f"--env {name!r} is not the name of an environment"] = (
            not _ENVIRONMENT.fullmatch(str(name)),
            "a small letter, then up to 30 small letters, digits and hyphens, e.g. `--env qa`",
        )
    for message, (wrong, hint) in mistakes.items():
        if wrong:
            raise KickoffError(message, hint=hint)
    return answers


def promoted(answers: Answers, names: Sequence[str], label: str) -> Answers:
    """Return the answers with environments of these names; without any, a neighbour among projects gets some.

    Tags are the repository's, so those of a project with neighbours begin with its name.

    Args:
        answers: The answers.
        names: The environments, in promotion order; empty to leave them as they are.
        label: Tells the project from its neighbours; empty for one at the repository's top.

    Raises:
        KickoffError: One of them is not the name of an environment (exit 2).
    """
    if not names and (answers.environments or not label):
        return answers
    tag = f"{label}-v*" if label else "v*"
    return check(
        replace(answers, environments=promotion(list(names) or _CLASSES, answers.default_branch, tag))
    )


def promotion(names: list[str], default_branch: str, tag: str = "v*") -> dict[str, dict[str, str]]:
    """Return the environments of these names, in promotion order, with their triggers.

    The last gets tags of what the one before it has proved, that one every push of the default branch, and
    those before are deployed to by hand. A single one gets every push.
    """
    if names == _CLASSES and tag == "v*":
        return {}
    declared: dict[str, dict[str, str]] = {name: {} for name in names}
    if len(names) > 1:
        declared[names[-1]] = {"tag": tag, "after": names[-2]}
        declared[names[-2]] = {"branch": default_branch}
    elif names:
        declared[names[0]] = {"branch": default_branch}
    return declared


def class_of(one: DeclaredEnvironment) -> str:
    """Return the class of an environment: by its name, otherwise by what it demands and what triggers it."""
    if one.name in _CLASSES:
        return one.name
    if one.after:
        return "production"
    return "staging" if one.branch or one.tag else "development"
