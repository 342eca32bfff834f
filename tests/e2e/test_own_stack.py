"""Another service than the demo, shipped to staging and production on both targets, with a stack of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kickoff.release.targets.ports import free_port
from tests.e2e.containers import BASE, ContainerProject, docker, engine_problem, registry, remove_project
from tests.e2e.project import KEY, REPOSITORY, Project

pytestmark = pytest.mark.e2e
STACK = Path(__file__).parent / "orders"
KICKOFF = REPOSITORY / "src" / "kickoff"
ENVIRONMENTS = ("staging", "production")
# Run in a colour, with nothing but what the release was given.
ASKED = """
import pathlib, psycopg
url = pathlib.Path("/run/secrets/database_url").read_text()
with psycopg.connect(url) as connection:
    print(*connection.execute("select current_user, current_database()").fetchone())
"""


class Orders(Project):
    """The fixture service with the environments staging and production, as processes."""

    target = "local"

    def __init__(self, folder: Path) -> None:
        self.ports = {name: free_port() for name in ENVIRONMENTS}
        super().__init__(folder)

    def _fill(self) -> None:
        super()._fill()
        folder = self.root / "configs" / "environments"
        text = (folder / "development.env").read_text("utf-8")
        for name in ENVIRONMENTS:
            values = {
                "APP_ENV": name,
                "API_KEY": "${API_KEY}",
                "DATABASE_URL": "${DATABASE_URL}",
                "DEPLOY_TARGET": self.target,
                "PUBLIC_PORT": str(self.ports[name]),
                "READY_TIMEOUT": "60s",
            }
            kept = [line for line in text.splitlines() if line.partition("=")[0] not in values]
            lines = [*kept, *(f"{key}={value}" for key, value in values.items())]
            (folder / f"{name}.env").write_text("\n".join(lines) + "\n", "utf-8")

    @property
    def environ(self) -> dict[str, str]:
        """What commands run in: each environment has a port of its own, and processes are given their secrets."""
        moved = {"KICKOFF_PORT"} if self.target == "local" else {"KICKOFF_PORT", "API_KEY", "DATABASE_URL"}
        given = super().environ | {"DATABASE_URL": "sqlite+aiosqlite:////tmp/orders.db", "API_KEY": KEY}
        return {key: value for key, value in given.items() if key not in moved}

    def run(self, *arguments: str, env: str, code: int = 0) -> str:
        """Run a command as a person does; return what it prints."""
        done = subprocess.run(
            [sys.executable, str(KICKOFF), *arguments, "--env", env],
            cwd=self.root, env=self.environ, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments} {env}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def released(self, env: str, digest: str, commit: str) -> str:
        """Stage and promote an artefact; return the release that users then meet."""
        what = (f"--artifact-digest={digest}", f"--artifact-directory={self.root.parent / 'artifacts'}")
        reason = ("--unproven-reason=a rehearsal",) if env == "production" else ()
        self.run("stage", *what, f"--commit={commit}", *reason, env=env)
        staged = json.loads((self.root.parent / "evidence" / f"stage.{env}.json").read_text("utf-8"))
        self.run("promote", "--attempt", staged["attempt"], env=env)
        answer = httpx.get(f"http://127.0.0.1:{self.ports[env]}/", timeout=10, trust_env=False)
        assert answer.headers["X-Release"] == staged["release"]
        assert answer.json()["service"] == "fixture"
        return str(staged["release"])


class OrdersInContainers(Orders, ContainerProject):
    """The same on a stack of containers for each environment."""

    target = "compose"

    def __init__(self, folder: Path, registry: str) -> None:
        self.ports = {name: free_port() for name in ENVIRONMENTS}
        ContainerProject.__init__(self, folder, registry)

    def _fill(self) -> None:
        super()._fill()
        (self.root / "configs" / "limits.txt").write_bytes((STACK / "configs" / "limits.txt").read_bytes())
        for name in ENVIRONMENTS:
            text = (STACK / "docker-compose.yml").read_text("utf-8").replace("NAME", self.project(name))
            self.compose(name).write_text(text, "utf-8")

    def project(self, env: str) -> str:
        """The name of an environment's compose project."""
        return f"{self.name}-{env}"

    def compose(self, env: str) -> Path:
        """The compose file of an environment."""
        return self.root / f"docker-compose.{env}.yml"

    def held(self, env: str) -> dict[str, str]:
        """The secrets that were made for an environment's stack."""
        folder = self.state / "fixture" / env / "stack" / "secrets"
        return {path.name: path.read_text("utf-8") for path in folder.iterdir()}

    def close(self) -> None:
        """Remove both stacks, the networks that they were given, and the images."""
        for name in ENVIRONMENTS:
            remove_project(self.project(name))
            if docker("network", "ls", "--quiet", "--filter", f"name=^{self.project(name)}-front$"):
                docker("network", "rm", f"{self.project(name)}-front")
        ContainerProject.close(self)


