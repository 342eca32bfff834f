"""Kinds of artefact that a commit is built into, and the list of environments that a run deploys to."""

import json
from enum import StrEnum

from kickoff.errors import KickoffError


class Kind(StrEnum):
    """A kind of artefact."""

    BUNDLE = "bundle"
    IMAGE = "image"


def parse(deployments: str) -> list[str]:
    """Return the environments in a plan's JSON list.

    Raises:
        KickoffError: It is not a JSON list of names.
    """
    try:
        names = json.loads(deployments)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise KickoffError(
            f"{deployments[:80]!r} is not a list of environments", hint='give a JSON list: ["staging"]'
        )
    return names
