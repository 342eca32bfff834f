"""Images that no registry has: what is sent, what is kept, and what an interruption leaves. On a real engine."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kickoff.artifact import image, layout, layout_server
from kickoff.artifact.image import NOWHERE, Image
from kickoff.release.rollback import Request
from tests.e2e.containers import BASE, ContainerProject, docker, engine_problem
from tests.e2e.project import REPOSITORY
from tests.e2e.ssh_host import SshHost, ssh_host
from tests.e2e.unseen import with_layers, workdir

pytestmark = pytest.mark.e2e
SHARED = 6_000_000
"""Bytes of the layer that all releases of a project have."""


class Sent(ContainerProject):
    """A project whose image is in no registry; the engine knows neither of its own two layers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, NOWHERE)
        self.artifacts = self.root.parent / "artifacts"
        self._shared = secrets.token_bytes(SHARED)
        self._base = ""

    def build(self, commit: str) -> str:
        """Put the image of ``commit`` into the artefact folder; return its digest."""
        layers = self.artifacts / layout.FOLDER
        if not self._base:
            facts = self.root.parent / "facts.json"
            self.artifacts.mkdir()
            docker(
                "buildx", "build", "--quiet", "--provenance=mode=max", "--build-arg", f"BASE_IMAGE={BASE}", "--metadata-file", str(facts),
                "--output", f"type=oci,tar=false,dest={layers}", str(self.root),
            )  # fmt: skip
            self._base = str(json.loads(facts.read_text("utf-8"))["containerimage.digest"])
        faults = f"{workdir(layers, self._base)}/fixture/faults.json"
        own = {faults: (self.root / "fixture" / "faults.json").read_bytes(), "/commit": commit.encode()}
        digest = with_layers(layers, self._base, [{"/shared": self._shared}, own])
        image.keep(self.artifacts, Image(digest, self.repository, commit, ("linux/amd64",)))
        return digest

    def kept(self) -> list[str]:
        """The images of this project's releases that the engine has, by digest."""
        return docker("images", "--format", "{{.Tag}}", f"{self.repository}/development").split()

    def dangling(self) -> str:
        """What `docker image prune` would remove, by digest."""
        return docker("images", "--filter", "dangling=true", "--digests", "--format", "{{.Digest}}")

    def close(self) -> None:
        super().close()
        names = [f"{self.repository}/development:{tag}" for tag in self.kept()]
        if names:
            docker("rmi", "--force", *names)


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    if engine_problem():
        pytest.skip(engine_problem())
    docker("build", "--quiet", "--tag", BASE, ".", seconds=600)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Sent]:
    created = Sent(tmp_path)
    with created.entered():
        try:
            yield created
        finally:
            created.close()


def test_only_what_changed_is_sent_and_every_kept_release_is_a_rollback_away(project: Sent) -> None:
    project.set(KEEP_RELEASES="2", BAKE_TIME="1s")
    sent, shipped, images = list[int](), list[str](), list[str]()
    for number in range(5):
        commit = project.commit(delay_ms=number)
        images.append(project.build(commit))
        staged = project.engine().stage(images[-1], project.artifacts, commit, wait=0, force=False)
        assert staged.verdict == "pass", staged.summary
        sent.append(staged.facts["sent_bytes"])
        promoted = project.engine().promote(staged.attempt)
        assert promoted is not None
        assert promoted.verdict == "pass", promoted.summary
        shipped.append(promoted.release)
    print(f"bytes sent: {sent}")
    assert sent[0] > SHARED
    assert max(sent[1:]) < sent[0] * 0.01
    assert set(project.kept()) == {digest.removeprefix("sha256:") for digest in images[1:]}
    assert not any(digest in project.dangling() for digest in images)

    shutil.rmtree(project.artifacts)  # whoever sent them is gone
    for release in reversed(shipped[1:4]):
        assert project.engine().rollback(Request(to=release), wait=0).verdict == "pass"
        assert project.serving() == release
    project.assert_settled(shipped[1])
    assert set(project.kept()) == {digest.removeprefix("sha256:") for digest in images[1:]}

    lost = images[3].removeprefix("sha256:")
    docker("rmi", f"{project.repository}/development:{lost}")
    refused = project.engine().rollback(Request(to=shipped[3], forced=True, reason="a test"), wait=0)
    assert (refused.verdict, refused.facts["exit_code"]) == ("fail", 4)
    assert "has lost the image" in refused.summary
    assert "kickoff release" in refused.facts["hint"]
    assert project.serving() == shipped[1]


