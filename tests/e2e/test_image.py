"""Images on a real Docker engine and registry: built once, joined, named by digest, and no secret left behind."""

import base64
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kickoff.artifact import image, layout
from tests.actions.conftest import SERVICE, Project
from tests.actions.test_composites import outputs
from tests.e2e.guarded_registry import guarded
from tests.unit.artifact.docker_stub import quick_syft

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
REGISTRY = os.environ.get("KICKOFF_TEST_REGISTRY", "127.0.0.1:5000")
BOTH = ["linux/amd64", "linux/arm64"]


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    answer = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=60, check=False)
    if answer.returncode != 0:
        pytest.skip("no Docker engine answers")
    try:
        httpx.get(f"http://{REGISTRY}/v2/", timeout=10).raise_for_status()
    except httpx.HTTPError:
        pytest.skip(f"no registry answers at {REGISTRY}: KICKOFF_TEST_REGISTRY names another one")


@pytest.fixture
def name() -> Iterator[str]:
    """A repository's name of its own; what the engine keeps under it is removed."""
    made = f"kickoff-test/{secrets.token_hex(4)}"
    yield made
    listed = [
        "docker",
        "image",
        "ls",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "--filter",
        f"reference=*/{made}",
    ]
    tags = subprocess.run(listed, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    if tags:
        subprocess.run(["docker", "image", "rm", *tags], capture_output=True, timeout=60, check=True)


class Shop:
    """A project whose image is a copied file, and the folders of its runs."""

    def __init__(self, folder: Path, repository: str) -> None:
        self.root, self.repository = folder / "project", repository
        self.store, self.evidence = folder / "artifacts", folder / "evidence"
        self.temporary, self.home = folder / "tmp", folder / "home"
        self.tools = folder / "tools"
        for made in (self.root, self.temporary, self.home, self.tools):
            made.mkdir()
        quick_syft(self.tools)  # one second less for each image that is about something else
        self.git("init", "--quiet")
        self.commit(
            {
                "app/main.txt": "1\n",
                "Dockerfile": "FROM scratch\nCOPY app /app\n",
                "kickoff.yml": yaml.safe_dump({**SERVICE, "image": {"platforms": BOTH}}),
                "notes.txt": "1\n",
            }
        )

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", *arguments]
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        for path, text in files.items():
            (self.root / path).parent.mkdir(exist_ok=True)
            (self.root / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "HEAD")

    def start(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        own = {
            "IMAGE_REPOSITORY": self.repository,
            "KICKOFF_ARTIFACT_DIR": str(self.store),
            "KICKOFF_EVIDENCE_DIR": str(self.evidence),
            "KICKOFF_VENV": sys.prefix,
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.Popen(
            [sys.executable, str(ROOT / "src" / "kickoff"), "build", "--kind=image", *arguments],
            cwd=self.root,
            env=os.environ | own | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def build(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """Run the script and return the facts of its evidence."""
        process = self.start(*arguments, **environ)
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 0, said
        facts: dict[str, Any] = json.loads((self.evidence / "build.json").read_text())["facts"]
        return facts | {"said": said}

    def manifests(self, digest: str) -> list[dict[str, Any]]:
        """Ask the registry itself what the index holds."""
        repository = self.repository.partition("/")[2]
        accept = {"Accept": "application/vnd.oci.image.index.v1+json"}
        answer = httpx.get(f"http://{REGISTRY}/v2/{repository}/manifests/{digest}", headers=accept)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["manifests"]
        return found


@pytest.fixture
def shop(tmp_path: Path, name: str) -> Shop:
    return Shop(tmp_path, f"{REGISTRY}/{name}")


def test_two_platforms_are_one_index_that_is_never_built_twice(shop: Shop) -> None:
    first = shop.build()
    assert (first["created"], first["built"]) == (True, BOTH)
    manifests = shop.manifests(first["digest"])
    platforms = [f"{m['platform']['os']}/{m['platform']['architecture']}" for m in manifests]
    assert [name for name in platforms if name != "unknown/unknown"] == BOTH
    about = [m["annotations"]["vnd.docker.reference.digest"] for m in manifests if "annotations" in m]
    assert sorted(about) == sorted(entry["digest"] for entry in first["platforms"])
    assert [entry["provenance"] for entry in first["platforms"]] == ["attached", "attached"]
    assert (shop.store / f"{first['digest'].removeprefix('sha256:')}.image.json").is_file()

    again = shop.build()
    assert (again["digest"], again["created"], again["built"]) == (first["digest"], False, [])

    commit = shop.commit({"notes.txt": "2\n"})
    elsewhere = shop.build()
    assert (elsewhere["digest"], elsewhere["created"]) == (first["digest"], False)
    assert elsewhere["commit"] == commit != elsewhere["revision"]


def test_what_two_machines_built_apart_is_joined_and_not_built_again(shop: Shop) -> None:
    apart = [shop.build(f"--platforms={platform}")["platforms"][0] for platform in BOTH]
    joined = shop.build()
    assert (joined["created"], joined["built"]) == (True, [])
    assert [entry["digest"] for entry in joined["platforms"]] == [entry["digest"] for entry in apart]
    assert [entry["provenance"] for entry in joined["platforms"]] == ["attached", "attached"]
    assert len(shop.manifests(joined["digest"])) == 4


def test_a_dockerfile_that_copies_what_is_not_listed_fails(shop: Shop) -> None:
    shop.commit({"Dockerfile": "FROM scratch\nCOPY notes.txt /\n"})
    process = shop.start("--platforms=native")
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "was not built and pushed" in said and "notes.txt" in said
    found = json.loads((shop.evidence / "build.json").read_text())
    assert found["verdict"] == "fail"
    assert any("notes.txt" in line for line in found["log_tail"])


def test_a_base_image_for_another_platform_is_never_built_upon(shop: Shop, name: str) -> None:
    version = ["docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]
    own = subprocess.run(version, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    [foreign] = {*BOTH} - {own}
    base = f"{REGISTRY}/{name}:base"
    make = ["docker", "buildx", "build", "--platform", own, "--provenance=false", "--tag", base, "--load"]
    subprocess.run([*make, str(shop.root)], capture_output=True, timeout=60, check=True)
    shop.commit({"Dockerfile": f"FROM {base}\nCOPY app /app\n"})
    assert shop.build(f"--platforms={own}")["created"] is True
    process = shop.start(f"--platforms={foreign}")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert f"the base image or this machine is not {foreign}" in said
    tags = httpx.get(f"http://{REGISTRY}/v2/{name}/tags/list").json()["tags"]
    assert [tag for tag in tags if foreign.replace("/", "-") in tag] == []


def test_an_image_that_goes_over_ssh_is_built_once_into_the_artefact_folder(shop: Shop) -> None:
    shop.commit({"kickoff.yml": yaml.safe_dump(SERVICE | {"image": {"transport": "ssh"}})})
    first = shop.build(IMAGE_REPOSITORY="", REGISTRY_USERNAME="robot", REGISTRY_PASSWORD=PASSWORD)
    assert (first["created"], first["repository"], first["transport"]) == (True, "", "ssh")
    [platform] = first["platforms"]
    assert (first["built"], platform["provenance"]) == ([platform["platform"]], "attached")
    assert not platform["sbom"].startswith("none")
    parts = layout.read(shop.store, first["digest"])
    assert {name for name, part in parts.items() if part.is_manifest} > {first["digest"], platform["digest"]}
    record = json.loads((shop.store / f"{first['digest'].removeprefix('sha256:')}.image.json").read_text())
    assert record["repository"].startswith("kickoff.invalid/")

    shop.commit({"notes.txt": "2\n"})
    again = shop.build(IMAGE_REPOSITORY="")
    assert (again["digest"], again["created"], again["built"]) == (first["digest"], False, [])

    path = parts[platform["digest"]].path
    path.chmod(0o644)
    path.write_text("damaged")
    mended = shop.build(IMAGE_REPOSITORY="")
    assert mended["created"] is True
    layout.read(shop.store, mended["digest"])


def test_an_image_does_not_go_both_over_ssh_and_to_a_registry(shop: Shop) -> None:
    shop.commit({"kickoff.yml": yaml.safe_dump(SERVICE | {"image": {"transport": "ssh"}})})
    process = shop.start()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "IMAGE_REPOSITORY names a registry" in said and "unset it" in said
    assert not shop.store.exists()


PASSWORD = "correct-horse-battery-staple"
TOKENS = [PASSWORD, base64.b64encode(f"robot:{PASSWORD}".encode()).decode()]
# Writes down how it is called and goes on as docker; or waits, so that a build can be interrupted.
WRAPPER = """#!/bin/sh
{{ printf '%s\\n' "$0" "$@"; env; }} >>{record}
case "$1 $2" in "buildx build") [ -z "$HANG" ] || {{ touch {record}.building; exec sleep 60; }};; esac
exec {docker} "$@"
"""


def watched(stop: threading.Event, seen: list[bytes]) -> None:
    """Look at every command line of this machine until told to stop."""
    while not stop.is_set():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue  # it has ended
            if PASSWORD.encode() in line:
                seen.append(line)


def wrapped(shop: Shop) -> tuple[dict[str, str], Path]:
    """Return the variables of a login behind a docker that is watched, and the record of its calls."""
    folder, record = shop.root.parent / "bin", shop.root.parent / "calls"
    folder.mkdir()
    wrapper = folder / "docker"
    wrapper.write_text(WRAPPER.format(record=record, docker=shutil.which("docker")))
    wrapper.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    login = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": PASSWORD}
    return login | {"PATH": path, "HANG": ""}, record


def left_behind(*folders: Path) -> list[Path]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(token.encode() in path.read_bytes() for token in TOKENS)]


def test_a_password_is_in_no_command_line_no_file_and_no_log(shop: Shop, name: str) -> None:
    environ, record = wrapped(shop)
    stop, seen = threading.Event(), list[bytes]()
    thread = threading.Thread(target=watched, args=(stop, seen))
    with guarded(REGISTRY, "robot", PASSWORD) as guard:
        shop.repository = f"{guard}/{name}"
        refused = shop.start("--platforms=native")
        said, _ = refused.communicate(timeout=60)
        assert refused.returncode == 4, said
        thread.start()
        try:
            facts = shop.build("--platforms=native", **environ)
        finally:
            stop.set()
            thread.join()
    assert facts["created"] is True
    assert "login" in record.read_text()
    assert PASSWORD not in record.read_text()
    assert seen == []
    assert not any(token in facts["said"] for token in TOKENS)
    assert left_behind(shop.temporary, shop.home, shop.store, shop.evidence, shop.root) == []
    assert list(shop.temporary.iterdir()) == []


def test_a_run_that_is_cancelled_leaves_no_login(shop: Shop, name: str) -> None:
    environ, record = wrapped(shop)
    with guarded(REGISTRY, "robot", PASSWORD) as guard:
        shop.repository = f"{guard}/{name}"
        process = shop.start("--platforms=native", **environ | {"HANG": "1"})
        try:
            deadline = time.monotonic() + 60
            while not Path(f"{record}.building").exists():
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
            assert left_behind(shop.temporary) != [], "the login is there while it is needed"
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert list(shop.temporary.iterdir()) == []


def test_the_action_builds_the_image_that_the_target_takes(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path)
    project.add_pipeline()
    project.write("Dockerfile", "FROM scratch\nCOPY app /app\n")
    path = "configs/environments/staging.env"
    text = (project.root / path).read_text()
    project.write(path, text.replace("DEPLOY_TARGET=local", "DEPLOY_TARGET=compose"))
    project.commit()
    repository = f"{REGISTRY}/{name}"
    inputs = {"deployments": '["staging"]', "platforms": "native", "repository": repository}
    project.use("./actions/build-push", inputs)
    first, second = outputs(project.act("use.yml")), outputs(project.act("use.yml"))
    assert (first["kind"], first["repository"]) == ("image", repository)
    assert (first["created"], second["created"]) == ("true", "false")
    assert first["digest"] == second["digest"]
    assert json.loads(Path(first["path"]).read_text())["digest"] == first["digest"]


def test_the_action_hands_on_an_image_that_goes_over_ssh_as_files(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.add_pipeline()
    project.write("Dockerfile", "FROM scratch\nCOPY app /app\n")
    project.write("kickoff.yml", yaml.safe_dump(SERVICE | {"image": {"transport": "ssh"}}))
    project.commit()
    # The registry's login is for the others, and must not be in the way.
    login = {"registry-host": "ghcr.io", "registry-username": "robot", "registry-password": PASSWORD}
    project.use("./actions/build-push", {"kind": "image", "platforms": "native", **login})
    made = outputs(project.act("use.yml"))
    assert (made["kind"], made["repository"], made["created"]) == ("image", "", "true")
    # What carry keeps for the job that deploys is the folder of this path, and nothing else is needed.
    carried = tmp_path / "carried"
    shutil.copytree(Path(made["path"]).parent, carried)
    assert image.find(carried, made["digest"]).in_registry is False
    assert layout.read(carried, made["digest"])


CONFINED = """
import os, pathlib, importlib.util, shutil
import app.main
assert os.getuid() == 10001, os.getuid()
try:
    pathlib.Path("/srv/football/x").write_text("")
except OSError as error:
    assert error.errno in (30, 13), error
else:
    raise SystemExit("the root file system can be written")
tools = [t for t in ("gcc", "cc", "g++", "clang", "make", "ld", "rustc", "go", "git") if shutil.which(t)]
assert not tools, tools
for name in ("pytest", "locust", "hypothesis", "kickoff", "tests", "gevent"):
    assert importlib.util.find_spec(name) is None, name
assert sorted(p.name for p in pathlib.Path("/srv/football").iterdir()) == ["alembic.ini", "app"]
print("confined")
"""


def test_the_service_s_image_runs_confined_and_holds_nothing_but_the_service(tmp_path: Path) -> None:
    repository = f"{REGISTRY}/kickoff-test/football"
    own = {
        "IMAGE_REPOSITORY": repository,
        "KICKOFF_ARTIFACT_DIR": str(tmp_path / "artifacts"),
        "KICKOFF_EVIDENCE_DIR": str(tmp_path / "evidence"),
    }
    script = [sys.executable, "src/kickoff", "build", "--kind=image", "--platforms=native"]
    built = subprocess.run(
        script, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stderr
    facts = json.loads((tmp_path / "evidence" / "build.json").read_text())["facts"]
    reference = f"{repository}@{facts['digest']}"

    def docker(*arguments: str) -> str:
        command = ["docker", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    confined = ["run", "--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none"]
    assert docker(*confined, reference, "python", "-c", CONFINED) == "confined"
    caches = "ls -d /root/.cache /wheels /opt/football/bin/pip 2>/dev/null | wc -l"
    assert docker("run", "--rm", "--user", "0:0", reference, "sh", "-c", caches) == "0"
    config = json.loads(docker("image", "inspect", reference))[0]["Config"]
    assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
    # Content that came before keeps the label of the commit that first had it.
    assert re.fullmatch("[0-9a-f]{40}", config["Labels"]["org.opencontainers.image.revision"])

    [platform] = facts["platforms"]
    assert platform["provenance"] == "attached"
    if platform["packages"] is None:
        assert platform["sbom"] == "attached to the image by BuildKit"
        return
    sbom = json.loads((tmp_path / "artifacts" / platform["sbom"].split()[0]).read_text())
    packages = {entry["name"] for entry in sbom["packages"]}
    assert {"fastapi", "uvloop", "sqlalchemy"} <= {name.lower() for name in packages}
    assert not packages & {"pytest", "locust", "gcc", "g++", "build-base", "musl-dev"}
