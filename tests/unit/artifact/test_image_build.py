"""The image of a commit: which builder, which options, and what is refused. No engine is needed."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kickoff.artifact import buildx, image, image_build, sbom
from kickoff.artifact.build_failure import BuildFailed
from kickoff.artifact.build_key import Recipe
from kickoff.artifact.buildx import Builder
from kickoff.artifact.image_build import Built
from kickoff.artifact.registry import PlatformImage
from kickoff.docker_cli import Docker
from kickoff.errors import ExitCode, KickoffError
from kickoff.service import ImageSource
from tests.unit.artifact.docker_stub import Stub
from tests.unit.artifact.test_recipe import commit, git

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY = "127.0.0.1:5000/demo"
SOURCE = ImageSource("Dockerfile", ("app",), "", ("linux/amd64",))
RAW = "buildx imagetools inspect --raw "
EMBEDDED = {"Name": "default", "Driver": "docker", "Current": True}
CONTAINERD = '[["driver-type","io.containerd.snapshotter.v1"]]'
M = f"sha256:{'d' * 64}"


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    folder = tmp_path / "bin"
    folder.mkdir()
    made = Stub(folder)
    made.answers["buildx ls"] = {"out": json.dumps(EMBEDDED) + "\n"}
    made.answers["info"] = {"out": CONTAINERD}
    made.answers["version"] = {"out": "linux/amd64\n"}
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "--quiet")
    commit(root, Dockerfile="FROM scratch\nCOPY app /\n", app__main="1\n", other="secret of the tree\n")
    return root


def pushed(stub: Stub, architecture: str = "amd64") -> str:
    """Let builds succeed, and the registry hold what they push; return the digest of it."""
    entry = {"digest": M, "platform": {"os": "linux", "architecture": architecture}}
    text = json.dumps({"manifests": [entry]})
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    stub.answers["buildx build"] = {"digest": digest, "err": "#1 building\n"}
    stub.answers[f"{RAW}{REPOSITORY}@{digest}"] = {"out": text}
    stub.answers[f"{RAW}{REPOSITORY}@{M}"] = {"out": json.dumps({"config": {"size": 7}, "layers": []})}
    return digest


def build(stub: Stub, project: Path, *platforms: str, source: ImageSource = SOURCE) -> Built:
    return image_build.build(
        project,
        git(project, "rev-parse", "HEAD"),
        source,
        repository=REPOSITORY,
        platforms=platforms,
        store=project / ".kickoff",
        docker=Docker(stub.ready()),
    )


def command(stub: Stub, beginning: str) -> list[str]:
    [found] = [c["arguments"] for c in stub.calls() if " ".join(c["arguments"]).startswith(beginning)]
    return list(found)


def test_the_engine_s_own_builder_serves_where_it_can_attach(stub: Stub) -> None:
    assert buildx.builder(Docker(stub.ready())) == Builder("default", "docker")


def test_another_builder_that_was_chosen_is_used(stub: Stub) -> None:
    chosen = {"Name": "farm", "Driver": "kubernetes", "Current": True}
    stub.answers["buildx ls"] = {
        "out": f"{json.dumps(EMBEDDED | {'Current': False})}\n{json.dumps(chosen)}\n"
    }
    assert buildx.builder(Docker(stub.ready())) == Builder("farm", "kubernetes")


@pytest.mark.parametrize("there", [True, False])
def test_an_engine_that_cannot_attach_gets_a_builder_in_a_container_once(stub: Stub, there: bool) -> None:
    listed = [EMBEDDED, *([{"Name": "kickoff", "Driver": "docker-container"}] if there else [])]
    stub.answers |= {
        "buildx ls": {"out": "".join(json.dumps(entry) + "\n" for entry in listed)},
        "info": {"out": '[["Backing Filesystem","extfs"]]'},
        "buildx create": {},
    }
    assert buildx.builder(Docker(stub.ready())) == Builder("kickoff", "docker-container")
    created = [call["arguments"] for call in stub.calls() if call["arguments"][:2] == ["buildx", "create"]]
    assert len(created) == (0 if there else 1)
    assert all(any("moby/buildkit:v" in argument for argument in arguments) for arguments in created)


def test_a_silent_engine_is_unreachable(stub: Stub) -> None:
    stub.answers["info"] = {"err": "Cannot connect to the Docker daemon\n", "exit": 1}
    with pytest.raises(KickoffError, match="docker info") as caught:
        buildx.builder(Docker(stub.ready()))
    assert caught.value.code is ExitCode.UNREACHABLE


def test_a_file_of_another_content_has_another_time_and_of_the_same_the_same(tmp_path: Path) -> None:
    """The builder takes a file of the same name, size and time for the one that it has already."""

    def times(*contents: str) -> list[int]:
        for number, content in enumerate(contents):
            (tmp_path / f"{number}").write_text(content)
        image_build._date_by_content(tmp_path)
        return [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]

    morning, evening = times("Good morning", "Good evening")
    assert morning != evening
    assert times("Good morning", "Good evening") == [morning, evening]
    assert 0 <= morning // 10**9 < 3 * 366 * 86_400


def test_a_builder_that_goes_by_size_and_time_meets_every_change(
    stub: Stub, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    real = buildx.build

    def watched(docker: Docker, builder: Builder, made: Recipe, context: Path, **options: Any) -> str:
        found = (context / "app" / "main").stat()
        seen.append((found.st_size, found.st_mtime_ns))
        return real(docker, builder, made, context, **options)

    monkeypatch.setattr(buildx, "build", watched)
    pushed(stub)
    for content in ("1\n", "2\n", "1\n"):
        commit(project, app__main=content, other=f"commit {len(seen)}\n")
        build(stub, project, "native")
    first, changed, back = seen
    assert changed[0] == first[0] and changed[1] != first[1]
    assert back == first


def test_a_build_sees_the_commit_alone_and_leaves_a_record(stub: Stub, project: Path) -> None:
    digest = pushed(stub)
    (project / "app" / "main").write_text("not committed\n")
    made = build(stub, project, "native")
    assert made.created and made.built == ("linux/amd64",)
    assert (made.image.digest, made.image.platforms) == (digest, ("linux/amd64",))
    assert image.find(project / ".kickoff", digest) == made.image
    arguments = command(stub, "buildx build")
    assert arguments[arguments.index("--provenance") + 1] == "mode=max"
    assert f"type=image,name={REPOSITORY}:{made.recipe.tag(['linux/amd64'])},push=true" in arguments
    assert f"org.opencontainers.image.revision={made.recipe.revision}" in arguments
    assert "--cache-to" not in arguments
    [call] = [c for c in stub.calls() if c["arguments"][:2] == ["buildx", "build"]]
    assert call["environ"]["SOURCE_DATE_EPOCH"] == git(project, "show", "-s", "--format=%ct", "HEAD")
    context = Path(arguments[-1])
    assert not context.exists()
    assert str(project) not in " ".join(arguments)


def test_a_builder_in_a_container_keeps_its_cache_in_the_registry_and_rewrites_times(
    stub: Stub, project: Path
) -> None:
    pushed(stub)
    chosen = {"Name": "farm", "Driver": "docker-container", "Current": True}
    stub.answers["buildx ls"] = {"out": json.dumps(chosen)}
    build(stub, project, "linux/amd64")
    arguments = command(stub, "buildx build")
    cache = f"type=registry,ref={REPOSITORY}:buildcache-linux-amd64"
    assert arguments[arguments.index("--cache-from") + 1] == cache
    assert arguments[arguments.index("--cache-to") + 1] == f"{cache},mode=max"
    assert arguments[arguments.index("--output") + 1].endswith(",push=true,rewrite-timestamp=true")


@pytest.mark.parametrize("there", [True, False])
def test_buildkit_attaches_an_sbom_where_its_scanner_can_be_had(
    stub: Stub, project: Path, there: bool
) -> None:
    pushed(stub)
    if there:
        stub.answers[f"{RAW}{buildx.SCANNER}"] = {"out": "{}"}
    build(stub, project, "linux/amd64")
    arguments = command(stub, "buildx build")
    assert arguments[arguments.index("--sbom") + 1] == ("true" if there else "false")


def test_syft_lists_what_is_in_an_image_that_has_no_sbom(stub: Stub, project: Path) -> None:
    pushed(stub)
    made = build(stub, project, "linux/amd64")
    name = f"sbom.{'d' * 64}.spdx.json"
    assert (made.sboms, made.packages) == ({"linux/amd64": f"{name} by syft"}, {"linux/amd64": 1})
    assert (project / ".kickoff" / name).is_file()


def test_a_failing_syft_is_no_empty_sbom(stub: Stub, tmp_path: Path) -> None:
    entry = PlatformImage("linux/amd64", M, 7, ())
    with pytest.raises(KickoffError, match="no SBOM for linux/amd64") as caught:
        sbom.write(str(stub.folder / "syft"), "refused/a", entry, tmp_path / "store", stub.ready())
    assert caught.value.causes == ("ERROR could not fetch the image",)
    assert not list((tmp_path / "store").iterdir())


def test_a_failed_build_says_what_the_builder_said_last(stub: Stub, project: Path) -> None:
    stub.answers["buildx build"] = {"err": "".join(f"line {n}\n" for n in range(99)), "exit": 1}
    with pytest.raises(BuildFailed) as caught:
        build(stub, project, "linux/amd64")
    assert caught.value.code is ExitCode.REJECTED
    assert caught.value.log[-1] == "line 98"
    assert len(caught.value.log) == 40
    assert not (project / ".kickoff").exists()


@pytest.mark.parametrize(
    "said", ["exec /bin/sh: exec format error", "ERROR: base: no match for platform in manifest: not found"]
)
def test_a_platform_that_this_machine_cannot_run_is_named_with_the_way_out(
    stub: Stub, project: Path, said: str
) -> None:
    stub.answers["buildx build"] = {"err": f"{said}\n", "exit": 1}
    with pytest.raises(BuildFailed) as caught:
        build(stub, project, "linux/arm64")
    assert "on one that is, run `kickoff build --kind image --platforms linux/arm64`" in caught.value.hint


STRICT = "buildx build --build-arg BUILDKIT_DOCKERFILE_CHECK=error=true"
LINT = "ERROR: failed to build: failed to solve: lint violation found for rules: "


def test_a_base_image_for_another_platform_is_never_built_upon(stub: Stub, project: Path) -> None:
    said = "#1 WARN: InvalidBaseImagePlatform: ...\n" + LINT + "InvalidBaseImagePlatform, FromAsCasing\n"
    stub.answers[STRICT] = {"err": said, "exit": 1}
    pushed(stub, "arm64")
    with pytest.raises(BuildFailed) as caught:
        build(stub, project, "linux/arm64")
    assert "the base image or this machine is not linux/arm64" in caught.value.hint
    assert command(stub, "buildx build")  # once: a second try would have succeeded


def test_bad_style_in_a_dockerfile_does_not_stop_a_release(stub: Stub, project: Path) -> None:
    stub.answers[STRICT] = {"err": LINT + "FromAsCasing\nView build details: x\n", "exit": 1}
    digest = pushed(stub)
    assert build(stub, project, "linux/amd64").image.digest == digest


def test_an_image_for_other_platforms_under_the_tag_is_refused(stub: Stub, project: Path) -> None:
    pushed(stub, architecture="riscv64")
    with pytest.raises(KickoffError, match="holds an image for linux/riscv64") as caught:
        build(stub, project, "linux/amd64")
    assert caught.value.code is ExitCode.REJECTED


@pytest.mark.parametrize("name", ["amd64", "windows/amd64", "linux/amd64;x", "", "--push", "linux/amd64,x"])
def test_a_malformed_platform_reaches_no_command(stub: Stub, project: Path, name: str) -> None:
    with pytest.raises(KickoffError, match="is no platform"):
        build(stub, project, name)
    assert stub.calls() == []


def test_where_an_image_goes() -> None:
    named = ImageSource("Dockerfile", ("app",), "registry.example/a", ())
    assert image_build.repository_of(named, {"IMAGE_REPOSITORY": "127.0.0.1:5000/b"}) == "127.0.0.1:5000/b"
    assert image_build.repository_of(named, {}, "Owner/Name") == "registry.example/a"
    assert image_build.repository_of(SOURCE, {}, "Owner/Name") == "ghcr.io/owner/name"
    with pytest.raises(KickoffError, match="nothing says where"):
        image_build.repository_of(SOURCE, {})
    with pytest.raises(KickoffError, match="no image repository"):
        image_build.repository_of(SOURCE, {"IMAGE_REPOSITORY": "a:latest"})


SERVICE = """
name: demo
bundle: [app]
processes: {web: {command: [x]}}
health: {live: /l, ready: /r}
required_checks: []
smoke: [{name: s, path: /}]
"""


def script(stub: Stub, project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the verb in the project as a step of a workflow does."""
    commit(project, configs__service_yml="")
    (project / "configs").mkdir(exist_ok=True)
    (project / "kickoff.yml").write_text(SERVICE)
    own = {"KICKOFF_EVIDENCE_DIR": str(project / "evidence"), "GITHUB_OUTPUT": str(project / "outputs")}
    return subprocess.run(
        [sys.executable, str(ROOT / "src" / "kickoff"), "build", "--kind=image", *arguments],
        cwd=project,
        env=stub.ready() | own | {"KICKOFF_VENV": sys.prefix} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def evidence(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "evidence" / "build.json").read_text())
    return found


