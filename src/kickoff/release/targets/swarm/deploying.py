"""Putting services into the Swarm: by Docker's own `stack deploy`, which knows what a compose file means."""

import base64
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kickoff.artifact import registry
from kickoff.docker_cli import Docker, reaching
from kickoff.environment import Environment
from kickoff.environment.export import compose as compose_format
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.release.folder import environment_of, workers_of
from kickoff.release.model import Colour
from kickoff.release.stores.etcd_keys import Keys
from kickoff.release.stores.etcd_members import Members
from kickoff.release.targets.compose import release_file
from kickoff.release.targets.compose.services import HOOKS, LISTENING
from kickoff.release.targets.swarm import documents
from kickoff.release.targets.swarm.inventory import HOOK, PROXY, PULL
from kickoff.stack import Compose, Stack, file_of, release_only
from kickoff.stack.compose import install_files

_SECONDS = 120
_NOTHING = ["/kickoff-only-pulls-the-image"]
"""A program that no image has: a container is made, and so the image was pulled, and nothing of it runs."""


class Deploying:
    """The stacks of one environment.

    Args:
        root: Its state folder.
        environment: The environment.
        stack: Its compose file, and what it is resolved with.
    """

    def __init__(self, root: Path, environment: Environment, stack: Stack) -> None:
        self.root = root
        self.environment = environment
        self.stack = stack

    def around(self) -> None:
        """Put everything into the Swarm that the compose file has and no release starts.

        Raises:
            KickoffError: The file cannot be understood (exit 2), or the Swarm refuses (exit 4).
        """
        folder = self.stack.compose.folder
        install_files(self.stack.root, self.stack.name, folder)
        own = self.stack.folder / "swarm.env"
        write_atomic(own, compose_format(self._etcd()), mode=0o600)
        resolved = Compose(folder, file_of(self.stack.name), [*self.stack.compose.env_files, own]).resolved()
        released = release_only(resolved)["services"]
        if PROXY not in resolved["services"]:
            raise KickoffError(
                "the stack has no service traefik, so nobody would be led to a release",
                at=file_of(self.stack.name),
                hint="docs/how-to/swarm.md shows one",
            )
        self._deploy(self.stack.project, documents.around(resolved, released, self.stack.project))

    def _etcd(self) -> dict[str, str]:
        """Return what Traefik has to know to read the route."""
        members = Members.of(self.root)
        return {
            "KICKOFF_ETCD_ENDPOINTS": ",".join(urlsplit(one).netloc for one in members.endpoints),
            "KICKOFF_ROUTE_KEY": Keys.of(self.root).route.rstrip("/"),
            "KICKOFF_ETCD_CA": members.ca,
            "KICKOFF_ETCD_CERTIFICATE": members.certificate,
            "KICKOFF_ETCD_KEY": members.key,
        }

    def web(self, folder: Path, name: str, labels: Mapping[str, str]) -> None:
        """Start a release's web process; ``NAME-1`` … are the host names of its instances."""
        colour = labels[documents.COLOUR]
        self._start(folder, name, {"web": (colour, labels, {"hostname": f"{name}-{{{{.Task.Slot}}}}"})})

    def workers(
        self, folder: Path, name: str, colour: Colour, labels: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Start a release's workers: the colour's service with other commands, reached by nobody."""
        commands = {worker: list(one["command"]) for worker, one in workers_of(folder).items()}
        self._start(
            folder,
            name,
            {
                worker: (str(colour), own, {"command": commands[worker], "healthcheck": {"disable": True}})
                for worker, own in labels.items()
            },
        )

    def hook(self, folder: Path, command: tuple[str, ...], given: Mapping[str, str]) -> None:
        """Start a command of a release, to run once."""
        # No job in the Swarm's sense: such a one is run again until it does not fail.
        once = {"replicas": 1, "restart_policy": {"condition": "none"}}
        self._start(
            folder, f"hook-{secrets.token_hex(3)}",
            {"hook": (HOOKS, self._labels(HOOK), {"command": list(command), "deploy": once})},
            given,
        )  # fmt: skip

    def pull(self, folder: Path) -> None:
        """Have every node pull a release's image that may be given a task of it."""
        once = {"mode": "global", "restart_policy": {"condition": "none"}}
        document = self._document(folder)
        own = documents.process(
            document, str(Colour.BLUE), self._labels(PULL), {}, entrypoint=_NOTHING, command=[],
            healthcheck={"disable": True}, volumes=[], environment={}, deploy=once,
        )  # fmt: skip
        own["deploy"].pop("replicas", None)
        name = f"{self.stack.project}-pull-{secrets.token_hex(3)}"
        self._deploy(name, documents.stack(document, {"pull": own}, {}))

    def _labels(self, process: str) -> dict[str, str]:
        return {documents.PROJECT: self.stack.project, documents.PROCESS: process}

    def _start(
        self,
        folder: Path,
        name: str,
        processes: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, Any]]],
        given: Mapping[str, str] = {},
    ) -> None:
        document, files = self._document(folder), self._secrets(folder)
        # The Swarm takes no secret without content, and there is nothing to hide in one.
        empty = {name.upper(): "" for name, file in files.items() if not Path(file).stat().st_size}
        files = {name: file for name, file in files.items() if name.upper() not in empty}
        services = {}
        for process, (service, labels, replaced) in processes.items():
            own = documents.process(document, service, labels, files, **replaced)
            own["environment"] = {**own["environment"], **empty, **given}
            services[process] = own
        self._deploy(f"{self.stack.project}-{name}", documents.stack(document, services, files))

    def _document(self, folder: Path) -> dict[str, Any]:
        return release_file.startable(folder, self.stack, self.environment, LISTENING)

    def _secrets(self, folder: Path) -> dict[str, str]:
        """Return the file of each secret of a release by its name."""
        held = environment_of(folder).keys() & self.environment.secrets
        return {key.lower(): str(folder / release_file.SECRETS / key.lower()) for key in sorted(held)}

    def _deploy(self, name: str, document: Mapping[str, Any]) -> None:
        # With the variables of the release, and gone at once: the Swarm has its own copy.
        with tempfile.TemporaryDirectory(dir=self.root) as scratch:
            place = Path(scratch)
            file = place / "stack.json"
            write_atomic(file, json.dumps(document), mode=0o600)
            Docker(reaching() | _login(place, document), place).run(
                "stack", "deploy", "--detach=true", "--resolve-image=never", "--with-registry-auth",
                "--compose-file", str(file), name, seconds=_SECONDS,
            )  # fmt: skip


def _login(place: Path, document: Mapping[str, Any]) -> dict[str, str]:
    """Return where the command line finds the registry's credentials; they pass through no argument."""
    hosts = {}
    for service in document["services"].values():
        if found := registry.credentials(service["image"], os.environ):
            text = base64.b64encode(":".join(found).encode()).decode()
            hosts[service["image"].partition("/")[0]] = {"auth": text}
    if not hosts:
        return {}
    write_atomic(place / "config.json", json.dumps({"auths": hosts}), mode=0o600)
    return {"DOCKER_CONFIG": str(place)}
