"""Both stacks on a real Docker engine: `KICKOFF_TEST_STACKS=1 make test ARGS='tests/e2e/test_stacks.py -n 0'`.

Every stack has a project name, ports and volumes of its own, and is removed with them at the end.
"""

import json
import os
import random
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from kickoff.artifact import image as images
from kickoff.artifact.image import Image
from kickoff.release.targets.ports import free_port
from tests import certificates, dashboards
from tests.e2e.containers import docker, engine_problem, registry, remove_project

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456" + "0" * 33
MATCH = {"home_team": "Arsenal", "away_team": "Chelsea"}
PATIENCE_SECONDS = 60.0
STREAMING = "select state from pg_stat_replication where application_name = 'replica'"


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    if not os.environ.get("KICKOFF_TEST_STACKS"):
        pytest.skip("starts forty containers: KICKOFF_TEST_STACKS=1 runs it")
    if engine_problem():
        pytest.skip(engine_problem())


@pytest.fixture(scope="module")
def image(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The service's image, in a registry of its own."""
    facts = tmp_path_factory.mktemp("image") / "facts.json"
    with registry() as address:
        repository = f"{address}/football"
        docker(
            "buildx", "build", "--quiet", "--provenance=false", "--build-arg", "REVISION=0123456",
            "--metadata-file", str(facts), "--output", f"type=image,name={repository}:stack-test,push=true", ".",
            seconds=600,
        )  # fmt: skip
        digest = str(json.loads(facts.read_text("utf-8"))["containerimage.digest"])
        yield Image(digest, repository, COMMIT, ("linux/amd64",))
        docker("rmi", "--force", f"{repository}:stack-test")


def until(what: Callable[[], object], patience: float = PATIENCE_SECONDS) -> None:
    """Wait until ``what`` is true; fail with what it said last."""
    deadline = time.monotonic() + patience
    while not (last := what()):
        assert time.monotonic() < deadline, f"still {last!r} after {patience:g} s"
        time.sleep(0.2)


@dataclass
class Stack:
    """A stack with a name, a state folder and addresses of its own, and the service released to it."""

    name: str
    folder: Path
    image: Image
    project: str = field(default_factory=lambda: f"football-test-{secrets.token_hex(3)}")
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.root = self.folder / "project"
        self.stack = self.folder / "state" / "football" / self.name / "stack"
        self._fill()
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        self.environ = kept | {
            "KICKOFF_STATE_ROOT": str(self.folder / "state"),
            "KICKOFF_PORT": str(self.port),
            "KICKOFF_EVIDENCE_DIR": str(self.folder / "evidence"),
            "ALERT_WEBHOOK_URL": "http://127.0.0.1:9/",
            "HTTP_PORT": str(free_port()),
            "HTTPS_PORT": str(free_port()),
            "BACKEND_PREFIX": f"172.30.{secrets.randbelow(200) + 20}",
            "ACME_CA": "https://127.0.0.1:9/directory",
        }
        if self.name == "production":
            self.environ["SSL_CERT_FILE"] = str(self.certificate)

    def _fill(self) -> None:
        file = f"docker-compose.{self.name}.yml"
        shutil.copytree(ROOT / "configs", self.root / "configs")
        shutil.copyfile(ROOT / "kickoff.yml", self.root / "kickoff.yml")
        text = (ROOT / file).read_text("utf-8")
        (self.root / file).write_text(
            re.sub(r"^name: football-.*$", f"name: {self.project}", text, count=1, flags=re.MULTILINE)
        )
        if self.name == "production":  # as docs/how-to/certificates.md says for one of one's own
            routes = self.stack.parent / "traefik" / "dynamic"
            routes.mkdir(parents=True)
            self.certificate = certificates.made(routes, "football.example")
            inside = f"/etc/traefik/dynamic/{self.certificate.name}"
            (self.root / "configs/traefik/dynamic/own.yml").write_text(
                f"tls: {{certificates: [{{certFile: {inside}, keyFile: {inside}}}]}}\n"
            )
        self.edit("kickoff.yml", r"(?m)^required_checks: .*$", "required_checks: []")
        self.edit("kickoff.yml", r"(?m)^  in: \[staging\]$", "  in: [development]")
        self.edit(f"configs/environments/{self.name}.env", r"\Z", "BAKE_TIME=2s\n")

    def edit(self, file: str, pattern: str, replacement: str) -> None:
        path = self.root / file
        text, count = re.subn(pattern, replacement, path.read_text("utf-8"))
        assert count, f"{file} has no {pattern}"
        path.write_text(text)

    def script(self, name: str, *arguments: str, code: int = 0, seconds: float = 600) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "src" / "kickoff"), *name.split(), *arguments, "--env", self.name],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, f"{name} {arguments}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def commit(self) -> str:
        """Commit the project as it is, so that a release has a lead time; return the commit."""
        git = ["git", "-C", str(self.root), "-c", "user.name=test", "-c", "user.email=test@localhost"]
        for words in (
            ["init", "--quiet"],
            ["add", "--all"],
            ["commit", "--quiet", "--allow-empty", "-m", "A"],
        ):
            subprocess.run([*git, *words], check=True, capture_output=True, timeout=60)
        done = subprocess.run(
            [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def release(self) -> None:
        """Ship the image."""
        made = replace(self.image, commit=self.commit())
        images.keep(self.folder / "artifacts", made)
        where = f"--artifact-directory={self.folder / 'artifacts'}"
        why = ["--unproven-reason=no staging of this test has it"] if self.name == "production" else []
        self.script("stage", f"--artifact-digest={made.digest}", where, f"--commit={made.commit}", *why)
        staged = json.loads((self.folder / "evidence" / f"stage.{self.name}.json").read_text("utf-8"))
        self.script("promote", "--attempt", staged["attempt"])
        self.released = str(staged["release"])

    def client_of(self, port: int | str, scheme: str = "http") -> httpx.Client:
        # The name is made out to nobody's loopback; the release has verified the certificate.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        headers = {"X-API-Key": self.secret("api_key")}
        return httpx.Client(
            base_url=f"{scheme}://127.0.0.1:{port}", headers=headers, verify=context, timeout=15
        )

    def connect(self) -> None:
        """Open the client of users."""
        tls = self.name == "production"
        self.client = (
            self.client_of(self.environ["HTTPS_PORT"], "https") if tls else self.client_of(self.port)
        )

    def secret(self, name: str) -> str:
        return (self.stack / "secrets" / name).read_text()

    def compose(self, *arguments: str) -> str:
        file = ["-f", str(self.stack / "files" / f"docker-compose.{self.name}.yml")]
        return docker("compose", *file, "--env-file", str(self.stack / "compose.env"), *arguments)

    def containers(self) -> dict[str, dict[str, Any]]:
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        return {row["Service"]: row for row in map(json.loads, lines)}

    def container(self, service: str) -> str:
        return str(self.containers()[service]["Name"])

    def sql(self, query: str, service: str = "postgres") -> str:
        psql = ["psql", "-U", "postgres", "-d", "football", "-Atc", query]
        return self.compose("exec", "-T", service, *psql).strip()

    def redis(self, service: str, command: str) -> str:
        with_password = "REDISCLI_AUTH=$(cat /tmp/password) redis-cli"
        return self.compose("exec", "-T", service, "sh", "-c", f"{with_password} {command}")

    def predict(self) -> httpx.Response:
        return self.client.post("/predictions", json=MATCH)

    def prometheus(self, path: str) -> Any:
        text = self.compose(
            "exec", "-T", "prometheus", "wget", "-qO-", f"http://127.0.0.1:9090/api/v1/{path}"
        )
        return json.loads(text)["data"]


def running(name: str, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    one = Stack(name, tmp_path_factory.mktemp(name), image)
    try:
        one.release()  # on an empty host: it brings the stack up by itself
        one.connect()
        yield one
        one.client.close()
    finally:
        remove_project(one.project)


@pytest.fixture(scope="module")
def staging(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from running("staging", image, tmp_path_factory)


@pytest.fixture(scope="module")
def production(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from running("production", image, tmp_path_factory)


def assert_whole(one: Stack) -> None:
    found = one.containers()
    once = {name for name, row in found.items() if row["State"] == "exited"}
    assert once <= {"init"}
    assert {found[name]["ExitCode"] for name in once} == {0}
    assert {
        name: row["Health"] for name, row in found.items() if name not in once and row["Health"] != "healthy"
    } == {}
    ready = one.client.get("/health/ready")
    assert ready.json()["status"] == "ready", ready.text
    assert ready.headers["X-Release"] == one.released
    assert ready.headers["X-Content-Type-Options"] == "nosniff"
    assert one.predict().status_code == 201


def whole(one: Stack) -> bool:
    """True when every container is healthy and the service is ready; for waiting."""
    try:
        assert_whole(one)
    except (AssertionError, httpx.HTTPError, ValueError):
        return False
    return True


def assert_watched(one: Stack) -> None:
    def unseen() -> list[Any]:
        targets = one.prometheus("targets")["activeTargets"]
        missing = {"football", "traefik", "postgres", "redis", "node"} - {t["labels"]["job"] for t in targets}
        return [*missing, *(t["labels"] for t in targets if t["health"] != "up")]

    until(lambda: not unseen())
    rules = [rule for group in one.prometheus("rules")["groups"] for rule in group["rules"]]
    assert "kickoff:error_rate_threshold:ratio" in {rule["name"] for rule in rules}
    assert len(rules) > 4
    assert {rule["name"] for rule in rules if rule["health"] == "err"} == set()
    assert {"pg_up", "redis_up"} <= set(one.prometheus("label/__name__/values"))
    value = one.prometheus("query?query=kickoff:error_rate_threshold:ratio")["result"][0]["value"][1]
    assert float(value) == 0.01

    def shares() -> dict[str, str]:
        found = one.prometheus("query?query=kickoff_release_traffic_ratio")["result"]
        return {row["metric"]["release"]: row["value"][1] for row in found}

    until(lambda: shares() == {one.released: "1"})
    promoted = json.loads((one.folder / "evidence" / f"promote.{one.name}.json").read_text("utf-8"))
    (heard,) = [rule for rule in promoted["rules"] if rule["id"] == "judge.alerts"]
    assert (heard["verdict"], heard["samples"]) == ("pass", 5), heard


def test_staging_comes_up_whole_and_coming_up_again_changes_nothing(staging: Stack) -> None:
    assert_whole(staging)
    before = staging.containers()
    route = staging.stack.parent / "traefik" / "dynamic" / "route.yml"
    routed = route.read_text()
    assert "nothing changed" in staging.script("stack apply")
    assert_whole(staging)
    stays = [name for name in before if before[name]["State"] == "running"]
    assert {n: staging.containers()[n]["ID"] for n in stays} == {n: before[n]["ID"] for n in stays}
    assert route.read_text() == routed


def test_a_change_of_the_stack_is_shown_first_and_never_costs_data(staging: Stack) -> None:
    kept = staging.root / "configs"
    before = {service: row["ID"] for service, row in staging.containers().items()}
    common, rules = kept / "compose" / "common.yml", kept / "prometheus" / "rules" / "alerts.yml"
    with (
        edited(common, "mem_limit: 1g\n    pids_limit: 512", "mem_limit: 900m\n    pids_limit: 512"),
        edited(
            common,
            "image: prom/alertmanager:v0.28.1\n",
            "image: prom/alertmanager:v0.28.1\n    hostname: a\n",
        ),
        edited(rules, "# ", "#  "),
    ):
        shown = staging.script("stack plan")
        assert re.search(r"recreate +alertmanager +hostname changed$", shown, re.MULTILINE), shown
        assert re.search(r"recreate +postgres +mem_limit changed \(holds data\)", shown), shown
        assert re.search(r"restart +prometheus +configs/prometheus/rules changed", shown), shown
        refused = staging.script("stack apply", code=1)
        assert "postgres would be recreated" in refused
        assert {s: row["ID"] for s, row in staging.containers().items()} == before
        with edited(common, "mem_limit: 900m\n    pids_limit: 512", "mem_limit: 1g\n    pids_limit: 512"):
            assert "2 changes made" in staging.script("stack apply")
        after = {service: row["ID"] for service, row in staging.containers().items()}
        assert {service for service in after if after[service] != before[service]} == {"alertmanager"}
        assert_whole(staging)


@pytest.mark.parametrize("service", ["postgres", "traefik"])
def test_what_was_stopped_by_hand_is_started_by_apply(staging: Stack, service: str) -> None:
    docker("stop", staging.container(service))
    shown = staging.script("stack plan")
    assert ["start", service] in [line.split()[:2] for line in shown.splitlines()], shown
    staging.script("stack apply")
    until(lambda: whole(staging), 120)
    assert "nothing would change" in staging.script("stack plan")


@pytest.mark.parametrize("name", ["staging", "production"])
def test_everything_comes_back_after_a_start_in_any_order(name: str, request: pytest.FixtureRequest) -> None:
    """As after a reboot, but that Docker itself decides then which container is first."""
    one: Stack = request.getfixturevalue(name)
    before = one.containers()
    running = [row["ID"] for row in before.values() if row["State"] == "running"]
    order = random.Random(time.time())  # the run before had another order
    docker("stop", *order.sample(running, len(running)), seconds=120)
    for container in order.sample(running, len(running)):
        docker("start", container)
    begun = time.monotonic()
    until(lambda: whole(one), 180)
    print(f"whole after {time.monotonic() - begun:.1f} s")
    assert_whole(one)
    assert "nothing would change" in one.script("stack plan")


def test_what_runs_in_the_containers_is_what_the_file_says(staging: Stack) -> None:
    said = staging.script("env drift", "--without-secrets")
    assert f"staging runs what its file says: 18 values of {staging.released} compared" in said


def test_staging_is_watched(staging: Stack) -> None:
    assert_watched(staging)


def test_no_container_of_staging_can_write_to_its_root_or_gain_a_capability(staging: Stack) -> None:
    for name, row in staging.containers().items():
        facts = json.loads(docker("inspect", row["Name"]))[0]
        assert facts["HostConfig"]["ReadonlyRootfs"] is True, name
        assert facts["HostConfig"]["CapDrop"] == ["ALL"], name
        if name != "traefik":
            bound = [one["HostIp"] for ports in facts["HostConfig"]["PortBindings"].values() for one in ports]
            assert set(bound) <= ({"127.0.0.1"} if name == "prometheus" else set()), name
        environment = " ".join(facts["Config"]["Env"] + facts["Args"])
        for secret in (staging.stack / "secrets").iterdir():
            text = secret.read_text()  # some are empty, and the name of a user is none
            assert not text or secret.name.endswith("_user") or text not in environment, (name, secret.name)


def counts(one: Stack) -> dict[str, int]:
    """Return the number of rows of each table."""
    tables = one.sql("select table_name from information_schema.tables where table_schema='public'").split()
    return {table: int(one.sql(f"select count(*) from {table}")) for table in tables}


def filled(one: Stack) -> dict[str, int]:
    """Make some rows; return the number of rows of each table."""
    for _ in range(20):
        assert one.predict().status_code == 201
    return counts(one)


def received(one: Stack) -> bool:
    """True when what the database writes goes to its backups."""
    query = "select count(*) from pg_stat_replication where application_name = 'barman_receive_wal'"
    return one.sql(query) == "1"


def lose(one: Stack, service: str, volume: str) -> None:
    """Remove a container, unasked, and its data."""
    docker("rm", "--force", one.container(service))
    docker("volume", "rm", f"{one.project}_{volume}")


def test_a_destroyed_volume_is_restored_to_its_last_row(staging: Stack) -> None:
    until(lambda: received(staging))
    with writing(staging) as written:
        lose(staging, "postgres", "postgres-data")
        began = time.monotonic()
        said = staging.script("stack restore", "latest")
        seconds = time.monotonic() - began
    assert "✓ the database has its state of latest" in said
    lost = written.lost("postgres")
    outage = written.outage()
    print(f"{len(written.made)} writes, no write for {outage:.1f} s ({seconds:.1f} s), {len(lost)} lost")
    assert len(lost) <= 1, "what was committed in the last instant may not have been sent"
    assert "restored the database beside" in staging.script("history")
    assert "nothing would change" in staging.script("stack plan")
    until(lambda: received(staging))


def test_a_mistake_is_undone_to_the_moment_before_it(staging: Stack) -> None:
    before = filled(staging)
    moment = staging.sql("select clock_timestamp()").replace(" ", "T")
    staging.sql("delete from predictions")
    assert staging.predict().status_code == 201
    assert counts(staging)["predictions"] == 1
    staging.script("stack restore", moment)
    assert counts(staging) == before
    until(lambda: staging.predict().status_code == 201)
    until(lambda: received(staging))  # the new history has its backup, too
    assert len(staging.compose("exec", "-T", "backup", "sh", "/stack/backup.sh", "list").splitlines()) >= 2


def test_a_moment_without_a_backup_leaves_the_data_as_they_are(staging: Stack) -> None:
    before = counts(staging)
    said = staging.script("stack restore", "2001-01-01T00:00:00Z", code=4)
    assert "the data are as they were" in said
    assert counts(staging) == before
    until(lambda: received(staging))


@contextmanager
def s3() -> Iterator[str]:
    """A server of S3's protocol; yields its container, which stacks have to be joined with."""
    docker("build", "--quiet", "--tag", "kickoff-test-s3", str(ROOT / "tests/e2e/s3"), seconds=600)
    name = f"kickoff-test-s3-{secrets.token_hex(3)}"
    docker("run", "--detach", "--rm", "--name", name, "kickoff-test-s3")
    try:
        yield name
    finally:
        docker("rm", "--force", name)


@contextmanager
def copying_to(server: str, one: Stack) -> Iterator[None]:
    """Let a stack keep copies of its backups in a server of S3's protocol."""
    account = {"BACKUP_KEY": "k", "BACKUP_ACCESS_ID": "id", "BACKUP_ACCESS_KEY": "secret"}
    one.environ |= account | {"BACKUP_REPOSITORY": "s3:http://s3:9000/backups"}
    network = f"{one.project}_football-backend"
    docker("network", "connect", "--alias", "s3", network, server)
    try:
        assert "backup" in one.script("stack apply")
        yield
    finally:
        docker("network", "disconnect", network, server)


def test_a_lost_host_is_replaced_by_another(
    staging: Stack, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with s3() as server, copying_to(server, staging):
        before = filled(staging)
        until(lambda: received(staging))
        began = time.monotonic()
        staging.compose("exec", "-T", "backup", "sh", "/stack/backup.sh", "copy")
        print(f"copied in {time.monotonic() - began:.1f} s")
        assert staging.predict().status_code == 201  # which the copy has no more
        began = time.monotonic()
        with contextmanager(running)("staging", image, tmp_path_factory) as other, copying_to(server, other):
            print(f"serving without its data after {time.monotonic() - began:.1f} s")
            copy = ("exec", "-T", "backup", "sh", "/stack/backup.sh", "copy")
            with pytest.raises(AssertionError, match="are of another database"):
                other.compose(*copy)
            other.script("stack restore", "latest", "--from=staging")
            print(f"serving with them after {time.monotonic() - began:.1f} s")
            assert counts(other) == before
            assert other.secret("postgres_app_password") != staging.secret("postgres_app_password")
            until(lambda: other.predict().status_code == 201)
            until(lambda: received(other))
            other.compose(*copy)  # which goes on with what the lost host had


def test_production_comes_up_whole(production: Stack) -> None:
    assert_whole(production)
    redirect = httpx.get(f"http://127.0.0.1:{production.environ['HTTP_PORT']}/health")
    assert redirect.status_code == 301
    assert redirect.headers["Location"].startswith("https://")
    assert "max-age=31536000" in production.client.get("/health").headers["Strict-Transport-Security"]
    assert_watched(production)


def test_production_refuses_weak_ciphers(production: Stack) -> None:
    def handshake(cipher: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
        with socket.create_connection(
            ("127.0.0.1", int(production.environ["HTTPS_PORT"])), timeout=10
        ) as plain:
            context.wrap_socket(plain).close()

    handshake("ECDHE-RSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        handshake("ECDHE-RSA-AES128-SHA")


def test_what_is_not_for_users_answers_none_of_them(production: Stack) -> None:
    for path in ("/metrics", "/docs", "/openapi.json", "/grafana/", "//metrics", "/%6Detrics"):
        assert production.client.get(path).status_code == 404, path
    with production.client_of(production.port) as local:
        assert local.get("/metrics").status_code == local.get("/docs").status_code == 200
    admin = docker("port", production.container("traefik"), "8082").split(":")[-1]
    assert httpx.get(f"http://127.0.0.1:{admin.strip()}/grafana/", trust_env=False).status_code < 400


def test_no_container_reaches_what_is_none_of_its_business(production: Stack) -> None:
    def answers(network: str, address: str) -> bool:
        where = f"{production.project}_football-{network}"
        command = [
            "run",
            "--rm",
            "--network",
            where,
            "alpine:3.22.1",
            "wget",
            "-q",
            "-T",
            "3",
            "-O",
            "/dev/null",
        ]
        done = subprocess.run(["docker", *command, address], capture_output=True, timeout=60, check=False)
        assert done.returncode < 100, done.stderr  # 125 and more are Docker's own
        return done.returncode == 0

    inside = (
        *("http://traefik:8081", "http://traefik:8082/ping"),
        *("http://alertmanager:9093/-/ready", "http://jaeger:4318"),
    )
    assert answers("backend", inside[1]), "what could be reached is"
    assert [address for address in inside if answers("frontend", address)] == []
    with socket.create_server(("0.0.0.0", 0)) as listening:  # a service of the host, for a moment
        port = listening.getsockname()[1]
        facts = json.loads(docker("network", "inspect", f"{production.project}_football-backend"))[0]
        assert not facts["IPAM"]["Config"][0].get("Gateway"), "the host has an address in the backend"
        network = json.loads(docker("network", "inspect", f"{production.project}_football-frontend"))[0]
        host = network["IPAM"]["Config"][0]["Gateway"]
        assert not answers("backend", f"http://{host}:{port}")


def test_a_row_of_the_primary_is_read_on_the_replica(production: Stack) -> None:
    assert production.sql(STREAMING) == "streaming"
    made = production.predict().json()["id"]
    where = f"select count(*) from predictions where id='{made}'"
    until(lambda: production.sql(where, "postgres-replica") == "1", 10)
    assert production.sql("select pg_is_in_recovery()", "postgres-replica") == "t"
    # The service reads there too.
    reads = (
        "select coalesce(sum(idx_scan + seq_scan), 0) from pg_stat_user_tables where relname='predictions'"
    )
    production.sql("select pg_stat_force_next_flush()", "postgres-replica")
    users = "select count(*) from pg_stat_activity where usename='football'"
    production.client.get("/predictions").raise_for_status()
    assert int(production.sql(users, "postgres-replica")) > 0, production.sql(reads, "postgres-replica")


@contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """Change a file, and put it back."""
    before = path.read_text("utf-8")
    assert old in before, old
    path.write_text(before.replace(old, new, 1), "utf-8")
    try:
        yield
    finally:
        path.write_text(before, "utf-8")


@dataclass
class Asked:
    """What users got while something was killed."""

    statuses: list[int] = field(default_factory=list)
    slowest: float = 0.0


def asking(one: Stack, stop: threading.Event, asked: Asked) -> None:
    """Predict and list in turn, until told to stop."""
    while not stop.is_set():
        for ask in (one.predict, lambda: one.client.get("/predictions?limit=5")):
            begun = time.monotonic()
            try:
                asked.statuses.append(ask().status_code)
            except httpx.HTTPError:
                asked.statuses.append(0)
            asked.slowest = max(asked.slowest, time.monotonic() - begun)


def while_asking(one: Stack, act: Callable[[], None]) -> Asked:
    stop, asked = threading.Event(), Asked()
    thread = threading.Thread(target=asking, args=(one, stop, asked))
    thread.start()
    try:
        until(lambda: len(asked.statuses) >= 20)
        act()
        enough = len(asked.statuses) + 20
        until(lambda: len(asked.statuses) >= enough)
    finally:
        stop.set()
        thread.join()
    wrong = [status for status in asked.statuses if status not in {200, 201}]
    print(f"{len(asked.statuses)} requests, {len(wrong)} failed {wrong}, slowest {asked.slowest:.2f} s")
    assert wrong == []
    return asked


def test_a_killed_redis_master_fails_nothing_and_is_replaced(production: Stack) -> None:
    assert "cluster_state:ok" in production.redis("redis-1", "cluster info")
    slot = int(production.redis("redis-1", "cluster keyslot '{football:production:1:}x'"))
    master = ""
    for line in production.redis("redis-1", "cluster nodes").splitlines():
        parts = line.split()
        for span in parts[8:]:
            first, _, last = span.partition("-")
            if "master" in parts[2] and int(first) <= slot <= int(last or first):
                master = f"redis-{int(parts[1].split(':')[0].rpartition('.')[2]) - 10}"
    assert master
    witness = "redis-1" if master != "redis-1" else "redis-2"

    def kill() -> None:
        docker("kill", production.container(master))
        until(lambda: "fail" in production.redis(witness, "cluster nodes"))
        until(lambda: "cluster_slots_ok:16384" in production.redis(witness, "cluster info"))
        until(lambda: production.client.get("/health/ready").json()["status"] == "ready")

    while_asking(production, kill)
    production.compose("start", master)
    until(lambda: production.containers()[master]["Health"] == "healthy")


def test_a_killed_replica_fails_nothing(production: Stack) -> None:
    def kill() -> None:
        docker("kill", production.container("postgres-replica"))
        time.sleep(3)

    while_asking(production, kill)
    production.compose("start", "postgres-replica")
    until(lambda: production.sql(STREAMING) == "streaming")


@dataclass
class Written:
    """Predictions that were made while something happened: each with its time, and its id where it was taken."""

    one: Stack
    made: list[tuple[float, str]] = field(default_factory=list)

    def lost(self, service: str) -> list[str]:
        """Return the ids that were taken and are not in the database."""
        taken = [identity for _, identity in self.made if identity]
        assert taken
        there = self.one.sql("select id from predictions", service).split()
        return sorted(set(taken) - set(there))

    def outage(self) -> float:
        """Return the seconds between the last prediction that was taken before the first failure, and the next."""
        failed = [at for at, identity in self.made if not identity]
        if not failed:
            return 0.0
        before = [at for at, identity in self.made if identity and at < failed[0]]
        after = [at for at, identity in self.made if identity and at > failed[-1]]
        return after[0] - (before or failed)[-1]


@contextmanager
def writing(one: Stack) -> Iterator[Written]:
    written, stop = Written(one), threading.Event()

    def write() -> None:
        while not stop.wait(0.02):
            try:
                answer = one.predict()
                identity = str(answer.json()["id"]) if answer.status_code == 201 else ""
            except httpx.HTTPError:
                identity = ""
            written.made.append((time.monotonic(), identity))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        until(lambda: len(written.made) >= 20)
        yield written
        enough = len(written.made) + 20
        until(lambda: len(written.made) >= enough and written.made[-1][1])
    finally:
        stop.set()
        thread.join()


def recovering(one: Stack, service: str) -> str:
    return one.sql("select pg_is_in_recovery()", service)


def test_a_lost_primary_is_replaced_by_its_replica_and_cannot_come_back_beside_it(production: Stack) -> None:
    until(lambda: production.sql(STREAMING) == "streaming")
    with writing(production) as written:
        docker("rm", "--force", production.container("postgres"))
        docker("volume", "rm", f"{production.project}_postgres-data")
        said = production.script("stack promote-replica", "postgres-replica")
    assert "✓ postgres-replica is the primary" in said
    lost = written.lost("postgres-replica")
    print(f"{len(written.made)} writes, no write for {written.outage():.1f} s, {len(lost)} lost")
    assert len(lost) <= 1, "what was committed in the last instant may not have been sent"
    for _ in range(2):
        assert (recovering(production, "postgres"), recovering(production, "postgres-replica")) == ("t", "f")
        docker("restart", production.container("postgres"))  # a reboot of the one that was lost
        until(lambda: production.containers()["postgres"]["Health"] == "healthy", 120)
    until(lambda: production.sql(STREAMING, "postgres-replica") == "streaming")
    assert "nothing would change" in production.script("stack plan")
    production.compose("exec", "-T", "backup", "sh", "/stack/backup.sh", "once")


def test_the_former_primary_takes_its_place_again_without_a_lost_row(production: Stack) -> None:
    with writing(production) as written:
        production.script("stack promote-replica", "postgres")
    print(
        f"{len(written.made)} writes, no write for {written.outage():.1f} s, {written.lost('postgres')} lost"
    )
    assert written.lost("postgres") == []
    assert (recovering(production, "postgres"), recovering(production, "postgres-replica")) == ("f", "t")
    assert "✓ postgres is the primary" in production.script("stack promote-replica", "postgres")
    until(lambda: whole(production), 120)
    assert "promoted a replica beside" in production.script("history")


def test_both_servers_have_what_was_restored(production: Stack) -> None:
    before = filled(production)
    moment = production.sql("select clock_timestamp()").replace(" ", "T")
    production.sql("delete from predictions")
    production.script("stack restore", moment)
    until(lambda: production.sql(STREAMING) == "streaming")
    assert counts(production) == before
    there = production.sql("select count(*) from predictions", "postgres-replica")
    assert int(there) == before["predictions"]
    assert recovering(production, "postgres-replica") == "t"
    until(lambda: whole(production), 120)


def unanswered(one: Stack, queries: Iterable[dashboards.Asked]) -> list[dashboards.Asked]:
    """Return those of the queries that have no answer at this moment, or no number in it."""
    port = docker("port", one.container("prometheus"), "9090").split(":")[-1].strip()
    empty = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=15) as client:
        for asked in queries:
            what = {"query": asked.expr}
            if asked.marks:  # moments, which are over
                what |= {"start": str(time.time() - 3600), "end": str(time.time()), "step": "15"}
            answer = client.post("/query_range" if asked.marks else "/query", data=what)
            assert answer.status_code == 200, (asked, answer.text)
            rows = answer.json()["data"]["result"]
            values = [value for row in rows for _, value in row.get("values") or [row["value"]]]
            if all(value in {"NaN", "+Inf", "-Inf"} for value in values):
                empty.append(asked)
    return empty


@pytest.mark.parametrize("name", ["staging", "production"])
def test_no_panel_is_empty_once_a_release_was_taken_back(name: str, request: pytest.FixtureRequest) -> None:
    one: Stack = request.getfixturevalue(name)
    environment = one.root / f"configs/environments/{name}.env"
    with edited(environment, "BAKE_TIME=2s\n", "BAKE_TIME=2s\nAPI_WORKERS=1\n"):
        one.release()
    one.script("rollback", "--reason", "for the time to restore")
    queries = list(dashboards.asked(*(["common", "production"] if name == "production" else ["common"])))
    left, deadline = queries, time.monotonic() + 240
    while left:
        assert time.monotonic() < deadline, left
        for goals in range(5):
            match, result = secrets.token_hex(8), {"home_goals": goals, "away_goals": 2}
            one.client.post("/predictions", json=MATCH | {"match_id": match}).raise_for_status()
            one.client.post(f"/matches/{match}/result", json=MATCH | result).raise_for_status()
            one.client.get("/predictions?limit=5").raise_for_status()
        left = unanswered(one, left)
        time.sleep(2)
    panels = {(asked.board, asked.panel) for asked in queries if not asked.marks}
    print(f"{name}: {len(panels)} panels, {len(queries)} queries, 0 empty")
