"""Images that this machine's engine has never seen: layers put on top of one in an OCI layout, by hand.

What an engine built it has, so that nothing would be sent. These layers are as if another machine had built them.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Files = Mapping[str, bytes]
"""Content by path in the container."""


def with_layers(layout: Path, digest: str, layers: Sequence[Files]) -> str:
    """Put layers on the one platform's image of an index; return the digest of the index that has it alone."""
    blobs = layout / "blobs" / "sha256"

    def write(content: bytes) -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        if not (blobs / name).exists():
            (blobs / name).write_bytes(content)
        return {"digest": f"sha256:{name}", "size": len(content)}

    entry = _read(layout, digest)["manifests"][0]
    manifest = _read(layout, entry["digest"])
    config = _read(layout, manifest["config"]["digest"])
    for files in layers:
        plain = _tar(files)
        config["rootfs"]["diff_ids"].append(f"sha256:{hashlib.sha256(plain).hexdigest()}")
        config["history"].append({"created_by": "tests/e2e/unseen.py"})
        manifest["layers"].append(manifest["layers"][0] | write(gzip.compress(plain, mtime=0)))
    manifest["config"] |= write(json.dumps(config).encode())
    entry |= write(json.dumps(manifest).encode())
    kind = "application/vnd.oci.image.index.v1+json"
    return str(
        write(json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode())["digest"]
    )


def workdir(layout: Path, digest: str) -> str:
    """Return the folder that the image's containers start in."""
    manifest = _read(layout, _read(layout, digest)["manifests"][0]["digest"])
    return str(_read(layout, manifest["config"]["digest"])["config"]["WorkingDir"])


def _read(layout: Path, digest: str) -> dict[str, Any]:
    path = layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _tar(files: Files) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
