"""The Docker engine of this host: containers and images of a stack, asked of its API."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
from docker.models.containers import Container
from docker.utils import kwargs_from_env

from kickoff import masking
from kickoff.artifact import registry
from kickoff.errors import ExitCode, KickoffError

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_ESTABLISHED, _LISTENING = "01", "0A"
_RESOLVER = "0B00007F:"
"""Docker's own resolver, 127.0.0.11, which listens in every container."""


class Engine:
    """An engine, opened when it is asked first.

    Args:
        address: Its address; empty for the one that Docker's own variables name.
        seconds: How long an answer may take.
    """

    def __init__(self, address: str = "", seconds: int = 60) -> None:
        self._address, self._seconds = address, seconds
        self._seen: dict[tuple[str, str], Container] = {}

    @cached_property
    def api(self) -> docker.DockerClient:
        """The engine's API.

        Raises:
            KickoffError: It does not answer (exit 4).
        """
        with answering():
            own = {"base_url": self._address} if self._address else kwargs_from_env()
            client = docker.DockerClient(**own, timeout=self._seconds)
        client.api.trust_env = False  # an engine is a host of ours, also where DOCKER_HOST names another one
        return client

    def close(self) -> None:
        """Close what was opened."""
        if "api" in self.__dict__:
            self.api.close()

    def root(self) -> Path:
        """Return the folder in which the engine keeps its images."""
        with answering():
            return Path(self.api.info()["DockerRootDir"])

    def services(self, project: str, label: str) -> list[str]:
        """Return the services of a compose project that have a container with a label, running or not."""
        labels = [f"{_PROJECT}={project}", label]
        with answering():
            found = self.api.containers.list(all=True, sparse=True, filters={"label": labels})
        return sorted({str(container.attrs["Labels"][_SERVICE]) for container in found})

    def container(self, project: str, service: str) -> Container | None:
        """Return the container of a service of a compose project as it is now, running or not."""
        seen = self._seen.pop((project, service), None)
        with answering():
            if seen is not None:  # to look at one is a third of finding it
                with suppress(docker.errors.NotFound):
                    return self._remember(project, service, self.api.containers.get(str(seen.id)))
            labels = [f"{_PROJECT}={project}", f"{_SERVICE}={service}"]
            found = self.api.containers.list(all=True, filters={"label": labels})
        # A one-off container of `docker compose run` belongs to its service, too.
        named = [c for c in found if c.labels.get("com.docker.compose.oneoff") != "True"]
        return self._remember(project, service, named[0]) if named else None

    def _remember(self, project: str, service: str, container: Container) -> Container:
        self._seen[project, service] = container
        return container

    def given(self, container: Container) -> dict[str, str]:
        """Return the variables that a container was given beside those of its image."""
        with answering():
            own = set(self.api.images.get(container.attrs["Image"]).attrs["Config"].get("Env") or [])
        pairs = [entry.partition("=") for entry in container.attrs["Config"]["Env"] if entry not in own]
        return {name: value for name, _, value in pairs}

    def usage(self, container: Container) -> tuple[int, float, float]:
        """Return memory, processor time and how many processors a container may use."""
        with answering():
            try:
                stats = self.api.api.stats(str(container.id), stream=False, one_shot=True)
            except docker.errors.NotFound:
                return 0, 0.0, 1.0
        return *usage(stats), processors(container.attrs["HostConfig"], stats)

    def last_end(self, container: Container) -> str:
        """Return how a container ended last; empty where no event of it is left.

        Of a container that was started again, its own state keeps no exit code.
        """
        wanted = {"type": "container", "container": container.id, "event": "die"}
        with answering():
            events = self.api.events(since=0, until=int(time.time()) + 1, filters=wanted, decode=True)
            codes = [event["Actor"]["Attributes"]["exitCode"] for event in events]
        return f"exited with code {codes[-1]}" if codes else ""

    def pull(self, reference: str) -> None:
        """Pull an image by its digest, unless it is there.

        Raises:
            KickoffError: The registry does not give it (exit 4).
        """
        with answering():
            try:
                self.api.images.get(reference)
            except docker.errors.ImageNotFound:
                pass
            else:
                return
            repository, _, digest = reference.partition("@")
            try:
                self.api.images.pull(repository, tag=digest, auth_config=_login(repository))
            except (docker.errors.ImageNotFound, docker.errors.APIError) as error:
                raise KickoffError(
                    f"the image cannot be pulled: {reference}",
                    code=ExitCode.UNREACHABLE,
                    causes=[str(error.explanation or error)],
                    hint="check the registry's address, and REGISTRY_USERNAME with REGISTRY_PASSWORD",
                ) from None

    def has(self, reference: str) -> bool:
        """Return whether the engine has an image of that name."""
        with answering():
            try:
                self.api.images.get(reference)
            except docker.errors.ImageNotFound:
                return False
        return True

    def layers(self, reference: str) -> int:
        """Return how many layers an image has that the engine has."""
        with answering():
            return len(self.api.images.get(reference).attrs["RootFS"].get("Layers") or [])

    def known_layers(self) -> set[str]:
        """Return the layers that the engine has, by the hash of their content."""
        found: set[str] = set()
        with answering():
            for entry in self.api.api.images(quiet=True):
                with suppress(docker.errors.NotFound):  # it was removed meanwhile
                    found.update(self.api.images.get(entry).attrs["RootFS"].get("Layers") or ())
        return found

    def platform(self) -> tuple[str, str]:
        """Return the operating system and the architecture that the engine runs images of."""
        with answering():
            version = self.api.version()
        return str(version["Os"]), str(version["Arch"])

    def fetch(self, source: str, digest: str, reference: str) -> None:
        """Pull an image by its digest from a source that will be gone, and keep it by a name of its own.

        Nothing is left half: the name appears when all of it has arrived and the engine has compared it with
        its digest; of layers that arrived before, none is fetched again.

        Raises:
            KickoffError: The source does not give it (exit 4).
        """
        repository, _, tag = reference.rpartition(":")
        with answering():
            for event in self.api.api.pull(source, tag=digest, stream=True, decode=True):
                if "error" in event:
                    raise KickoffError(
                        "the image did not arrive",
                        code=ExitCode.UNREACHABLE,
                        causes=[str(event["error"])],
                        hint="stage the release again: what has arrived is not sent again",
                    )
            pulled = f"{source}@{digest}"
            self.api.images.get(pulled).tag(repository, tag)
            self.api.images.remove(pulled)

    def remove_image(self, reference: str) -> None:
        """Remove an image, unless another container uses it."""
        with answering(), _unless_gone():
            self.api.images.remove(reference)

    def remove_container(self, name: str) -> None:
        """Remove a container of that name, running or not; nothing to do is fine."""
        with answering(), _unless_gone():  # or it is being removed already
            self.api.containers.get(name).remove(force=True)


