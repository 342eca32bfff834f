"""An OCI layout: the folder in which images are kept that go to a host without a registry.

All images of an artefact folder share one, so a layer that several have is kept once, and the builder writes
only what changed.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickoff.artifact.bundle import checked
from kickoff.errors import ExitCode, KickoffError

FOLDER = "oci"
"""Name of the layout in an artefact folder."""
_INDEX = "application/vnd.oci.image.index.v1+json"
_HINT = "build it again with `kickoff build --kind image`"


@dataclass(frozen=True, slots=True)
class Blob:
    """A part of an image: its file, and its media type as what refers to it says."""

    path: Path
    media_type: str
    is_manifest: bool = False
    is_layer: bool = False


def read(store: Path, digest: str) -> dict[str, Blob]:
    """Return every part of the image with ``digest``, by digest, each compared with its digest byte for byte.

    Args:
        store: The artefact folder.
        digest: ``sha256:<hex>`` of the image's index.

    Raises:
        KickoffError: The image is not there (exit 4), or a part of it is missing or damaged (exit 1).
    """
    folder = store / FOLDER
    if not _path(folder, checked(digest)).is_file():
        raise KickoffError(
            f"the image {digest[:19]}… is not at {folder}", code=ExitCode.UNREACHABLE, hint=_HINT
        )
    return dict(_parts(folder, {"digest": digest, "mediaType": _INDEX}, is_manifest=True))


def drop_damaged(store: Path) -> None:
    """Remove the parts that are not what their names say: the builder writes only what is not there."""
    for path in (store / FOLDER / "blobs" / "sha256").glob("*"):
        if _digest_of(path) != f"sha256:{path.name}":
            path.unlink()


def _parts(
    folder: Path, entry: dict[str, Any], *, is_manifest: bool = False, is_layer: bool = False
) -> Iterator[tuple[str, Blob]]:
    path = _path(folder, entry["digest"])
    if not path.is_file() or _digest_of(path) != entry["digest"]:
        what = "is damaged" if path.is_file() else "is missing"
        raise KickoffError(
            f"a part of the image {what}: {entry['digest'][:19]}…",
            code=ExitCode.REJECTED,
            at=str(path),
            hint=_HINT,
        )
    yield entry["digest"], Blob(path, entry["mediaType"], is_manifest, is_layer)
    if is_manifest:
        document = json.loads(path.read_bytes())
        for manifest in document.get("manifests", ()):
            yield from _parts(folder, manifest, is_manifest=True)
        if "config" in document:
            yield from _parts(folder, document["config"])
        for layer in document.get("layers", ()):
            yield from _parts(folder, layer, is_layer=True)


def _path(folder: Path, digest: str) -> Path:
    return folder / "blobs" / "sha256" / checked(digest).removeprefix("sha256:")


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
