"""Changes of a stack that runs on a host, shown and applied; nothing of it happens within a release.

The plan compares two resolved compose files: the one that was applied last, which stands beside the stack's
files, and the one that the project has now. Files that containers mount are compared by content.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kickoff.docker_cli import Docker, reaching
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.stack import declaration
from kickoff.stack.compose import Compose, compose_files, file_of, install_files, project_of, source_of
from kickoff.stack.differences import PROXY, Change, differences, run_once, sources

ALERTS = "kickoff.alerts"
"""Label of the Prometheus whose alerts judge a release; it holds the port."""
RELEASED = "release"
"""Profile of the services that the release engine starts, and the stack never does."""
VALUES = "compose.env"
"""File in the stack's folder: values of the compose files' variables."""
_DYNAMIC = Path("configs/traefik/dynamic")
_UP_SECONDS = 600


class Stack:
    """The stack of one environment on this host.

    Args:
        root: The project.
        name: The environment.
        folder: Holds secrets, rendered files and, in ``files``, what the containers mount.
        routes: Folder that Traefik watches.
    """

    def __init__(self, root: Path, name: str, folder: Path, routes: Path) -> None:
        self.root, self.name, self.folder, self.routes = root, name, folder, routes
        self.compose = Compose(folder / "files", file_of(name), [folder / VALUES])

    @property
    def _applied(self) -> Path:
        return self.folder / "applied.json"

    @property
    def is_up(self) -> bool:
        """True when a stack was ever brought up here, to its end."""
        return self._applied.is_file()

    @property
    def project(self) -> str:
        """Its name; before its files are on the host, that which the project gives it."""
        if (self.compose.folder / self.compose.file).is_file():
            return self.compose.project
        return project_of(self.root / source_of(self.root, self.name), self.name)

    def labelled(self, label: str) -> dict[str, str]:
        """Return the value of a label by service, for each that was brought up here with it."""
        services = self._last()[0]["services"] if self.is_up else {}
        found = {name: (service.get("labels") or {}).get(label) for name, service in services.items()}
        return {name: str(value) for name, value in found.items() if value}

    def release_files(self) -> list[Path]:
        """Return the compose files, relative to the project: what says how a colour's container is made."""
        return compose_files(self.root, self.name)

    def plan(self, upcoming: Mapping[str, str] = MappingProxyType({})) -> list[Change]:
        """Return what applying the project's stack would do, without doing it.

        Args:
            upcoming: Text of each file in the stack's folder that preparing the host would write before.
        """
        with self._staged(upcoming) as (files, values):
            resolved = self._resolve(files, values)
            if not self.is_up:
                return differences({}, resolved, {}, ())
            before, digests = self._last()
            touched = {
                source: self._shown(source)
                for source, digest in self._mounted(resolved, files, upcoming).items()
                if digests.get(source, digest) != digest
            }
            found = differences(before, resolved, touched, self._stopped(resolved))
            return found + [
                Change(PROXY, "reload", f"{_DYNAMIC / path.name} changed")
                for path in sorted((files / _DYNAMIC).glob("*.yml"))
                if not _same(path, self.routes / path.name)
            ]

    def apply(self, recreate: Collection[str], tell: Callable[[str], None]) -> list[Change]:
        """Make the host's stack what the project says; return what was changed.

        Args:
            recreate: Services with data, and networks, that may be recreated all the same.
            tell: Is given each step, for people.

        Raises:
            KickoffError: A service with data, or a network, would be recreated or removed (exit 1; nothing
                was changed), another process applies (exit 75), or the engine refuses (exit 4).
        """
        with self.alone():
            changes = self.plan()
            _require_named(changes, recreate)
            for network in self._ensure_networks():
                tell(f"network {network}: created")
            for change in changes:
                tell(str(change))
            gone = [change.name for change in changes if change.action == "remove"]
            if gone:  # while the files still know them
                self.compose.run("rm", "--stop", "--force", *gone)
            anew = not self.is_up or any(change.network for change in changes)
            if self.is_up and anew:  # a network is made anew only when nobody is in it
                self.compose.run("--profile", "*", "down", "--remove-orphans")
            install_files(self.root, self.name, self.compose.folder)
            self.install_routes()
            resolved = self._resolve(self.compose.folder, self._values)
            self.make_volumes(resolved)
            self._bring_up(changes, anew=anew)
            self._remember(resolved)
            return changes

    def remember(self) -> None:
        """Take what is mounted now for what was applied, after a change that was no change of the project."""
        if self.is_up:
            self._remember(self._last()[0])

    def _remember(self, resolved: Mapping[str, Any]) -> None:
        self._write_applied(resolved, self._mounted(resolved, self.compose.folder, {}))

    def _write_applied(self, resolved: Mapping[str, Any], mounted: Mapping[str, str]) -> None:
        applied = {"resolved": resolved, "mounted": mounted}
        write_atomic(self._applied, json.dumps(applied, indent=1), mode=0o600)

    def take_over(self, files: Collection[Path], told: Collection[str]) -> list[str]:
        """Restart what mounts one of these files and started before it changed; return the services.

        Args:
            files: Places in the stack's folder.
            told: Services that know of the change already: they are not restarted.

        Raises:
            KickoffError: One does not come up (exit 4).
        """
        resolved, digests = self._last()
        now = {place: _digest(Path(place)) for place in map(str, files) if place in digests}
        changed = {place for place, digest in now.items() if digests[place] != digest}
        names = [
            name
            for name, service in resolved["services"].items()
            if name not in told and changed.intersection(sources(service, resolved))
        ]
        if names:
            hint = (
                f"`docker compose -p {self.compose.project} logs SERVICE` shows why; then do the same again"
            )
            self._run("restart", *names, hint=hint)
            self.revive(hint)
        self._write_applied(resolved, {**digests, **now})
        return names

    def revive(self, hint: str = "") -> None:
        """Start what stopped and create what is missing; leave what runs, and wait until all are healthy."""
        self._run("up", "--detach", "--wait", "--no-recreate", "--no-build", hint=hint)

    def install_routes(self) -> None:
        """Give Traefik what every request passes; the routes of the service are the release engine's."""
        for path in sorted((self.compose.folder / _DYNAMIC).glob("*.yml")):
            temporary = self.routes / f".{path.name}.new"
            shutil.copyfile(path, temporary)
            temporary.chmod(0o644)
            temporary.replace(self.routes / path.name)

    def _ensure_networks(self) -> list[str]:
        """Create the external networks; return those that were missing."""
        docker, made = Docker(reaching()), []
        for network in declaration.read(self.root, self.name).networks:
            if docker.run("network", "inspect", network, check=False).returncode != 0:
                hint = "start the Docker engine, or give this user access to it"
                docker.run("network", "create", network, hint=hint)
                made.append(network)
        return made

    def make_volumes(self, document: Mapping[str, Any]) -> None:
        """Create the volumes of a resolved compose file that the stack does not know yet.

        Compose makes none that only releases use. One that is known and gone is lost data, and an error.

        Raises:
            KickoffError: The engine refuses (exit 4).
        """
        docker, known = Docker(reaching()), self._last()[0].get("volumes") or {} if self.is_up else {}
        for key, volume in (document.get("volumes") or {}).items():
            if key in known or volume.get("external"):
                continue
            if docker.run("volume", "inspect", volume["name"], check=False).returncode == 0:
                continue
            labels = {"com.docker.compose.project": self.compose.project, "com.docker.compose.volume": key}
            labels |= volume.get("labels") or {}
            options = [f"--label={name}={value}" for name, value in labels.items()]
            options += [f"--opt={name}={value}" for name, value in (volume.get("driver_opts") or {}).items()]
            driver = f"--driver={volume.get('driver') or 'local'}"
            docker.run("volume", "create", driver, *options, volume["name"])

    def _bring_up(self, changes: Sequence[Change], *, anew: bool) -> None:
        hint = f"`docker compose -p {self.compose.project} logs SERVICE` shows why; then apply again"
        up = ("up", "--detach")
        if anew:
            self._run(*up, "--wait", "--build", hint=hint)
            return
        made = [change.name for change in changes if change.action in ("create", "recreate")]
        if made:  # these alone: compose would recreate others for reasons of its own
            self._run(*up, "--build", "--no-deps", *made, hint=hint)
        restarted = [change.name for change in changes if change.action == "restart"]
        if restarted:
            self._run("restart", *restarted, hint=hint)
        if made or restarted or any(change.action == "start" for change in changes):
            self.revive(hint)

    def _run(self, *command: str, hint: str = "") -> None:
        """Run a command on what the stack starts, the services of its profiles included."""
        profiles = ",".join(declaration.read(self.root, self.name).profiles)
        self.compose.run(*command, environ={"COMPOSE_PROFILES": profiles}, seconds=_UP_SECONDS, hint=hint)

    @property
    def _values(self) -> Path:
        return self.folder / VALUES

    @contextmanager
    def _staged(self, upcoming: Mapping[str, str]) -> Iterator[tuple[Path, Path]]:
        """Yield a folder of the project's files, and the values of the compose file's variables."""
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as name:
            files, values = Path(name) / "files", Path(name) / VALUES
            install_files(self.root, self.name, files)
            values.write_text(upcoming.get(VALUES) or self._values.read_text("utf-8"), "utf-8")
            yield files, values

    def _resolve(self, folder: Path, values: Path) -> dict[str, Any]:
        """Return the resolved compose file as if it stood where it will stand."""
        document = Compose(folder, self.compose.file, [values]).resolved()
        moved: dict[str, Any] = json.loads(
            json.dumps(document).replace(str(folder), str(self.compose.folder))
        )
        started = set(declaration.read(self.root, self.name).profiles)
        return moved | {
            "services": {
                name: service
                for name, service in moved["services"].items()
                if not (profiles := set(service.get("profiles") or ())) or profiles & started
            }
        }

    def _last(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the resolved file that was applied last, and the digests of what it mounted then.

        Raises:
            KickoffError: The record of it is damaged (exit 4).
        """
        try:
            document = json.loads(self._applied.read_text("utf-8"))
            return dict(document["resolved"]), dict(document["mounted"])
        except (ValueError, TypeError, KeyError):
            raise KickoffError(
                f"{self._applied.name} is damaged: what was applied last is not known",
                code=ExitCode.UNREACHABLE,
                at=str(self._applied),
                hint="remove it, then `kickoff stack apply --env NAME` makes all services anew; volumes stay",
            ) from None

    def _mounted(
        self, resolved: Mapping[str, Any], files: Path, upcoming: Mapping[str, str]
    ) -> dict[str, str]:
        """Return a digest of everything below the stack's folder that a container mounts, by its place.

        Args:
            resolved: The resolved compose file.
            files: Where the stack's files are, before they are installed.
            upcoming: Text of further files, before they are written.
        """
        found = {}
        mounts = {s for service in resolved["services"].values() for s in sources(service, resolved)}
        for source in sorted(mounts):
            place = Path(source)
            if not place.is_relative_to(self.folder):
                continue
            if place.is_relative_to(self.compose.folder):
                found[source] = _digest(files / place.relative_to(self.compose.folder))
            elif (text := upcoming.get(str(place.relative_to(self.folder)))) is not None:
                found[source] = _digest_of({Path(): text.encode()})
            else:
                found[source] = _digest(place)
        return found

    def _shown(self, source: str) -> str:
        place = Path(source)
        files = self.compose.folder
        return str(place.relative_to(files if place.is_relative_to(files) else self.folder))

    def _stopped(self, resolved: Mapping[str, Any]) -> set[str]:
        """Return services whose container is missing or stopped."""
        ending = run_once(resolved)
        well = {
            row["Service"]
            for row in self.compose.containers("--all")
            if row["State"] == "running"
            or (row["Service"] in ending and (row["State"], row["ExitCode"]) == ("exited", 0))
        }
        return set(resolved["services"]) - well

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the stack's lock.

        Raises:
            KickoffError: Another process changes the stack (exit 75).
        """
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise KickoffError(
                f"the stack of {self.name} is being changed by another process",
                code=ExitCode.LOCK_HELD,
                hint="wait for it, then ask for the plan again",
            ) from None
        finally:
            os.close(descriptor)


def release_only(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the release engine may start of a resolved compose file, and nothing that it could change.

    Networks and volumes are marked as made by somebody else: compose would make a network anew, under every
    container in it, as soon as a release described it differently from the stack that runs.
    """
    services = {
        name: {key: value for key, value in service.items() if key not in ("profiles", "depends_on", "build")}
        for name, service in document["services"].items()
        if _released(service)
    }
    others = {
        kind: {
            key: {"name": one["name"], "external": True} for key, one in (document.get(kind) or {}).items()
        }
        for kind in ("networks", "volumes")
    }
    return {**document, "services": services, **others}


def _released(service: Mapping[str, Any]) -> bool:
    return RELEASED in (service.get("profiles") or ())


def _require_named(changes: Sequence[Change], named: Collection[str]) -> None:
    """Refuse changes that are done only by name, unless they are named.

    Raises:
        KickoffError: One is not (exit 1).
    """
    forbidden = [change for change in changes if change.by_name and change.name not in named]
    if forbidden:
        first = forbidden[0]
        before = "choose the time" if first.network else "back its data up"
        options = " ".join(f"--recreate {change.name}" for change in forbidden)
        raise KickoffError(
            f"{first.name} would be {first.action}d, which is done only by name",
            code=ExitCode.REJECTED,
            causes=[str(change) for change in forbidden],
            hint=f"{before}, then add {options}; nothing was changed",
        )


def _digest(place: Path) -> str:
    paths = sorted(place.rglob("*")) if place.is_dir() else [place]
    return _digest_of({path.relative_to(place): path.read_bytes() for path in paths if path.is_file()})


def _digest_of(files: Mapping[Path, bytes]) -> str:
    lines = [f"{path}\0{hashlib.sha256(content).hexdigest()}\n" for path, content in files.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
