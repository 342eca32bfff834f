"""Rendering: from answers and a version to the files of a project; pure, without disk or network."""

import json
import shlex
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
        if answers.docker and kind != "development":
            files[f"docker-compose.{name}.yml"] = fill(
                "docker-compose.yml.j2", environment=name, name=answers.name
            )
    if answers.docker:
        files["Dockerfile"] = fill(
            "Dockerfile.j2",
            build=answers.build,
            command=_in_container(answers.run),
            language=answers.language,
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


def _in_container(run: str) -> str:
    """Return a start command as a Dockerfile has it: a list, on the port that a colour listens on."""
    words = [word.replace("{port}", "8000") for word in shlex.split(run)]
    return json.dumps([word.replace("127.0.0.1", "0.0.0.0") for word in words])  # noqa: S104 - a container's own