def test_processes(tmp_path: Path) -> None:
    project = Orders(tmp_path)
    try:
        commit = project.commit()
        digest = project.build(commit)
        for name in ENVIRONMENTS:
            assert f"{name} has no stack" in project.run("stack", "prepare", env=name)
            first = project.released(name, digest, commit)
            newer = project.commit(delay_ms=1)
            second = project.released(name, project.build(newer), newer)
            assert first != second
    finally:
        for name in ENVIRONMENTS:
            project.run("stop", env=name)


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrdersInContainers]:
    if engine_problem():
        pytest.skip(engine_problem())
    docker("build", "--quiet", "--tag", BASE, ".", seconds=600)
    with registry() as address:
        project = OrdersInContainers(tmp_path_factory.mktemp("orders"), address)
        try:
            yield project
        finally:
            project.close()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "production" else [pytest.mark.nightly])
        for name in ENVIRONMENTS
    ],
)
def test_containers(orders: OrdersInContainers, name: str) -> None:
    commit = orders.commit()
    digest = orders.build(commit)
    assert_stack(orders, name)
    first = orders.released(name, digest, commit)
    newer = orders.commit(delay_ms=1)
    assert orders.released(name, orders.build(newer), newer) != first
    colour = docker("ps", "--filter", f"name=^{orders.project(name)}-green", "--format", "{{.Names}}").strip()
    assert docker("exec", colour, "python", "-c", ASKED).split() == ["clerk", "orders"]
    assert_change(orders, name)


def assert_stack(orders: OrdersInContainers, name: str) -> None:
    """Prepare, plan and apply, each once more than needed."""
    assert "this host was not prepared" in orders.run("stack", "plan", env=name, code=2)
    prepared = orders.run("stack", "prepare", env=name)
    assert "secrets made: api_key, clerk_password, database_url\n" in prepared
    held = orders.held(name)
    assert held["database_url"] == f"postgresql://clerk:{held['clerk_password']}@ledger:5432/orders"
    limits = orders.state / "fixture" / name / "stack" / "limits.txt"
    assert limits.read_text("utf-8") == "slow after 1 s, full at 268435456 bytes, wrong above 0.01\n"
    assert "secrets made: none, all were there" in orders.run("stack", "prepare", env=name)
    planned = [line.split()[:2] for line in orders.run("stack", "plan", env=name).splitlines()]
    assert planned == [["create", "ledger"], ["create", "traefik"]]
    applied = orders.run("stack", "apply", env=name)
    assert f"network {orders.project(name)}-front: created" in applied
    assert "2 changes made" in applied
    assert "nothing would change" in orders.run("stack", "plan", env=name)
    assert orders.held(name) == held
    running = docker("ps", "--filter", f"name=^{orders.project(name)}", "--format", "{{.Names}} {{.Image}}")
    assert sorted(line.split()[0] for line in running.splitlines()) == [
        f"{orders.project(name)}-ledger-1", f"{orders.project(name)}-traefik-1",
    ]  # fmt: skip
    assert not any(word in running for word in ("redis", "football"))


def assert_change(orders: OrdersInContainers, name: str) -> None:
    """What holds data is planned, refused, and made when it is named."""
    file = orders.compose(name)
    file.write_text(file.read_text("utf-8").replace("mem_limit: 256m\n", "mem_limit: 300m\n"), "utf-8")
    planned = " ".join(orders.run("stack", "plan", env=name).split())
    assert planned == "recreate ledger mem_limit changed (holds data)"
    assert "ledger would be recreated" in orders.run("stack", "apply", env=name, code=1)
    assert "1 change made" in orders.run("stack", "apply", "--recreate", "ledger", env=name)