def test_a_disk_without_room_is_told_before_a_layer_is_sent(
    project: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = project.commit()
    digest = project.build(commit)
    served = list[layout_server.ImageServer]()
    born = layout_server.ImageServer.__init__

    def noted(server: layout_server.ImageServer, parts: Any) -> None:
        served.append(server)
        born(server, parts)

    monkeypatch.setattr(layout_server.ImageServer, "__init__", noted)
    monkeypatch.setattr("kickoff.release.targets.compose.target.ROOM", 1)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3 * SHARED))
    refused = project.engine().stage(digest, project.artifacts, commit, wait=0, force=False)
    assert refused.facts["exit_code"] == 4
    assert "MiB free, and a release needs" in refused.summary
    assert [server.layers for server in served] == [set()]
    assert project.kept() == []


def damage(project: Sent, digest: str) -> Path:
    """Change one byte in the middle of the largest part of an image."""
    parts = layout.read(project.artifacts, digest).values()
    path = max((part.path for part in parts if part.is_layer), key=lambda path: path.stat().st_mtime)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    return path


def test_a_damaged_image_is_refused_by_us_and_one_that_is_damaged_on_its_way_by_the_engine(
    project: Sent,
) -> None:
    commit = project.commit()
    digest = project.build(commit)
    with layout_server.serving(layout.read(project.artifacts, digest)) as server:
        path = damage(project, digest)
        source = {layout_server.SOURCE: server.reference}
        late = project.command("stage", *arguments(project, digest, commit), **source)
    assert late.returncode == 4, late.stderr
    assert "the image did not arrive" in late.stderr
    assert project.kept() == []
    early = project.command("stage", *arguments(project, digest, commit))
    assert early.returncode == 1, early.stderr
    assert "a part of the image is damaged" in early.stderr and path.name in early.stderr
    layout.drop_damaged(project.artifacts)
    assert not path.exists()
    assert project.stage(commit).returncode == 0


def arguments(project: Sent, digest: str, commit: str) -> list[str]:
    return [
        f"--artifact-digest={digest}",
        f"--artifact-directory={project.artifacts}",
        f"--commit={commit}",
    ]


class Away(Sent):
    """Such a project whose environment runs on another host."""

    host: SshHost

    @property
    def environ(self) -> dict[str, str]:
        """What the runner has: no state, but the keys to the host."""
        keys = {"DEPLOY_SSH_KEY": self.host.key, "DEPLOY_KNOWN_HOSTS": self.host.known_hosts}
        return super().environ | keys | {"KICKOFF_STATE_ROOT": str(self.root.parent / "runner-state")}

    def close(self) -> None:
        if list(self.host.state.glob("fixture/*/journal.jsonl")):
            stopped = self.command("stop")
            assert stopped.returncode == 0, stopped.stderr
        super().close()


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Away]:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed")
    with ssh_host(tmp_path / "host") as host:
        project = Away(tmp_path / "runner")
        project.host = host
        project.set(DEPLOY_HOST=host.address)
        try:
            yield project
        finally:
            project.close()


def test_an_image_goes_through_the_connection_and_a_killed_sender_leaves_nothing_half(away: Away) -> None:
    commit = away.commit()
    digest = away.build(commit)
    given = ["stage", "--env", "development", *arguments(away, digest, commit)]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.e2e.killed_sending", str(SHARED // 2), *given],
        cwd=away.root,
        env=away.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert away.kept() == []

    shipped, sent = list[str](), list[int]()
    for number in range(2):
        if number:
            commit = away.commit(delay_ms=number)
        staged = away.stage(commit)
        assert staged.returncode == 0, staged.stderr
        assert "sent     " in staged.stderr + staged.stdout
        facts = away.evidence("stage")["facts"]
        sent.append(facts["sent_bytes"])
        promoted = away.command("promote", "--attempt", away.evidence("stage")["attempt"])
        assert promoted.returncode == 0, promoted.stderr
        shipped.append(away.evidence("promote")["release"])
    print(f"bytes sent: {sent}")
    assert sent[0] > SHARED * 0.4
    assert sent[1] < SHARED * 0.01
    assert away.serving() == shipped[1]
    assert len(away.kept()) == 2
    back = away.command("rollback", "--to", shipped[0])
    assert back.returncode == 0, back.stderr
    assert away.serving() == shipped[0]


def test_a_host_that_forwards_nothing_back_is_told_how(away: Away, tmp_path: Path) -> None:
    (tmp_path / "host" / "no-forwarding").touch()
    commit = away.commit()
    refused = away.stage(commit)
    assert refused.returncode == 4, refused.stderr
    assert "forwards no port back" in refused.stderr and "AllowTcpForwarding remote" in refused.stderr
