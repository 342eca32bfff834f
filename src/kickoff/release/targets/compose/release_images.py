"""The images of releases: brought into this host's engine, kept as long as their releases, and removed.

One that no registry has is fetched from the machine that built it, which serves it on its loopback; over SSH
that is a port of this host's loopback.
"""

import http.client
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kickoff.artifact import image as images
from kickoff.artifact import layout
from kickoff.artifact.image import Image
from kickoff.artifact.layout_server import SENT, SOURCE, serving
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.release.folder import damaged, read_object
from kickoff.release.targets.compose.engine import Engine

ROOM_FACTOR = 4
"""Bytes on the disk for each byte that is sent: a compressed layer, and about three times that unpacked."""
_RECORD = "image.json"
_SECONDS = 60


def record(image: Image, folder: Path) -> None:
    """Write down in a release's folder which image it is started from."""
    write_atomic(folder / _RECORD, images.text(image))


def install(engine: Engine, folder: Path) -> None:
    """Pull a release's image, unless the engine has it; one that no registry has must be there.

    Raises:
        KickoffError: The registry does not give it, or it is not there any more (exit 4).
    """
    image = _recorded(folder)
    if image is None:
        raise damaged(folder / _RECORD)
    if image.in_registry:
        engine.pull(image.reference)
    elif not engine.has(image.reference):
        raise KickoffError(
            f"the engine has lost the image {image.digest[:19]}… of this release, and no registry has it",
            code=ExitCode.UNREACHABLE,
            at=str(folder),
            hint=f"`kickoff release --env NAME --commit {image.commit[:7]}` sends it again; "
            "never run `docker image prune --all` here: it takes the images of releases that are kept",
        )


def discard(engine: Engine, folder: Path) -> None:
    """Remove the image of a release that is no longer kept, unless another one has the same."""
    image = _recorded(folder)
    others = [_recorded(other) for other in folder.parent.iterdir() if other != folder]
    if image and image.reference not in {other.reference for other in others if other}:
        engine.remove_image(image.reference)


def _recorded(folder: Path) -> Image | None:
    document = read_object(folder / _RECORD)
    return Image(**document) if document else None


def require(image: Image, store: Path) -> None:
    """Refuse an image that is not complete in the artefact folder, where it would be fetched from there.

    Raises:
        KickoffError: It is not there (exit 4), or damaged (exit 1).
    """
    if not os.environ.get(SOURCE):
        layout.read(store, image.digest)


def bring(
    engine: Engine, image: Image, store: Path, require_room: Callable[[int], None]
) -> dict[str, str | int]:
    """Fetch what the engine lacks of an image, by its digest; return the evidence fields that say how much.

    Args:
        engine: This host's engine.
        image: The image, under the name by which the engine keeps it.
        store: The artefact folder, which holds it unless another machine serves it.
        require_room: Refuses when the engine's disk has less room than so many bytes.

    Raises:
        KickoffError: It is damaged or for another platform (exit 1), there is no room, or the source or the
            engine does not answer (exit 4).
    """
    if engine.has(image.reference):
        return _said(0, engine.layers(image.reference), 0)
    with _source(store, image.digest) as source:
        layers = _layers(source, image.digest, engine.platform())
        known = engine.known_layers()
        missing = sum(size for diff, size in layers if diff not in known)
        require_room(missing * ROOM_FACTOR)
        engine.fetch(source, image.digest, image.reference)
        sent = _asked(source, SENT)
    return _said(sent["layers"], len(layers), sent["bytes"])


@contextmanager
def _source(store: Path, digest: str) -> Iterator[str]:
    """Yield where the image is fetched from: the address that was handed over, else the artefact folder."""
    if handed := os.environ.get(SOURCE):
        yield handed
        return
    with serving(layout.read(store, digest)) as server:
        yield server.reference


def _layers(source: str, digest: str, platform: tuple[str, str]) -> list[tuple[str, int]]:
    """Return the layers of a platform: the hash of the content and the size of what is sent."""
    entries = _asked(source, f"manifests/{digest}")["manifests"]
    found = [entry for entry in entries if _platform(entry) == platform]
    if not found:
        made_for = ", ".join("/".join(_platform(entry)) for entry in entries if "annotations" not in entry)
        raise KickoffError(
            f"the image is for {made_for}, and this host is {'/'.join(platform)}",
            code=ExitCode.REJECTED,
            hint="name the host's platform in `image.platforms` of kickoff.yml, and build again",
        )
    manifest = _asked(source, f"manifests/{found[0]['digest']}")
    config = _asked(source, f"blobs/{manifest['config']['digest']}")
    sizes = (int(layer["size"]) for layer in manifest["layers"])
    return list(zip(config["rootfs"]["diff_ids"], sizes, strict=True))


def _platform(entry: Mapping[str, Any]) -> tuple[str, str]:
    platform = entry.get("platform") or {}
    return str(platform.get("os", "")), str(platform.get("architecture", ""))


def _asked(source: str, path: str) -> dict[str, Any]:
    """Return a document of the source.

    Raises:
        KickoffError: It does not answer (exit 4).
    """
    address, _, name = source.partition("/")
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    try:
        connection.request("GET", f"/v2/{name}/{path}")
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"it answers {answer.status}")
        document: dict[str, Any] = json.loads(content)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise KickoffError(
            "the image cannot be fetched from the machine that built it",
            code=ExitCode.UNREACHABLE,
            causes=[str(error)],
            hint="stage the release again: what has arrived is not sent again",
        ) from None
    finally:
        connection.close()
    return document


def _said(sent: int, layers: int, size: int) -> dict[str, str | int]:
    text = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    return {"sent": f"{sent} of {layers} layers, {text}", "sent_bytes": size}
