"""Key of a build: the part of a commit that reaches the builder, and the name that follows from it.

The key covers the content of every file the builder can see, and nothing else: neither the commit's id
nor its time. A commit that touches none of these files therefore has the key, and so the image, of the
commit before it.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from kickoff import git
from kickoff.artifact import source
from kickoff.errors import KickoffError
from kickoff.service import ImageSource, described_in

# Part of every key: raise it when an image would come out different of the same files.
_VERSION = 2
_IGNORE = ".dockerignore"
_LABEL = "org.opencontainers.image."
_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/\\:][^:]*)")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The ingredients of an image.

    Attributes:
        key: 40 hexadecimal digits that follow from the ingredients' content.
        commit: The commit they are taken from.
        paths: Files and folders of the project that reach the builder, Dockerfile included.
        dockerfile: The Dockerfile among them.
        revision: The last commit that changed one of them.
        time: When that commit was made, seconds since the epoch.
        version: What git calls that commit: its tag, or the distance from the last one.
        repository: Address of the source repository; empty when its remote is unknown or on this machine.
    """

    key: str
    commit: str
    paths: tuple[str, ...]
    dockerfile: str
    revision: str
    time: int
    version: str
    repository: str

    def tag(self, platforms: Sequence[str]) -> str:
        """Return the image's tag for these platforms, e.g. ``content-<key>-linux-amd64-linux-arm64``."""
        return "-".join(
            ["content", self.key, *(platform.replace("/", "-") for platform in sorted(platforms))]
        )

    def labels(self) -> dict[str, str]:
        """Return the image's OCI labels. None of them changes while the key stays the same."""
        labels = {
            "source": self.repository,
            "revision": self.revision,
            "version": self.version,
            "created": datetime.fromtimestamp(self.time, UTC).isoformat(),
        }
        return {_LABEL + name: value for name, value in labels.items() if value}


def read(root: Path, commit: str, image: ImageSource) -> Recipe:
    """Return the recipe of the image of ``commit``.

    Args:
        root: A folder in the repository's working tree, the project's root.
        commit: The commit's full id.
        image: Where the Dockerfile is, and what it copies.

    Raises:
        KickoffError: The commit holds no such Dockerfile, or lacks a path.
    """
    if not source.holds(root, commit, image.dockerfile):
        raise KickoffError(
            f"commit {commit[:7]} holds no {image.dockerfile}",
            at=str(described_in(root)),
            hint=f"commit it (`git add {image.dockerfile}`), or name another one as `image.dockerfile`",
        )
    rules = next((p for p in (f"{image.dockerfile}{_IGNORE}", _IGNORE) if source.holds(root, commit, p)), "")
    paths = tuple(dict.fromkeys([*image.paths, image.dockerfile, *filter(None, [rules])]))
    listed = git.run(root, "ls-tree", "-r", "-z", commit, "--", *paths).stdout
    parts = [str(_VERSION), image.dockerfile, *sorted(filter(None, listed.split("\0")))]
    key = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:40]
    revision, time = git.run(root, "log", "-1", "--format=%H %ct", commit, "--", *paths).stdout.split()
    return Recipe(
        key=key,
        commit=commit,
        paths=paths,
        dockerfile=image.dockerfile,
        revision=revision,
        time=int(time),
        version=git.run(root, "describe", "--tags", "--always", revision).stdout.strip(),
        repository=_published(git.run(root, "remote", "get-url", "origin", check=False).stdout.strip()),
    )


def _published(remote: str) -> str:
    """Return a remote as others may read it: without credentials, and nothing when it is a local path."""
    if scp := _SCP.fullmatch(remote):
        return f"https://{scp['host']}/{scp['path'].removesuffix('.git')}"
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port and parts.scheme in ("http", "https") else ""
    scheme = parts.scheme if parts.scheme == "http" else "https"
    return f"{scheme}://{parts.hostname}{port}{parts.path.removesuffix('.git')}"
