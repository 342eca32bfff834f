"""An image in a folder, and the server that gives it to an engine: read-only, by digest, and nothing else."""

import hashlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kickoff.artifact import layout
from kickoff.artifact.layout import Blob
from kickoff.artifact.layout_server import ImageServer, serving
from kickoff.errors import ExitCode, KickoffError

LAYER = bytes(range(256)) * 40
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def fill(store: Path) -> tuple[str, dict[str, str]]:
    """Write an image with one layer; return the digest of its index, and those of its parts."""
    blobs = store / layout.FOLDER / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes) -> str:
        (blobs / digest_of(content).removeprefix("sha256:")).write_bytes(content)
        return digest_of(content)

    names = {"layer": put(LAYER), "config": put(b"{}"), "stranger": put(b"another image's")}
    manifest = {
        "config": {"digest": names["config"], "mediaType": "application/vnd.oci.image.config.v1+json"},
        "layers": [{"digest": names["layer"], "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}],
    }
    names["manifest"] = put(json.dumps(manifest).encode())
    index = {"manifests": [{"digest": names["manifest"], "mediaType": MANIFEST}]}
    return put(json.dumps(index).encode()), names


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def image(store: Path) -> tuple[str, dict[str, str]]:
    return fill(store)


@pytest.fixture
def server(store: Path, image: tuple[str, dict[str, str]]) -> Iterator[ImageServer]:
    with serving(layout.read(store, image[0])) as running:
        yield running


def ask(
    server: ImageServer, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Ask with the path exactly as it is written, as no well-behaved client would."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.putrequest(method, path.replace("NAME", server.name), skip_host=False)
        for key, value in (headers or {}).items():
            connection.putheader(key, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_every_part_of_an_image_is_found_and_no_part_of_another(
    store: Path, image: tuple[str, dict[str, str]]
) -> None:
    digest, names = image
    parts = layout.read(store, digest)
    assert set(parts) == {digest, *names.values()} - {names["stranger"]}
    assert [name for name, part in parts.items() if part.is_layer] == [names["layer"]]
    assert {name for name, part in parts.items() if part.is_manifest} == {digest, names["manifest"]}


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_an_image_that_is_not_whole_is_refused_and_named(
    store: Path, image: tuple[str, dict[str, str]], part: str, how: str
) -> None:
    digest, names = image
    path = store / layout.FOLDER / "blobs" / "sha256" / names[part].removeprefix("sha256:")
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(KickoffError, match=f"a part of the image is {how}: {names[part][:19]}") as caught:
        layout.read(store, digest)
    assert (caught.value.code, caught.value.at) == (ExitCode.REJECTED, str(path))
    layout.drop_damaged(store)
    assert not path.exists()
    assert (store / layout.FOLDER / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()


def test_an_image_that_is_not_there_is_told_and_a_malformed_digest_is_no_path(store: Path) -> None:
    with pytest.raises(KickoffError, match="is not at") as caught:
        layout.read(store, f"sha256:{'0' * 64}")
    assert caught.value.code is ExitCode.UNREACHABLE
    with pytest.raises(KickoffError, match="is no digest"):
        layout.read(store, "sha256:../../secret")
    layout.drop_damaged(store)


def test_an_engine_gets_manifests_and_blobs_by_digest(
    server: ImageServer, image: tuple[str, dict[str, str]]
) -> None:
    digest, names = image
    assert ask(server, "/v2/")[0] == 200
    status, headers, content_of_manifest = ask(server, f"/v2/NAME/manifests/{names['manifest']}")
    assert (status, headers["Content-Type"], digest_of(content_of_manifest)) == (
        200,
        MANIFEST,
        names["manifest"],
    )
    assert headers["Docker-Content-Digest"] == names["manifest"]
    status, headers, content = ask(server, f"/v2/NAME/blobs/{names['layer']}", "HEAD")
    assert (status, headers["Content-Length"], content) == (200, str(len(LAYER)), b"")
    assert json.loads(ask(server, "/v2/NAME/sent")[2])["layers"] == 0
    assert ask(server, f"/v2/NAME/blobs/{names['layer']}")[2] == LAYER
    index = ask(server, f"/v2/NAME/manifests/{digest}")[2]
    sent = {"layers": 1, "bytes": len(content_of_manifest) + len(LAYER) + len(index)}
    deadline = time.monotonic() + 10
    # What went out is counted afterwards.
    while json.loads(ask(server, "/v2/NAME/sent")[2]) != sent:
        assert time.monotonic() < deadline, (server.bytes, sent)


@pytest.mark.parametrize(
    ("asked", "status", "content", "said"),
    [
        ("bytes=10000-", 206, LAYER[10000:], "bytes 10000-10239/10240"),
        ("bytes=5-9", 206, LAYER[5:10], "bytes 5-9/10240"),
        ("bytes=10239-99999", 206, LAYER[-1:], "bytes 10239-10239/10240"),
        ("bytes=10240-", 416, b"", "bytes */10240"),
        ("bytes=9-5", 416, b"", "bytes */10240"),
        ("bytes=-5", 200, LAYER, None),  # a range of another kind may be ignored
        ("lines=1-2", 200, LAYER, None),
    ],
)
def test_what_was_interrupted_goes_on_from_a_byte(
    *,
    server: ImageServer,
    image: tuple[str, dict[str, str]],
    asked: str,
    status: int,
    content: bytes,
    said: str | None,
) -> None:
    found = ask(server, f"/v2/NAME/blobs/{image[1]['layer']}", headers={"Range": asked})
    assert (found[0], found[2], found[1].get("Content-Range")) == (status, content, said)


def test_nothing_else_is_served(server: ImageServer, image: tuple[str, dict[str, str]]) -> None:
    digest, names = image
    layer, manifest = names["layer"], names["manifest"]
    paths = [
        f"/v2/NAME/manifests/sha256:{'0' * 64}",
        f"/v2/NAME/blobs/{names['stranger']}",  # it is in the folder, and not of this image
        f"/v2/NAME/blobs/{manifest}",
        f"/v2/NAME/manifests/{layer}",
        "/v2/NAME/manifests/latest",
        f"/v2/NAME/blobs/{layer}?x=1",
        f"/v2/NAME/blobs/{layer.removeprefix('sha256:')}",
        "/v2/NAME/blobs/../../../../etc/passwd",
        "/v2/NAME/blobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v2/NAME/../../../etc/passwd",
        "/v2/NAME/tags/list",
        "/v2/_catalog",
        "/etc/passwd",
        "/",
        f"/v2/image/blobs/{layer}",  # without the part of the name that cannot be guessed
        f"/v2/{'0' * 32}/image/manifests/{digest}",
    ]
    for path in paths:
        status, _, content = ask(server, path)
        assert status == 404, path
        assert b"root:" not in content and LAYER[:20] not in content
    assert (server.bytes, server.layers) == (0, set())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(
    server: ImageServer, store: Path, image: tuple[str, dict[str, str]], method: str
) -> None:
    before = sorted(path.name for path in store.rglob("*"))
    assert ask(server, f"/v2/NAME/blobs/{image[1]['layer']}", method)[0] == 501
    assert ask(server, "/v2/NAME/blobs/uploads/", method)[0] == 501
    assert sorted(path.name for path in store.rglob("*")) == before


def test_it_listens_on_the_loopback_alone_and_each_name_is_another() -> None:
    none: dict[str, Blob] = {}
    with serving(none) as one, serving(none) as other:
        assert (one.server_address[0], other.server_address[0]) == ("127.0.0.1", "127.0.0.1")
        assert one.name != other.name
        assert len(one.name.partition("/")[0]) == 32
        port = one.server_port
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