def test_the_script_leaves_evidence_and_outputs_without_the_password(stub: Stub, project: Path) -> None:
    digest = pushed(stub)
    stub.answers["login"] = {}
    password = "a-password-for-the-registry"
    done = script(
        stub,
        project,
        "--platforms=native",
        IMAGE_REPOSITORY=REPOSITORY,
        REGISTRY_USERNAME="robot",
        REGISTRY_PASSWORD=password,
    )
    assert done.returncode == 0, done.stderr
    found = evidence(project)
    assert found["verdict"] == "pass"
    assert found["facts"]["digest"] == digest
    assert found["facts"]["platforms"][0]["digest"] == M
    assert found["facts"]["platforms"][0]["provenance"].startswith("none: ")
    outputs = (project / "outputs").read_text()
    assert digest in outputs and REPOSITORY in outputs
    everything = done.stdout + done.stderr + outputs + json.dumps(found)
    everything += "".join(p.read_text() for p in (project / ".kickoff").rglob("*") if p.is_file())
    assert password not in everything


def test_the_script_keeps_the_builder_s_log_of_a_failure(stub: Stub, project: Path) -> None:
    stub.answers["buildx build"] = {"err": "#5 ERROR: no such file\n", "exit": 1}
    done = script(stub, project, "--platforms=native", f"--repository={REPOSITORY}")
    assert done.returncode == ExitCode.REJECTED
    assert "Traceback" not in done.stderr
    found = evidence(project)
    assert (found["verdict"], found["log_tail"]) == ("fail", ["#5 ERROR: no such file"])
