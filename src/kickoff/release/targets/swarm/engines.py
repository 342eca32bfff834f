"""The engines of the nodes, for what the managers do not tell: usage and sockets of a container."""

from collections.abc import Iterator

import docker.errors
import requests
from docker.models.containers import Container

from kickoff.errors import KickoffError
from kickoff.release.targets.compose.engine import Engine
from kickoff.release.targets.swarm.cluster import Node

_SECONDS = 5
"""How long an answer of a node's engine may take; one that is lost gives none."""


class Engines:
    """Engines by node.

    Args:
        template: Address of a node's engine, with ``{name}`` and ``{address}`` for those of the node; empty
            where none can be reached. Then nothing is known of them, and nothing is made up.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        self._opened: dict[str, Engine] = {}

    def container(self, node: Node | None, identity: str) -> Iterator[tuple[Engine, Container]]:
        """Yield a node's engine and a container there; nothing where it cannot be reached or is gone."""
        if not self._template or node is None or not node.ready or not identity:
            return
        address = self._template.format(name=node.name, address=node.address)
        engine = self._opened.setdefault(address, Engine(address, _SECONDS))
        try:
            found = engine.api.containers.get(identity)
        except (KickoffError, docker.errors.DockerException, requests.RequestException):
            engine.close()
            del self._opened[address]
            return
        yield engine, found
