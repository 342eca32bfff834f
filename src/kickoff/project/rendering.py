"""Rendering: from answers and a version to the files of a project; pure, without disk or network."""

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from itertools import count

from kickoff import environments
from kickoff.environments import DeclaredEnvironment
from kickoff.project import workflows
from kickoff.project.answers import Answers, class_of
from kickoff.project.templating import fill
from kickoff.service import CONFIG

DESCRIPTION = str(CONFIG)
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
    declared: Sequence[DeclaredEnvironment] = (),
    *,
    secrets: Collection[str] = (),
    notify: Collection[str] = (),
    ports: Mapping[str, int] | None = None,
    taken: Collection[int] = (),
    folder: str = "",
) -> dict[str, str]:
    """Return the files of a project by path, as seen from its folder.

    Args:
        answers: What was asked, found or said.
        version: The version of Kickoff that generates them; it stands in the workflows' headers.
        declared: The environments of the description that stays in the project; by default those of the
            answers.
        secrets: Names of the secrets that the workflows hand on.
        notify: Names of the secrets with the addresses of those who are told what became of a run.
        ports: Ports of environments that have one; the others get free ones.
        taken: More ports that are not free.
        folder: The project's folder below the repository's top; empty for the top itself.
    """
    files = {DESCRIPTION: fill("kickoff.yml.j2", answers=answers)}
    declared = declared or environments.parse(answers.environments or None, files[DESCRIPTION], DESCRIPTION)
    given = dict(ports or {})
    for one in declared:
        name, kind = one.name, class_of(one)
        used = {*given.values(), *taken}
        given.setdefault(name, next(port for port in count(_FIRST_PORT, _STEP) if port not in used))
        files[f"configs/environments/{name}.env"] = fill(
            "environment.env.j2",
            kind=kind,
            local=not answers.docker and kind != "development",
            name=name,
            port=given[name],
            purpose=_PURPOSES[kind],
        )
        if answers.docker and kind != "development":
            files[f"docker-compose.{name}.yml"] = fill(
                "docker-compose.yml.j2", environment=name, name=answers.name
            )
    if answers.docker:
        files["Dockerfile"] = _dockerfile(answers)
    repository, _, ref = answers.actions.partition("@")
    files |= workflows.render(
        environments=declared,
        default_branch=answers.default_branch,
        actions=f"{repository}/actions@{ref}",
        version=version,
        secrets=secrets,
        notify=notify,
        also=("ci.yml",),
        folder=folder,
        label=answers.name if folder else "",
    )
    return files


def _dockerfile(answers: Answers) -> str:
    command = _in_container(answers.run)
    return fill("Dockerfile.j2", build=answers.build, command=command, language=answers.language)


def _in_container(run: str) -> str:
    """Return a start command as a Dockerfile has it: a list, on the port that a colour listens on."""
    words = [word.replace("{port}", "8000") for word in shlex.split(run)]
    return json.dumps([word.replace("127.0.0.1", "0.0.0.0") for word in words])  # noqa: S104 - a container's own
