"""The fixture service as an image, shipped by the real engine to a compose stack of its own."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from kickoff.artifact import image
from kickoff.artifact.image import Image
from kickoff.release.model import Colour
from kickoff.release.session import Session, open_session
from tests.e2e.project import REPOSITORY, Project

BASE = "football:base"


@cache
def engine_problem() -> str:
    """Return why no container can be started here; empty when one can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    done = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    return "no Docker engine answers" if done.returncode != 0 else ""


def docker(*arguments: str, seconds: float = 300) -> str:
    """Run a docker command; return what it prints.

    Raises:
        AssertionError: It failed.
    """
    done = subprocess.run(
        ["docker", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def registry() -> Iterator[str]:
    """Run a registry of this test's own; yield its address."""
    compose = ("compose", "-f", str(Path(__file__).parent / "docker-compose.registry.yml"))
    own = (*compose, "-p", f"kickoff-test-registry-{secrets.token_hex(3)}")
    try:
        docker(*own, "up", "--detach")
        yield docker(*own, "port", "registry", "5000").strip()
    finally:
        docker(*own, "down", "--volumes", "--timeout", "1")


def remove_project(name: str) -> None:
    """Remove every container, network and volume of a compose project."""
    label = f"label=com.docker.compose.project={name}"
    for kind, every, remove in (
        ("container", ("--all",), ("rm", "--force", "--volumes")),
        ("network", (), ("rm",)),
        ("volume", (), ("rm",)),
    ):
        found = docker(kind, "ls", *every, "--quiet", "--filter", label).split()
        if found:
            docker(kind, *remove, *found)


class ContainerProject(Project):
    """A project whose development environment is a compose stack.

    Args:
        folder: Temporary folder that holds the project and its state.
        registry: Address of a registry to push to.
    """

    def __init__(self, folder: Path, registry: str) -> None:
        self.name = f"fixture-{secrets.token_hex(3)}"
        self.repository = f"{registry}/{self.name}"
        self._database = f"postgresql+psycopg://fixture:{secrets.token_hex(12)}@127.0.0.1:9/fixture"
        super().__init__(folder)

    def _fill(self) -> None:
        super()._fill()
        self.set(DEPLOY_TARGET="compose")
        compose = self.root / "docker-compose.development.yml"
        text = compose.read_text("utf-8")
        compose.write_text(text.replace("name: fixture\n", f"name: {self.name}\n", 1), "utf-8")

    @property
    def environ(self) -> dict[str, str]:
        """What commands run in; the database is never asked, but containers need one of their own kind."""
        return super().environ | {"DATABASE_URL": self._database}

    def build(self, commit: str) -> str:
        """Build and push the image of ``commit``; return its digest."""
        artefacts = self.root.parent / "artifacts"
        artefacts.mkdir(exist_ok=True)
        facts = artefacts / f".{commit}.json"
        docker(
            "buildx", "build", "--quiet", "--provenance=false", "--build-arg", f"BASE_IMAGE={BASE}",
            "--metadata-file", str(facts), "--output", f"type=image,name={self.repository}:{commit[:12]},push=true",
            str(self.root),
        )  # fmt: skip
        digest = str(json.loads(facts.read_text("utf-8"))["containerimage.digest"])
        image.keep(artefacts, Image(digest, self.repository, commit, ("linux/amd64",)))
        return digest

    def session(self) -> Session:
        """Open the environment in this process, as a first release does."""
        return open_session("development", self.root, prepare=True)

    @contextmanager
    def limiting(self) -> Iterator[Callable[[Colour], object]]:
        """Yield what limits the processors of a colour."""
        yield lambda colour: docker("update", "--cpus=0.5", self._container(colour))

    def stop_colour(self, colour: Colour) -> None:
        """Stop a colour behind the engine's back, for good."""
        docker("stop", self._container(colour))

    def start_colour(self, colour: Colour) -> None:
        """Start such a colour again."""
        docker("start", self._container(colour))

    def _container(self, colour: Colour) -> str:
        return f"{self.name}-{colour}-1"

    def _write_data(self, name: str, text: str) -> None:
        command = ("run", "--rm", "--network=none", f"--volume={self.name}_data:/data", "alpine:3.22.1")
        docker(*command, "sh", "-c", f"echo {text} > /data/{name}")

    def services_running(self) -> list[int]:
        """Process ids of all containers of colours and hooks."""
        label = f"label=com.docker.compose.project={self.name}"
        names = docker("ps", "--filter", label, "--format", "{{.Names}}").split()
        ours = [n for n in names if any(part in n for part in (*Colour, "hook", "migrate"))]
        return [int(docker("inspect", "--format", "{{.State.Pid}}", name)) for name in ours]

    def kill_everything(self) -> None:
        """Kill the proxy and both colours; what was killed by hand does not start again by itself."""
        label = f"label=com.docker.compose.project={self.name}"
        docker("kill", *docker("ps", "--quiet", "--filter", label).split())

    def close(self) -> None:
        """Remove everything this project started, with its volumes and images."""
        remove_project(self.name)
        # By name: another project may have the very same image under a name of its own.
        rows = docker("images", "--digests", "--format", "{{.Tag}} {{.Digest}}", self.repository).splitlines()
        names = [f":{tag}" if tag != "<none>" else f"@{digest}" for tag, digest in map(str.split, rows)]
        if names:
            docker("rmi", "--force", *(f"{self.repository}{name}" for name in names))
