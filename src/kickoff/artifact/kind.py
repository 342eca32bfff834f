"""Which kind of artefact a run ships: the target of the environment it deploys to decides."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from kickoff.environment import setting
from kickoff.errors import KickoffError

_KEY = "DEPLOY_TARGET"


class Kind(StrEnum):
    """What a commit is made into."""

    BUNDLE = "bundle"
    IMAGE = "image"


_OF_TARGET = {"local": Kind.BUNDLE, "compose": Kind.IMAGE}


def needed(targets: Mapping[str, str]) -> Kind:
    """Return the one kind that all targets take.

    Args:
        targets: Environment name to its ``DEPLOY_TARGET``; none at all needs no more than a bundle.

    Raises:
        KickoffError: A target is unknown, or two environments take different kinds.
    """
    unknown = next((name for name, target in targets.items() if target not in _OF_TARGET), None)
    if unknown is not None:
        raise KickoffError(
            f"{_KEY} is {targets[unknown]!r}, for which nothing can be built",
            at=f"configs/environments/{unknown}.env",
            hint=f"choose one of {', '.join(_OF_TARGET)}",
        )
    kinds = {_OF_TARGET[target] for target in targets.values()}
    if len(kinds) > 1:
        raise KickoffError(
            f"{' and '.join(sorted(targets))} take different artefacts: {_KEY} differs",
            hint="deploy to one of them at a time",
        )
    return kinds.pop() if kinds else Kind.BUNDLE


def targets(root: Path, deployments: Sequence[str]) -> dict[str, str]:
    """Return the ``DEPLOY_TARGET`` of each environment; secrets are neither needed nor read.

    Raises:
        KickoffError: There is no such environment, or its file does not say.
    """
    return {name: str(setting(name, _KEY, root)) for name in deployments}


def parse(deployments: str) -> list[str]:
    """Return the environments in a plan's JSON list.

    Raises:
        KickoffError: It is no JSON list of names.
    """
    try:
        names = json.loads(deployments)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise KickoffError(
            f"{deployments[:80]!r} is no list of environments", hint='give a JSON list: ["staging"]'
        )
    return names
