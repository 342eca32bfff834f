"""The ground that a target is tested on: a project of its own, with releases that it may start."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from kickoff.artifact.artifact_type import Kind
from kickoff.release import targets
from kickoff.release.assembly import assemble
from kickoff.release.folder import describe
from kickoff.release.model import Colour, Slot
from kickoff.release.route import Route
from kickoff.release.session import Session
from kickoff.release.targets import Target
from tests.e2e import swarm
from tests.e2e.containers import BASE, ContainerProject, docker, engine_problem, registry
from tests.e2e.project import Project


@dataclass
class Ground:
    """A target whose proxy runs, and its environment; nothing was ever released there."""

    name: str
    project: Project
    session: Session

    @property
    def target(self) -> Target:
        return self.session.target

    def reopened(self) -> Target:
        """The same target as another command would open it."""
        return self.project.session().target

    def artifact(self, **faults: object) -> tuple[Path, str, str]:
        """Build the service with these faults; return folder, digest and commit."""
        commit = self.project.commit(**faults)
        return self.project.root.parent / "artifacts", self.project.build(commit), commit

    def release(self, name: str = "release", **faults: object) -> Path:
        """Assemble a release with these faults as the engine does; return its folder."""
        folder, digest, commit = self.artifact(**faults)
        made = self.session.store.release_folder(name)
        found = self.target.find(folder, digest)
        assemble(self.session, self.project.root, made, artifact=found, digest=digest, commit=commit)
        return made

    def route(self, slots: Mapping[Colour, Slot], live: Colour | None) -> None:
        """Route the public traffic to a colour, and private traffic to all of them."""
        servers = {colour: self.target.servers(colour, slot) for colour, slot in slots.items()}
        weights = {live: 100} if live else {}
        points = self.target.entry_points
        wanted = Route(servers, weights, None, False, dict.fromkeys(servers, "/health/live"), points)
        with self.session.store.exclusive() as transaction:
            self.session.proxy.apply(wanted, transaction)


@contextmanager
def ground(name: str, folder: Path) -> Iterator[Ground]:
    """Yield the ground for a target; everything is stopped and removed at the end."""
    with _project(name, folder) as project, patch.dict(os.environ, project.environ), chdir(project.root):
        session = project.session()
        try:
            session.target.prepare()
            yield Ground(name, project, session)
        finally:
            project.close()


def missing(name: str) -> str:
    """Return what this machine lacks for a target; empty when it has everything."""
    if name == "swarm":
        return engine_problem() or swarm.problem()
    return engine_problem() if targets.kind_of(name).artifact is Kind.IMAGE else ""


def undisturbed(name: str) -> AbstractContextManager[None]:
    """Keep from a target those tests that take away what it runs on."""
    return swarm.alone(alone=False) if name == "swarm" else nullcontext()


def release_of(folder: Path) -> str:
    """Return the id of an assembled release."""
    return str(describe(folder)["release"])


@contextmanager
def _project(name: str, folder: Path) -> Iterator[Project]:
    if name == "swarm":
        docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
        with swarm.etcd(folder / "etcd") as members:
            yield swarm.SwarmProject(folder, members)
    elif targets.kind_of(name).artifact is Kind.IMAGE:
        docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
        with registry() as address:
            yield ContainerProject(folder, address)
    else:
        project = Project(folder)
        project.set(DEPLOY_TARGET=name)
        yield project


@contextmanager
def _lost_socket(ground: Ground) -> Iterator[None]:
    socket = ground.session.store.root / "supervisor.sock"
    aside = socket.with_name("aside")
    socket.rename(aside)
    try:
        yield
    finally:
        aside.rename(socket)


@contextmanager
def _dead_engine(_ground: Ground) -> Iterator[None]:
    with patch.dict(os.environ, {"DOCKER_HOST": "tcp://127.0.0.1:9"}):
        yield


SILENCED: Mapping[str, Callable[[Ground], AbstractContextManager[None]]] = {
    "local": _lost_socket,
    "compose": _dead_engine,
    "swarm": _dead_engine,
}
"""For each target that asks somebody: lets nobody answer it for a while."""


def full_disk(_path: object) -> shutil._ntuple_diskusage:
    """Say that a disk is full, in place of ``shutil.disk_usage``."""
    return shutil._ntuple_diskusage(1 << 40, 1 << 40, 0)