@contextmanager
def answering() -> Iterator[None]:
    """Say in one sentence that the engine does not answer.

    Raises:
        KickoffError: It does not, or refuses (exit 4).
    """
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise KickoffError(
            "the Docker engine does not do what it is asked",
            code=ExitCode.UNREACHABLE,
            causes=[masking.cut(str(error).strip().splitlines()[-1], 300)],
            hint="start it, give this user access to it (group docker), or look at `docker info`",
        ) from None


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Accept that what is to be removed is not there, or that the engine refuses because of a conflict."""
    try:
        yield
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != requests.codes.conflict:
            raise


def established(table: str, port: int) -> int:
    """Count the established connections to a local port in the text of ``/proc/net/tcp``."""
    return _ports(table, _ESTABLISHED).count(port)


def listening(table: str) -> frozenset[int]:
    """Return the local ports that are listened on in the text of ``/proc/net/tcp``."""
    return frozenset(_ports(table, _LISTENING))


def _ports(table: str, state: str) -> list[int]:
    rows = [line.split() for line in table.splitlines() if _RESOLVER not in line]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == state]


def usage(stats: Mapping[str, Any]) -> tuple[int, float]:
    """Return memory in bytes and processor time in seconds from the engine's answer.

    The page cache counts as the container's memory until it is needed; `docker stats` takes it off, too.
    """
    memory = stats.get("memory_stats", {})
    details = memory.get("stats", {})
    cache = details.get("inactive_file", details.get("total_inactive_file", 0))
    cpu = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0)
    return max(0, int(memory.get("usage", 0)) - int(cache)), cpu / 1e9


def processors(limits: Mapping[str, Any], stats: Mapping[str, Any]) -> float:
    """Return how many processors a container may use: its limit, or those of the host."""
    if limits.get("NanoCpus"):
        return float(limits["NanoCpus"]) / 1e9
    if limits.get("CpuQuota", 0) > 0:
        return float(limits["CpuQuota"]) / float(limits.get("CpuPeriod") or 100_000)
    return float(stats.get("cpu_stats", {}).get("online_cpus") or 1)


def _login(repository: str) -> dict[str, str] | None:
    """Return the registry's credentials for the API; they pass through no argument and no file."""
    found = registry.credentials(repository, os.environ)
    return {"username": found[0], "password": found[1]} if found else None


def sockets_of(container: Container) -> str | None:
    """Return the table of a container's TCP sockets; ``None`` when its image cannot show it."""
    with answering():
        code, output = container.exec_run(["cat", "/proc/net/tcp", "/proc/net/tcp6"])
    return output.decode() if code == 0 and isinstance(output, bytes) else None


def address_of(container: Container) -> str:
    """Return an address under which this host reaches a container; empty for none."""
    networks: Mapping[str, Any] = container.attrs["NetworkSettings"]["Networks"]
    return next((str(one["IPAddress"]) for one in networks.values() if one["IPAddress"]), "")
