"""Rendering: from answers and a version to the files of a project; pure, without disk or network."""

from collections.abc import Collection, Mapping
from itertools import count
from typing import Any

from kickoff import environments
from kickoff.project import workflows
from kickoff.project.answers import DEFAULTS, Answers, class_of
from kickoff.project.templating import fill

DESCRIPTION = "kickoff.yml"
# Ports of neighbours stay apart, so that a service may use a few more beside its public one.
_FIRST_PORT, _STEP = 8000, 100
_PURPOSES = {
    "development": "A laptop: fast, and without a look at users.",
    "staging": "Where changes are proved.",
    "production": "Where users are: strict limits, and traffic that moves in judged steps.",
}


def render(
    answers: Answers,
    version: str,
    declared: Mapping[str, Mapping[str, Any]] | None = None,
    secrets: Collection[str] = (),
    ports: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Return the files of a project by path.

    Args:
        answers: What was asked, found or said.
        version: The version of Kickoff that generates them; it stands in the workflows' headers.
        declared: The environments that the description in the project declares, when people changed them
            there; by default those of the answers.
        secrets: Names of the secrets that the workflows hand on.
        ports: Ports of environments that have one; the others get free ones.
    """
    files = {DESCRIPTION: fill("kickoff.yml.j2", answers=answers)}
    named = declared or answers.environments or DEFAULTS
    taken = dict(ports or {})
    for name in named:
        kind = class_of(name, named)
        taken.setdefault(name, next(port for port in count(_FIRST_PORT, _STEP) if port not in taken.values()))
        files[f"configs/environments/{name}.env"] = fill(
            "environment.env.j2",
            kind=kind,
            local=not answers.docker and kind != "development",
            name=name,
            port=taken[name],
            purpose=_PURPOSES[kind],
        )
    repository, _, ref = answers.actions.partition("@")
    parsed = environments.parse(declared or answers.environments or None, files[DESCRIPTION], DESCRIPTION)
    files |= workflows.render(
        environments=parsed,
        default_branch=answers.default_branch,
        actions=f"{repository}/actions@{ref}",
        version=version,
        secrets=secrets,
        also=("ci.yml",),
    )
    return files
