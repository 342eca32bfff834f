"""Workflows: cd.yml and rollback.yml of a project, rendered from its declared environments."""

from collections.abc import Mapping, Sequence

from kickoff.environments import HEAD, DeclaredEnvironment
from kickoff.project.templating import fill, header


def render(
    *, environments: Sequence[DeclaredEnvironment], default_branch: str, actions: str, version: str
) -> Mapping[str, str]:
    """Return the workflows by path: a stand-in, until the real ones are merged."""
    branches = [default_branch if one.branch == HEAD else one.branch for one in environments if one.branch]
    names = [one.name for one in environments]
    text = fill("cd.yml.j2", actions=actions, branches=branches, header=header(version), names=names)
    return {".github/workflows/cd.yml": text}
