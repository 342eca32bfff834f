"""``doctor --env``: this machine, a host behind a stand-in for ssh, and a Docker that is a stand-in too."""

import json
import os
import shutil
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kickoff.errors import KickoffError
from kickoff.evidence import Verdict
from kickoff.host import checks, doctor, host_facts, reach
from kickoff.host.checks import Finding
from kickoff.paths import STATE_HOME
from tests import certificates
from tests.servers import running
from tests.unit import gh_stand_in
from tests.unit.environment.support import ROOT

QUESTION: dict[str, Any] = {
    "state": "~state/x", "state_home": STATE_HOME, "ports": [], "names": [], "docker": False, "swarm": False, "networks": ["n"],
}  # fmt: skip
# Runs what it is given, as sshd would, after it has checked how it was asked.
SSH = """#!{python}
import os, subprocess, sys
*options, host, command = sys.argv[1:]
assert {{"BatchMode=yes", "StrictHostKeyChecking=yes"}} <= set(options), options
assert host == "deploy@host.example", host
if os.environ.get("SSH_SAYS"):
    sys.stderr.write(os.environ["SSH_SAYS"] + "\\n")
    sys.exit(255)
sys.exit(subprocess.run(["sh", "-c", command]).returncode)
"""
DOCKER = """#!/bin/sh
case "$*" in
    "version "*) echo "${ENGINE:-28.5.2}" ;;
    "compose version"*) echo 2.40.3 ;;
    "buildx version") echo "github.com/docker/buildx v0.29.1" ;;
    "info "*) echo / ;;
    "network inspect"*) echo bridge ;;
    "ps "*) echo football-staging/traefik ;;
    *) exit 9 ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stand-ins, found before everything else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("ssh", SSH.format(python=sys.executable)), ("docker", DOCKER)):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("KICKOFF_CLOCK_URL", "http://127.0.0.1:1")
    return folder


def project(folder: Path, **values: str) -> Path:
    """A project whose staging has these values."""
    root = folder / "project"
    shutil.copytree(ROOT / "configs", root / "configs")
    shutil.copyfile(ROOT / "kickoff.yml", root / "kickoff.yml")
    shutil.copy(ROOT / "docker-compose.staging.yml", root)
    path = root / "configs" / "environments" / "staging.env"
    values = {"DEPLOY_TARGET": "local"} | values
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [one for one in lines if one.partition("=")[0] not in values]
    path.write_text("\n".join([*kept, *map("=".join, values.items())]) + "\n", encoding="utf-8")
    return root


def examine(root: Path, state: Path, **environ: str) -> dict[str, Finding]:
    database = "postgresql+psycopg://football:quarry-lantern-17@db.internal/football"
    secrets = {"API_KEY": "a-key-of-some-length-1", "DATABASE_URL": database}
    given = secrets | {"KICKOFF_STATE_ROOT": str(state)} | environ
    return {one.name: one for one in doctor.examine("staging", root, os.environ | given)}


def test_the_host_of_processes_is_this_machine(programs: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = examine(project(tmp_path, PUBLIC_PORT=port), tmp_path / "state")
    assert found[f"port {port}"].verdict is Verdict.FAIL
    assert Path(sys.executable).name in found[f"port {port}"].detail, "it names who has it"
    assert found["host"].detail == "this machine"
    assert not [name for name in found if name.startswith("docker")]
    good = ("environment", "target", "secrets", "python", "state folder")
    assert {found[name].verdict for name in good} == {Verdict.PASS}
    assert found["clock"].verdict is not Verdict.FAIL


def test_a_container_host_is_asked_for_docker(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path, DEPLOY_TARGET="compose")
    monkeypatch.setenv("ENGINE", "20.10.24")
    found = examine(root, tmp_path / "state")
    assert found["docker engine"].verdict is Verdict.FAIL
    assert {found[name].verdict for name in ("docker compose", "docker buildx")} == {Verdict.PASS}


def test_network_ports_and_names_are_those_of_the_compose_file(programs: Path, tmp_path: Path) -> None:
    root = project(tmp_path, DEPLOY_TARGET="compose")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (root / "docker-compose.staging.yml").write_text(
            "name: football-staging\nx-kickoff: {names: [SITE]}\n"
            'services: {traefik: {ports: ["${SITE_PORT:-8123}:8443", "127.0.0.1::8081"]}}\n'
            "networks: {outside: {external: true, name: orders-front}}\n"
        )
        found = examine(root, tmp_path / "state", SITE_PORT=port)
    assert found["network"].detail == "orders-front (bridge)"
    assert found[f"port {port}"].detail == "held by our own proxy, football-staging/traefik"
    assert found["public name"].detail == "not checked: SITE is not set"
    assert [name for name in found if name.startswith("port")] == [f"port {port}"]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "docker-compose.staging.yml is missing"),
        ("name: x\nx-kickoff: {secret: {}}\n", "yml:2; docker-compose"),
    ],
)
def test_a_stack_that_cannot_be_read_is_a_finding(
    programs: Path, tmp_path: Path, text: str, detail: str
) -> None:
    root = project(tmp_path, DEPLOY_TARGET="compose")
    (tmp_path / "state" / "football" / "staging" / "stack" / "secrets").mkdir(parents=True)
    file = root / "docker-compose.staging.yml"
    file.unlink()
    if text:
        file.write_text(text)
    found = examine(root, tmp_path / "state")
    assert found["stack"].verdict is Verdict.FAIL
    assert detail in found["stack"].detail


def test_the_stack_s_own_secrets_count(programs: Path, tmp_path: Path) -> None:
    root = project(tmp_path)
    state = tmp_path / "state"
    secrets = state / "football" / "staging" / "stack" / "secrets"
    secrets.mkdir(parents=True)
    assert examine(root, state, API_KEY="")["secrets"].detail == "not set: API_KEY"
    (secrets / "api_key").write_text("a-key-of-some-length-1")
    assert examine(root, state, API_KEY="")["secrets"].verdict is Verdict.PASS


def test_a_remote_host_is_asked_by_ssh(programs: Path) -> None:
    where = reach.address("ssh://deploy@host.example:2222")
    answer = reach.ask(where, QUESTION | {"names": ["localhost", "nothing.invalid"]})
    assert answer.facts["python"][0] == 3
    assert answer.facts["names"]["localhost"]
    assert answer.facts["names"]["nothing.invalid"] == []
    assert abs(answer.offset) <= answer.doubt, "both clocks are this machine's"
    assert "-p" in reach.ssh(where)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Host key verification failed.", "ssh-keyscan"),
        ("deploy@host.example: Permission denied (publickey).", "authorized_keys"),
        ("ssh: Could not resolve hostname host.example: Name or service not known", "DEPLOY_HOST"),
        ("ssh: connect to host host.example port 22: Connection refused", "true"),
    ],
)
def test_a_host_that_cannot_be_asked_says_why(
    said: str, hint: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_SAYS", said)
    with pytest.raises(KickoffError) as error:
        reach.ask(reach.address("ssh://deploy@host.example"), QUESTION)
    assert error.value.code == 4
    assert error.value.causes == (said,)
    assert hint in error.value.hint


def test_of_several_hosts_the_first_that_answers_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        # Nobody listens on that port of the loopback's other addresses.
        second = reach.address(f"ssh://deploy@127.0.0.2,127.0.0.1:{port}")
        assert second == reach.Address("127.0.0.1", "deploy", port)
        assert reach.address(f"ssh://deploy@127.0.0.1,127.0.0.2:{port}").host == "127.0.0.1"
        assert reach.address(f"ssh://deploy@127.0.0.2,127.0.0.3:{port}").host == "127.0.0.2", "none answers"


@pytest.mark.parametrize(
    "text",
    ["host.example", "http://host.example", "ssh://", "ssh://a:secret@host.example", "ssh://h:99999", "ssh://h/x",
     "ssh://-oProxyCommand=id@h"],
)  # fmt: skip
def test_only_an_address_is_an_address(text: str) -> None:
    with pytest.raises(KickoffError, match="no address of a host"):
        reach.address(text)


def test_the_facts_need_nothing_but_a_bare_python(tmp_path: Path) -> None:
    text = Path(host_facts.__file__).read_text(encoding="utf-8")
    assert "import kickoff" not in text
    assert "from kickoff" not in text
    document = json.loads(
        json.dumps(host_facts.collect(QUESTION | {"state": str(tmp_path / "new" / "state")}))
    )
    assert document["state"]["there"] is False
    assert document["state"]["writable"] is True
    assert document["state"]["free"] > 0


@pytest.mark.parametrize(
    ("days", "verdict", "told"),
    [(30, Verdict.PASS, "of localhost, valid until"), (-1, Verdict.FAIL, "certificate has expired")],
    ids=["valid", "expired"],
)
def test_the_certificate_that_users_meet_is_asked_for(
    days: int, verdict: Verdict, told: str, programs: Path, tmp_path: Path
) -> None:
    certificate = certificates.made(tmp_path, "localhost", days=days)
    with certificates.serving(certificate) as port, certificates.trusting(certificate):
        root = project(tmp_path, PUBLIC_HOST=f"localhost:{port}")
        found = examine(root, tmp_path / "state")["certificate"]
    assert found.verdict is verdict
    assert told in found.detail


def test_before_a_first_release_there_is_no_certificate_to_judge(programs: Path, tmp_path: Path) -> None:
    found = examine(project(tmp_path, PUBLIC_HOST="localhost:9"), tmp_path / "state")["certificate"]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "localhost:9 does not answer by TLS" in found.detail


RUNNERS = [
    (
        "https://github.com/o/shop",
        {"visibility": "public"},
        Verdict.FAIL,
        "anybody may run its code on this host",
    ),
    ("https://github.com/o/shop", {"visibility": "private"}, Verdict.PASS, "which is private"),
    (
        "https://github.com/o/shop",
        None,
        Verdict.INCONCLUSIVE,
        "nobody says whether that is public: GitHub did not",
    ),
    ("https://github.com/o", None, Verdict.INCONCLUSIVE, "registered for more than one repository"),
    ("", None, Verdict.INCONCLUSIVE, "a repository that this user cannot see"),
]


@pytest.mark.parametrize(("serves", "answer", "verdict", "detail"), RUNNERS)
def test_a_runner_on_the_host_must_not_serve_a_public_repository(  # noqa: PLR0917
    serves: str,
    answer: dict[str, str] | None,
    verdict: Verdict,
    detail: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    github = gh_stand_in.GitHub(tmp_path)
    github.use(monkeypatch)
    if answer:
        github.answer("GET repos/o/shop", answer)
    found = doctor._runner(serves)
    assert (found.name, found.verdict) == ("runner", verdict)
    assert detail in found.detail
    assert ("deploy over SSH (DEPLOY_HOST), or give an ephemeral runner" in found.fix) == (
        verdict is not Verdict.PASS
    )


def test_a_runner_is_known_by_its_process_and_its_settings(tmp_path: Path) -> None:
    for number, name, settings in (
        (1, "actions-runner", '\ufeff{"gitHubUrl": "https://github.com/o/shop"}'),
        (2, "hidden", ""),
        (3, "", ""),
    ):
        process = tmp_path / "proc" / str(number)
        process.mkdir(parents=True)
        program = tmp_path / name / "bin" / "Runner.Listener" if name else Path("/usr/bin/sleep")
        (process / "cmdline").write_bytes(f"{program}\0run\0".encode())
        if settings:
            program.parent.mkdir(parents=True)
            (tmp_path / name / ".runner").write_text(settings, encoding="utf-8")
    assert host_facts._runners(tmp_path / "proc") == ["", "https://github.com/o/shop"]


def test_an_edge_that_does_not_answer_is_a_finding(tmp_path: Path) -> None:
    assert host_facts._edges(tmp_path) == {}

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Api)) as server:
        up, down = f"http://127.0.0.1:{server.server_address[1]}", "http://127.0.0.1:9"
        (tmp_path / "etcd.json").write_text(json.dumps({"endpoints": [], "edges": [up, down]}))
        facts = host_facts._edges(tmp_path)
    assert facts[up] == ""
    assert "refused" in facts[down]
    good, bad = checks.edges(facts)
    assert (good.verdict, good.detail) == (Verdict.PASS, up)
    assert (bad.verdict, bad.detail.partition(": ")[0]) == (Verdict.FAIL, down)
    assert "etcd.json" in bad.fix


def node(name: str = "node1", **changed: str) -> dict[str, str]:
    return {
        "name": name, "engine": "28.5.2+dfsg4", "state": "ready", "manager": "reachable", "failure": "", **changed,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "named", "detail"),
    [
        ([node("a"), node("b"), node("c")], "", ""),
        ([node("a")], "managers", "more than 0 lost"),
        ([node("a"), node("b")], "managers", "more than 0 lost"),
        ([node("a"), node("b"), node("c", manager="")], "managers", "more than 0 lost"),
        ([node("a"), node("b"), node("c", manager="unreachable", state="down")], "managers", "c not reached"),
        ([node("a"), node("b"), node("c", engine="28.5.1")], "engines of the nodes", "differ"),
        ([node("a"), node("b"), node("c", state="down")], "node c", "is down"),
        ([node("a"), node("b"), node("c", failure="10.0.0.3:7946: refused")], "node c", "refused"),
        ([node(one, engine="28.2.1") for one in "abc"], "node a", "do not reach each other"),
        ([node(one, engine="29.4.0") for one in "abc"], "node a", "stay unknown"),
        ([node(one, engine="27.5.1") for one in "abc"], "node a", "older than 28.0"),
        ([node(one, engine="29.7.0") for one in "abc"], "", ""),
    ],
    ids=[
        "as it should be", "one", "two", "two managers and a worker", "a manager is lost", "versions differ",
        "a node is lost", "a port is closed", "28.2", "29.4", "27", "29.7",
    ],
)  # fmt: skip
def test_the_nodes_of_a_swarm_are_judged(nodes: list[dict[str, str]], named: str, detail: str) -> None:
    found = [one for one in checks.swarm({"nodes": nodes, "failure": ""}) if one.verdict is not Verdict.PASS]
    assert (found[0].name if found else "") == named
    assert not named or (detail in found[0].detail and found[0].fix)


def test_an_engine_that_is_no_manager_says_so() -> None:
    (found,) = checks.swarm({"nodes": [], "failure": "This node is not a swarm manager."})
    assert (found.verdict, found.detail) == (Verdict.FAIL, "This node is not a swarm manager.")
    assert "docker swarm init" in found.fix
