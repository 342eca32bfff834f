"""Secrets of a running stack are replaced while users are served, and the former ones are refused afterwards.

`KICKOFF_TEST_STACKS=1 make test ARGS='tests/e2e/test_rotation.py -n 0'`, on a real Docker engine.
"""

import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from kickoff.artifact.image import Image
from tests.e2e.containers import docker, remove_project
from tests.e2e.test_stacks import MATCH, ROOT, Stack, engine, image, until
from tests.servers import running

__all__ = ["engine", "image"]
pytestmark = pytest.mark.e2e


# What is judged here is whether users are served, not how fast a busy machine is.
PATIENT = "CANARY_HOLD=1s\nCANARY_STEPS=50,100\nREADY_TIMEOUT=10m\nAPI_WORKERS=1\nRESPONSE_TIME_THRESHOLD=4s\nCPU_USAGE_THRESHOLD=100%\n"


@pytest.fixture(scope="module", params=["staging", "production"])
def stack(
    request: pytest.FixtureRequest, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    one = Stack(request.param, tmp_path_factory.mktemp(request.param), image)
    one.edit(f"configs/environments/{one.name}.env", r"\Z", PATIENT)
    try:
        one.release()
        one.connect()
        yield one
        one.client.close()
    finally:
        remove_project(one.project)


@dataclass
class Users:
    """People who predict and list, each time with a key that one of them has."""

    one: Stack
    keys: list[str]
    statuses: list[int] = field(default_factory=list)

    def ask(self, key: str) -> None:
        headers = {"X-API-Key": key}
        for method, path, body in (("POST", "/predictions", MATCH), ("GET", "/predictions?limit=5", None)):
            try:
                answer = self.one.client.request(method, path, json=body, headers=headers)
                self.statuses.append(answer.status_code)
            except httpx.HTTPError:
                self.statuses.append(0)

    @property
    def failed(self) -> list[int]:
        return [status for status in self.statuses if status not in {200, 201}]


@contextmanager
def users(one: Stack, what: str) -> Iterator[Users]:
    """Let users ask until the context ends; not one request may fail."""
    asked, stop = Users(one, [one.secret("api_key")]), threading.Event()

    def work() -> None:
        while not stop.wait(0.01):
            asked.ask(secrets.choice(asked.keys))

    thread = threading.Thread(target=work)
    thread.start()
    begun = time.monotonic()
    try:
        until(lambda: len(asked.statuses) >= 20)
        yield asked
        enough = len(asked.statuses) + 20
        until(lambda: len(asked.statuses) >= enough)
    finally:
        stop.set()
        thread.join()
    seconds = time.monotonic() - begun
    print(
        f"\n{one.name}: {what}: {len(asked.statuses)} requests, {len(asked.failed)} failed, {seconds:.0f} s"
    )
    assert asked.failed == []


@contextmanager
def command_lines() -> Iterator[set[bytes]]:
    """Collect the arguments of every process of this machine, those of containers included."""
    found, stop = set[bytes](), threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    found.add(path.read_bytes())
                except OSError:
                    continue  # it has ended

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def given(one: Stack, service: str, script: str, *arguments: str, text: str) -> str:
    """Run a shell script in a container, with a text on its standard input; return what it prints, errors too."""
    compose = ["-f", str(one.stack / "files" / f"docker-compose.{one.name}.yml")]
    command = [*compose, "--env-file", str(one.stack / "compose.env"), "exec", "-T", service]
    done = subprocess.run(
        ["docker", "compose", *command, "sh", "-c", script, *arguments],
        input=text, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def logs_in(one: Stack, service: str, user: str, password: str) -> bool:
    """Return whether a user of the database gets in from the network, with the rights of the owner."""
    script = (
        'read -r PGPASSWORD; export PGPASSWORD; psql -h 127.0.0.1 -U "$0" football -Atc "select current_user"'
    )
    said = given(one, service, script, user, text=f"{password}\n").strip()
    assert said == "football" or "authentication failed" in said or "not permitted to log in" in said, said
    return said == "football"


def takes(one: Stack, service: str, password: str) -> bool:
    """Return whether a node of Redis takes a password."""
    script = "read -r REDISCLI_AUTH; export REDISCLI_AUTH; redis-cli ping"
    said = given(one, service, script, text=f"{password}\n")
    assert "PONG" in said or "WRONGPASS" in said, said
    return "PONG" in said


def servers(one: Stack, of: str) -> list[str]:
    found = sorted(name for name, row in one.containers().items() if row["State"] == "running")
    kinds = {
        "database": [name for name in found if name in ("postgres", "postgres-replica")],
        "cache": [
            name for name in found if name == "redis" or (name.startswith("redis-") and name[-1].isdigit())
        ],
    }
    assert kinds[of], found
    return kinds[of]


def left_on_disk(one: Stack, value: str) -> list[str]:
    """Return the files that hold a value: state, evidence, artefacts and the project."""
    paths = [path for path in one.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path.relative_to(one.folder)) for path in paths if value.encode() in path.read_bytes()]


def rotate(one: Stack, secret: str) -> str:
    return one.script("stack rotate", secret)


def standing(one: Stack, secret: str) -> dict[str, object]:
    document, _ = json.JSONDecoder().raw_decode(one.script("stack rotate", "--json"))
    return next(row for row in document["secrets"] if row["secret"] == secret)


def well(one: Stack) -> bool:
    """Return whether everything that runs is healthy and the service is ready; for waiting."""
    rows = [row for row in one.containers().values() if row["State"] != "exited"]
    ready = one.client.get("/health/ready")
    served = ready.status_code == 200 and ready.json()["status"] == "ready"
    return served and {row["Health"] for row in rows} <= {"healthy"}


def goes_back(one: Stack) -> None:
    """Go back to the release before, which had the former value, and see that it works."""
    before = one.released
    one.script("rollback", "--reason", "a rehearsal")
    answer = one.client.get("/health/ready")
    assert answer.headers["X-Release"] != before
    one.released = answer.headers["X-Release"]
    until(lambda: well(one), 120)


def assert_unseen(values: list[str], said: str, lines: set[bytes]) -> None:
    for value in values:
        assert value not in said
        assert [line for line in lines if value.encode() in line] == []


def test_the_databases_password(stack: Stack) -> None:
    user, password = stack.secret("postgres_app_user"), stack.secret("postgres_app_password")
    database = servers(stack, "database")
    with users(stack, "the database's password"), command_lines() as lines:
        said = rotate(stack, "postgres_app_password")
        assert "kickoff deploy" in said
        new = (stack.secret("postgres_app_user"), stack.secret("postgres_app_password"))
        assert new[0] != user
        assert new[1] != password
        for service in database:
            assert logs_in(stack, service, user, password) and logs_in(stack, service, *new), service
        # Before the release the same command changes nothing, and the plan says what is waited for.
        said += rotate(stack, "postgres_app_password")
        assert (stack.secret("postgres_app_user"), stack.secret("postgres_app_password")) == new
        assert "kickoff deploy" in stack.script("stack plan")
        stack.release()
        said += rotate(stack, "postgres_app_password")
    assert "✓ postgres_app_password has a new value, and the former one is refused" in said
    for service in database:
        assert not logs_in(stack, service, user, password), service
        assert logs_in(stack, service, *new), service
    assert_unseen([password, new[1]], said, lines)
    assert left_on_disk(stack, password) == []
    assert standing(stack, "postgres_app_password")["next"] == "begin"
    assert "nothing would change" in stack.script("stack plan")
    owners = stack.sql("select distinct tableowner from pg_tables where schemaname='public'")
    assert owners == "football"
    stack.compose("exec", "-T", "backup", "sh", "/stack/backup.sh", "once")
    with users(stack, "a way back past the new password"):
        goes_back(stack)
    assert "replaced a secret beside" in stack.script("history")


def test_the_caches_password_also_when_a_node_starts_meanwhile(stack: Stack) -> None:
    password, nodes = stack.secret("redis_password"), servers(stack, "cache")
    with users(stack, "the cache's password"), command_lines() as lines:
        said = rotate(stack, "redis_password")
        new = stack.secret("redis_password")
        assert [
            node for node in nodes if not (takes(stack, node, password) and takes(stack, node, new))
        ] == []
        docker("restart", stack.container(nodes[0]))
        until(lambda: stack.containers()[nodes[0]]["Health"] == "healthy")
        assert takes(stack, nodes[0], password) and takes(stack, nodes[0], new)
        stack.release()
        said += rotate(stack, "redis_password")
    assert "✓ redis_password has a new value" in said
    assert [node for node in nodes if takes(stack, node, password) or not takes(stack, node, new)] == []
    assert_unseen([password, new], said, lines)
    assert left_on_disk(stack, password) == []
    assert "nothing would change" in stack.script("stack plan")
    docker("restart", stack.container(nodes[0]))
    until(lambda: well(stack), 120)


def test_the_key_of_the_service_while_callers_change_over(stack: Stack) -> None:
    def status(key: str) -> int:
        return stack.client.post("/predictions", json=MATCH, headers={"X-API-Key": key}).status_code

    key = stack.secret("api_key")
    with users(stack, "the service's key") as asked, command_lines() as lines:
        said = rotate(stack, "api_key")
        new = stack.secret("api_key_next")
        assert (status(key), status(new)) == (201, 401)
        stack.release()
        assert (status(key), status(new)) == (201, 201)
        asked.keys.append(new)  # some callers have it, others not yet
        until(lambda: len(asked.statuses) % 50 == 0)
        asked.keys.remove(key)
        said += rotate(stack, "api_key")
        assert status(key) == 201
        stack.client.headers["X-API-Key"] = new
        stack.release()
        said += rotate(stack, "api_key")
    assert "✓ api_key has a new value, and the former one is refused" in said
    assert (status(key), status(new)) == (401, 201)
    assert (stack.secret("api_key"), stack.secret("api_key_next")) == (new, "")
    assert_unseen([key, new], said, lines)
    assert left_on_disk(stack, key) == []


def test_a_rotation_that_is_killed_is_gone_on_with_by_the_same_command(stack: Stack) -> None:
    password, order = stack.secret("redis_password"), secrets.SystemRandom()
    command = [
        sys.executable,
        str(ROOT / "src" / "kickoff"),
        "stack",
        "rotate",
        "redis_password",
        "--env",
        stack.name,
    ]

    def killed(seconds: float) -> None:
        process = subprocess.Popen(
            command, cwd=stack.root, env=stack.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()

    with users(stack, "a rotation killed six times"):
        for _ in range(3):
            killed(order.uniform(1, 10))
        rotate(stack, "redis_password")
        new = stack.secret("redis_password")
        assert new != password
        stack.release()
        for _ in range(3):
            killed(order.uniform(1, 10))
        rest = standing(stack, "redis_password")["under_way"]
        if rest:
            rotate(stack, "redis_password")
    newest = stack.secret("redis_password")
    if standing(stack, "redis_password")["under_way"]:  # a kill came after the end: another one has begun
        with users(stack, "the one that was begun after it"):
            stack.release()
            rotate(stack, "redis_password")
    nodes = servers(stack, "cache")
    assert [node for node in nodes if takes(stack, node, password) or not takes(stack, node, newest)] == []
    until(lambda: well(stack), 120)


@contextmanager
def receiver() -> Iterator[tuple[int, list[str]]]:
    """Listen for alerts as whoever is told of them; yield the port, and the paths that were posted to."""
    posted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            posted.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with running(ThreadingHTTPServer(("0.0.0.0", 0), Handler)) as server:  # containers reach it as the host
        yield server.server_port, posted


def test_the_address_of_the_alerts(stack: Stack) -> None:
    network = json.loads(docker("network", "inspect", f"{stack.project}_football-frontend"))[0]
    host = network["IPAM"]["Config"][0]["Gateway"]

    def alert(name: str) -> Callable[[], object]:
        text = json.dumps([{"labels": {"alertname": name, "severity": "page"}}])
        post = "wget -q -O - --header 'Content-Type: application/json' --post-data \"$0\" http://127.0.0.1:9093/api/v2/alerts"
        return lambda: given(stack, "alertmanager", post, text, text="")

    with receiver() as (port, posted), users(stack, "the address of the alerts"):
        for secret in ("first", "second"):
            stack.environ["ALERT_WEBHOOK_URL"] = f"http://{host}:{port}/{secret}"
            assert "alert_webhook_url changed" in stack.script("stack plan")
            said = stack.script("stack apply")
            assert stack.environ["ALERT_WEBHOOK_URL"] not in said
            alert(f"Rehearsal{secret}")()
            until(lambda path=f"/{secret}": path in posted, 120)  # type: ignore[misc]
        assert set(posted[posted.index("/second") :]) == {"/second"}
    assert "nothing would change" in stack.script("stack plan")
