"""The compose target's artefact: an image, named by the digest of its index.

What travels between jobs is a small record of it, stored under the digest beside the bundles. The bytes
stay in the registry, which serves them by that digest alone; without one they are beside the record.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from kickoff.artifact.bundle import checked
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic

NOWHERE = "kickoff.invalid"
"""In the place of a registry's name, for an image that is in none: nobody can ever have this name."""
RECORD = ".image.json"
"""Ending of a record's name."""
# registry.example/team/name or 127.0.0.1:5000/name; never a tag or a digest.
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was built.

    Attributes:
        digest: ``sha256:<hex>`` of its index (or manifest, for one platform).
        repository: Where it is kept: registry and name, without tag or digest; below ``NOWHERE`` it is
            only the name that an engine keeps it under.
        commit: The commit it was made of.
        platforms: What it runs on, e.g. ``linux/amd64``.
    """

    digest: str
    repository: str
    commit: str
    platforms: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The only name by which it is ever started: ``repository@digest``.

        An image that no registry has gets a tag instead, made of the digest: engines prune what has none.
        """
        if self.in_registry:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.digest.removeprefix('sha256:')}"

    @property
    def in_registry(self) -> bool:
        """True when a registry has it, so that it can be pulled at any time."""
        return not self.repository.startswith(f"{NOWHERE}/")


def keep(store: Path, image: Image) -> Path:
    """Write the record of ``image`` into the artefact folder ``store``; return its path."""
    checked_repository(image.repository)
    path = _path(store, image.digest)
    store.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text(image))
    return path


def text(image: Image) -> str:
    """Return the record of ``image`` as it is written."""
    return json.dumps(asdict(image), indent=1) + "\n"


def find(store: Path, digest: str) -> Image:
    """Return the image with ``digest`` by its record in ``store``.

    Raises:
        KickoffError: The digest is malformed, or its record is missing or damaged.
    """
    path = _path(store, digest)
    hint = "build it again with `kickoff build --kind image`; the registry keeps what is there"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        image = Image(**(document | {"platforms": tuple(document["platforms"])}))
        checked_repository(image.repository)
    except FileNotFoundError:
        raise KickoffError(
            f"no record of the image {digest[:19]}… is at {store}", code=ExitCode.UNREACHABLE, hint=hint
        ) from None
    except (ValueError, TypeError, KeyError):
        raise KickoffError("not the record of an image", at=str(path), hint=hint) from None
    if image.digest != digest:
        raise KickoffError(
            f"the record is of another image: expected {digest[:19]}…, found {str(image.digest)[:19]}…",
            code=ExitCode.REJECTED,
            at=str(path),
            hint=hint,
        )
    return image


def checked_repository(repository: str) -> str:
    """Return ``repository`` when it is one.

    Raises:
        KickoffError: It has a tag, a digest, capitals, or is no name at all.
    """
    if not isinstance(repository, str) or not _REPOSITORY.fullmatch(repository):
        raise KickoffError(
            f"{str(repository)[:80]!r} is no image repository",
            hint="write registry and name in small letters, without tag: ghcr.io/owner/service",
        )
    return repository


def _path(store: Path, digest: str) -> Path:
    return store / f"{checked(digest).removeprefix('sha256:')}{RECORD}"
