"""An image that no registry has: what is asked of the engine, what is refused, and what may be removed."""

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from kickoff.artifact import layout, layout_server
from kickoff.artifact.image import Image
from kickoff.errors import ExitCode, KickoffError
from kickoff.release.targets.compose import release_images
from kickoff.release.targets.compose.engine import Engine
from kickoff.release.targets.compose.release_images import ROOM_FACTOR

OLD, NEW = gzip.compress(b"old" * 999, mtime=0), gzip.compress(bytes(range(256)) * 9, mtime=0)


def hashed(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def shop(store: Path, architecture: str = "amd64") -> Image:
    """Write an image of two layers into an artefact folder."""
    blobs = store / layout.FOLDER / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(content: bytes, **more: Any) -> dict[str, Any]:
        (blobs / hashed(content).removeprefix("sha256:")).write_bytes(content)
        return {"digest": hashed(content), "size": len(content), "mediaType": "x/y", **more}

    config = {"rootfs": {"diff_ids": [hashed(gzip.decompress(layer)) for layer in (OLD, NEW)]}}
    manifest = {"config": put(json.dumps(config).encode()), "layers": [put(OLD), put(NEW)]}
    platform = {"os": "linux", "architecture": architecture}
    index = {"manifests": [put(json.dumps(manifest).encode(), platform=platform)]}
    digest = put(json.dumps(index).encode())["digest"]
    return Image(digest, "kickoff.invalid/shop/staging", "4f2c1ab" + "0" * 33, ("linux/amd64",))


@dataclass
class Stand:
    """An engine that has some layers and images, and notes what it is asked for."""

    known: set[str] = field(default_factory=set)
    there: set[str] = field(default_factory=set)
    fetched: list[tuple[str, str]] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def has(self, reference: str) -> bool:
        return reference in self.there

    def layers(self, _reference: str) -> int:
        return 2

    def known_layers(self) -> set[str]:
        return self.known

    def platform(self) -> tuple[str, str]:
        return "linux", "amd64"

    def fetch(self, source: str, digest: str, reference: str) -> None:
        self.fetched.append((digest, reference))
        assert source.startswith("127.0.0.1:")

    def pull(self, reference: str) -> None:
        self.pulled.append(reference)

    def remove_image(self, reference: str) -> None:
        self.removed.append(reference)

    @property
    def engine(self) -> Engine:
        return cast("Engine", self)


def test_room_is_asked_for_what_the_engine_lacks_and_the_rest_is_its_own_affair(tmp_path: Path) -> None:
    image, rooms = shop(tmp_path), list[int]()
    stand = Stand(known={hashed(gzip.decompress(OLD))})
    found = release_images.bring(stand.engine, image, tmp_path, rooms.append)
    assert rooms == [len(NEW) * ROOM_FACTOR]
    assert stand.fetched == [(image.digest, f"kickoff.invalid/shop/staging:{image.digest[7:]}")]
    assert str(found["sent"]).startswith("0 of 2 layers, ")


def test_nothing_is_fetched_without_room(tmp_path: Path) -> None:
    image, stand = shop(tmp_path), Stand()

    def refuse(needed: int) -> None:
        raise KickoffError(f"{needed}", code=ExitCode.UNREACHABLE)

    with pytest.raises(KickoffError, match=str((len(OLD) + len(NEW)) * ROOM_FACTOR)):
        release_images.bring(stand.engine, image, tmp_path, refuse)
    assert stand.fetched == []


def test_what_is_there_needs_no_source(tmp_path: Path) -> None:
    image = shop(tmp_path / "elsewhere")
    stand = Stand(there={image.reference})
    found = release_images.bring(stand.engine, image, tmp_path, lambda _: pytest.fail("no room is needed"))
    assert (found, stand.fetched) == ({"sent": "0 of 2 layers, 0 kB", "sent_bytes": 0}, [])


def test_an_image_for_another_machine_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    image, stand = shop(tmp_path, "arm64"), Stand()
    with pytest.raises(KickoffError, match="is for linux/arm64, and this host is linux/amd64") as caught:
        release_images.bring(stand.engine, image, tmp_path, lambda _: None)
    assert (caught.value.code, stand.fetched) == (ExitCode.REJECTED, [])


def test_a_source_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = shop(tmp_path)
    with layout_server.serving(layout.read(tmp_path, image.digest)) as server:
        monkeypatch.setenv(layout_server.SOURCE, server.reference)
        release_images.bring(Stand().engine, image, tmp_path / "nothing here", lambda _: None)
        monkeypatch.setenv(layout_server.SOURCE, f"127.0.0.1:{server.server_port}/another/name")
        with pytest.raises(KickoffError, match="cannot be fetched") as caught:
            release_images.bring(Stand().engine, image, tmp_path, lambda _: None)
        assert caught.value.causes == ("it answers 404",)
        monkeypatch.setenv(layout_server.SOURCE, server.reference)
    with pytest.raises(KickoffError, match="cannot be fetched") as caught:
        release_images.bring(Stand().engine, image, tmp_path, lambda _: None)
    assert caught.value.code is ExitCode.UNREACHABLE


def test_a_release_is_installed_from_the_registry_or_from_what_is_kept(tmp_path: Path) -> None:
    image, stand = shop(tmp_path), Stand()
    pulled = Image(image.digest, "ghcr.io/a/b", image.commit, image.platforms)
    release_images.record(pulled, tmp_path)
    release_images.install(stand.engine, tmp_path)
    assert stand.pulled == [f"ghcr.io/a/b@{image.digest}"]

    release_images.record(image, tmp_path)
    with pytest.raises(KickoffError, match="no registry has it") as caught:
        release_images.install(stand.engine, tmp_path)
    assert caught.value.code is ExitCode.UNREACHABLE
    assert "kickoff release --env NAME --commit 4f2c1ab" in caught.value.hint
    stand.there.add(image.reference)
    release_images.install(stand.engine, tmp_path)

    (tmp_path / "image.json").unlink()
    with pytest.raises(KickoffError, match="damaged"):
        release_images.install(stand.engine, tmp_path)
    assert len(stand.pulled) == 1


def test_an_image_goes_with_the_last_release_that_has_it(tmp_path: Path) -> None:
    image, stand = shop(tmp_path / "artifacts"), Stand()
    one, two = tmp_path / "releases" / "one", tmp_path / "releases" / "two"
    for folder in (one, two):
        folder.mkdir(parents=True)
        release_images.record(image, folder)
    release_images.discard(stand.engine, one)
    assert stand.removed == []
    (one / "image.json").unlink()
    release_images.discard(stand.engine, one)  # a release without a record has nothing to remove
    release_images.discard(stand.engine, two)
    assert stand.removed == [image.reference]
