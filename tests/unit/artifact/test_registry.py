"""What a registry is believed, and a login that leaves nothing behind."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from kickoff.artifact import registry
from kickoff.docker_cli import Docker
from kickoff.errors import ExitCode, KickoffError
from tests.unit.artifact.docker_stub import Stub

PASSWORD = "correct-horse-battery-staple"
REPOSITORY = "registry.example/team/football"
A, B, P = (f"sha256:{letter * 64}" for letter in "abc")
RAW = "buildx imagetools inspect --raw "
LOGIN = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": PASSWORD}


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return Stub(tmp_path)


def entry(digest: str, architecture: str, **more: Any) -> dict[str, Any]:
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture, **more}}


def holds(stub: Stub, *entries: dict[str, Any]) -> str:
    """Let the registry hold an index with these entries; return its text."""
    text = json.dumps({"manifests": list(entries)})
    stub.answers[f"{RAW}{REPOSITORY}:tag"] = {"out": text}
    manifest = {"config": {"size": 1}, "layers": [{"size": 20}, {"size": 300}]}
    for digest in (A, B):
        stub.answers[f"{RAW}{REPOSITORY}@{digest}"] = {"out": json.dumps(manifest)}
    predicates = ["https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document"]
    layers = [{"annotations": {"in-toto.io/predicate-type": kind}} for kind in predicates]
    stub.answers[f"{RAW}{REPOSITORY}@{P}"] = {"out": json.dumps({"layers": layers})}
    return text


def test_an_index_is_read_with_its_platforms_and_what_is_attached_to_each(stub: Stub) -> None:
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": A}
    attached = {**entry(P, "unknown"), "annotations": about}
    text = holds(stub, entry(B, "arm64", variant="v8"), entry(A, "amd64"), attached)
    index = registry.find(Docker(stub.ready()), REPOSITORY, "tag")
    assert index is not None
    assert index.digest == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    amd64, arm64 = index.platforms
    assert (amd64.platform, amd64.digest, amd64.size) == ("linux/amd64", A, 321)
    assert (arm64.platform, arm64.digest) == ("linux/arm64", B)
    assert amd64.has(registry.PROVENANCE) and amd64.has(registry.SBOM)
    assert not arm64.has(registry.PROVENANCE) and not arm64.has(registry.SBOM)


def test_only_the_registry_s_word_that_there_is_none_is_none(stub: Stub) -> None:
    assert registry.find(Docker(stub.ready()), REPOSITORY, "tag") is None


@pytest.mark.parametrize(
    "said",
    [
        "ERROR: failed to do request: Head: dial tcp: lookup registry.example: no such host",
        "ERROR: unexpected status from HEAD request: 401 Unauthorized",
        'ERROR: no builder "x" found',
        "ERROR: docker-credential-x: not found",
        "",
    ],
)
def test_a_registry_that_cannot_be_asked_is_no_empty_registry(stub: Stub, said: str) -> None:
    stub.answers[RAW] = {"err": f"{said}\n", "exit": 1}
    with pytest.raises(KickoffError, match="cannot be asked") as caught:
        registry.find(Docker(stub.ready()), REPOSITORY, "tag")
    assert caught.value.code is ExitCode.UNREACHABLE
    assert caught.value.causes == ((said,) if said else ())


@pytest.mark.parametrize(("text", "match"), [("{}", "no image index"), ("x", "no image"), ("[]", "no image")])
def test_what_is_no_index_is_refused(stub: Stub, text: str, match: str) -> None:
    stub.answers[RAW] = {"out": text}
    with pytest.raises(KickoffError, match=match) as caught:
        registry.find(Docker(stub.ready()), REPOSITORY, "tag")
    assert caught.value.code is ExitCode.REJECTED


def test_an_index_whose_manifest_is_gone_is_refused(stub: Stub) -> None:
    holds(stub, entry(A, "amd64"))
    del stub.answers[f"{RAW}{REPOSITORY}@{A}"]
    with pytest.raises(KickoffError, match="has lost"):
        registry.find(Docker(stub.ready()), REPOSITORY, "tag")


def test_a_machine_without_docker_says_so(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="docker is not installed") as caught:
        registry.find(Docker({"PATH": str(tmp_path)}), REPOSITORY, "tag")
    assert caught.value.code is ExitCode.UNREACHABLE


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("ghcr.io/a/b", "ghcr.io"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000"),
        ("localhost/a", "localhost"),
        ("team/football", ""),
        ("football", ""),
    ],
)
def test_the_registry_of_a_repository(repository: str, expected: str) -> None:
    assert registry.host(repository) == expected


def test_the_password_travels_by_standard_input_alone(stub: Stub) -> None:
    stub.answers["login"] = {}
    environ = stub.ready() | LOGIN
    with registry.logged_in(REPOSITORY, environ) as docker:
        folder = Path(docker.environ["DOCKER_CONFIG"])
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
        registry.find(docker, REPOSITORY, "tag")
    assert not folder.exists()
    login, inspect = stub.calls()
    assert login["arguments"] == ["login", "--username", "robot", "--password-stdin", "registry.example"]
    assert login["stdin"] == PASSWORD
    for call in (login, inspect):
        assert PASSWORD not in json.dumps([call["arguments"], call["environ"]])
    assert not list((stub.folder / "home").rglob("*"))


def test_the_login_ends_with_an_error_in_the_block_too(stub: Stub) -> None:
    stub.answers["login"] = {}
    folder = Path()
    with pytest.raises(KeyboardInterrupt), registry.logged_in(REPOSITORY, stub.ready() | LOGIN) as docker:
        folder = Path(docker.environ["DOCKER_CONFIG"])
        raise KeyboardInterrupt
    assert not folder.exists()


def test_a_refused_login_never_shows_the_password(stub: Stub) -> None:
    stub.answers["login"] = {"err": f"bad password {PASSWORD}\nunauthorized\n", "exit": 1}
    refusal = pytest.raises(KickoffError, match="refuses the login of robot")
    with refusal as caught, registry.logged_in(REPOSITORY, stub.ready() | LOGIN):
        raise AssertionError("it was let in")
    assert caught.value.code is ExitCode.UNREACHABLE
    assert caught.value.causes == ("bad password ***", "unauthorized")
    assert PASSWORD not in caught.value.render()


@pytest.mark.parametrize("lacking", sorted(LOGIN))
def test_half_a_login_is_refused(stub: Stub, lacking: str) -> None:
    environ = stub.ready() | {name: value for name, value in LOGIN.items() if name != lacking}
    with pytest.raises(KickoffError, match=f"{lacking} is not"), registry.logged_in(REPOSITORY, environ):
        raise AssertionError("it was let in")


def test_a_token_never_reaches_another_registry_than_its_own(stub: Stub) -> None:
    environ = stub.ready() | LOGIN | {"REGISTRY_HOST": "ghcr.io"}
    wanted = r"is for ghcr\.io, but the image goes to registry\.example"
    with pytest.raises(KickoffError, match=wanted), registry.logged_in(REPOSITORY, environ):
        raise AssertionError("it was let in")
    assert stub.calls() == []


@pytest.mark.parametrize(
    ("repository", "given", "expected"),
    [
        ("ghcr.io/o/n", {}, ("x-access-token", "token")),
        ("ghcr.io/o/n", {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "secret"}, ("robot", "secret")),
        ("registry.example/o/n", {}, None),
        ("ghcr.io.example/o/n", {}, None),
        ("registry.example/ghcr.io/n", {}, None),
        ("o/n", {}, None),
        ("", {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "secret"}, None),
        ("o/n", {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "secret"}, ("robot", "secret")),
    ],
)
def test_a_token_of_github_s_is_for_its_registry_alone(
    repository: str, given: dict[str, str], expected: tuple[str, str] | None
) -> None:
    assert registry.credentials(repository, {"GHCR_TOKEN": "token"} | given) == expected


def test_a_login_keeps_the_user_s_plugins_and_never_touches_a_credential_store(stub: Stub) -> None:
    stub.answers["login"] = {}
    environ = stub.ready() | LOGIN
    own = Path(environ["HOME"]) / ".docker"
    (own / "cli-plugins").mkdir(parents=True)
    settings = {
        "credsStore": "desktop",
        "currentContext": "remote",
        "auths": {"other.example": {"auth": "eA=="}},
    }
    (own / "config.json").write_text(json.dumps(settings))
    with registry.logged_in(REPOSITORY, environ) as docker:
        folder = Path(docker.environ["DOCKER_CONFIG"])
        copied = json.loads((folder / "config.json").read_text())
        assert (folder / "cli-plugins").resolve() == own / "cli-plugins"
        assert docker.environ["BUILDX_CONFIG"] == str(own / "buildx")
    assert copied == {name: settings[name] for name in ("auths", "currentContext")}
    assert json.loads((own / "config.json").read_text()) == settings


def test_without_a_login_the_user_s_own_is_used(stub: Stub) -> None:
    environ = stub.ready() | {"DOCKER_CONFIG": "/somewhere", "GITHUB_TOKEN": "token"}
    with registry.logged_in(REPOSITORY, environ) as docker:
        assert docker.environ["DOCKER_CONFIG"] == "/somewhere"
        assert "GITHUB_TOKEN" not in docker.environ
    assert stub.calls() == []
