"""Names of a project's workflows and of what their runs keep: a repository may have several projects."""

import os
from pathlib import Path, PurePosixPath

from kickoff import git

WORKFLOWS = ".github/workflows"
"""Folder of the workflows, below the repository's top."""


def label(root: Path, service: str) -> str:
    """Return what tells the project's names from its neighbours'; empty for one at the repository's top."""
    return service if git.below_top(root) else ""


def named(what: str, label: str) -> str:
    """Return a name as the project's own, e.g. ``proof-api``."""
    return f"{what}-{label}" if label else what


def file(kind: str, label: str) -> str:
    """Return the name of a workflow's file, e.g. ``cd-api.yml``."""
    return f"{named(kind, label)}.yml"


def workflow(kind: str, label: str) -> str:
    """Return the path of a workflow below the repository's top, e.g. ``.github/workflows/cd-api.yml``."""
    return f"{WORKFLOWS}/{file(kind, label)}"


def from_project(path: str, below: str) -> str:
    """Return the path of a file of the repository as seen from a project's folder, e.g. ``../../README.md``.

    Args:
        path: The file below the repository's top.
        below: The project's folder below it; empty for the top itself.
    """
    return "/".join([*[os.pardir] * len(PurePosixPath(below).parts), path])
