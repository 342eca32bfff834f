"""A registry's content under a name, and a login that leaves nothing behind. Through Docker's CLI alone."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickoff import github, masking
from kickoff.docker_cli import Docker, said
from kickoff.errors import ExitCode, KickoffError

PROVENANCE = "https://slsa.dev/provenance/"
SBOM = "https://spdx.dev/Document"
HOST, USERNAME, PASSWORD = "REGISTRY_HOST", "REGISTRY_USERNAME", "REGISTRY_PASSWORD"
TOKEN = "GHCR_TOKEN"  # noqa: S105 - the name of a variable
"""Variable with a token of GitHub's, which ``ghcr.io`` alone may see."""

_KEPT = ("auths", "cliPluginsExtraDirs", "credHelpers", "currentContext", "proxies")


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """One platform of an image.

    Attributes:
        platform: E.g. ``linux/amd64``.
        digest: ``sha256:<hex>`` of its manifest.
        size: Bytes of its configuration and layers, as they are transferred.
        attested: Types of the statements that BuildKit attached to it.
    """

    platform: str
    digest: str
    size: int
    attested: tuple[str, ...]

    def has(self, kind: str) -> bool:
        """Tell whether a statement of this type (``PROVENANCE``, ``SBOM``) is attached."""
        return any(found.startswith(kind) for found in self.attested)


@dataclass(frozen=True, slots=True)
class Index:
    """An image in a registry: the digest of its index, and one entry for each platform."""

    digest: str
    platforms: tuple[PlatformImage, ...]


def find(docker: Docker, repository: str, name: str) -> Index | None:
    """Return the image that ``repository`` holds under ``name`` (a tag or a digest), or ``None``.

    Raises:
        KickoffError: The registry does not answer or lets nobody in (exit 4), or holds something else.
    """
    reference = f"{repository}{'@' if name.startswith('sha256:') else ':'}{name}"
    raw = _raw(docker, reference)
    if raw is None:
        return None
    entries = _document(raw, reference).get("manifests")
    if not isinstance(entries, list):
        raise KickoffError(
            f"{reference} is no image index",
            code=ExitCode.REJECTED,
            hint="something else pushed it; delete it in the registry and build again",
        )
    statements: dict[str, list[str]] = {}
    images: list[tuple[str, str]] = []
    for entry in entries:
        annotations = entry.get("annotations") or {}
        if annotations.get("vnd.docker.reference.type") == "attestation-manifest":
            about = str(annotations.get("vnd.docker.reference.digest"))
            statements.setdefault(about, []).extend(_predicates(docker, f"{repository}@{entry['digest']}"))
        else:
            images.append((_platform(entry.get("platform") or {}), entry["digest"]))
    return Index(
        f"sha256:{hashlib.sha256(raw).hexdigest()}",
        tuple(
            PlatformImage(
                platform, digest, _size(docker, f"{repository}@{digest}"), tuple(statements.get(digest, ()))
            )
            for platform, digest in sorted(images)
        ),
    )


@contextmanager
def logged_in(repository: str, environ: Mapping[str, str] = os.environ) -> Iterator[Docker]:
    """Yield a Docker that is logged in to the registry of ``repository``, for as long as the block runs.

    An empty repository is in no registry: the user's own logins are used, and no other is needed.

    With :func:`credentials` in ``environ`` the login goes into a folder of its own, which is removed at the
    end; the password travels by standard input alone and is kept from every command's environment. Without
    them, the user's own logins are used.

    Raises:
        KickoffError: As for :func:`credentials`, or the registry refuses them (exit 4).
    """
    found, registry = credentials(repository, environ), host(repository)
    secret = (USERNAME, PASSWORD, TOKEN)
    inherited = {k: v for k, v in github.child_environment(environ).items() if k not in secret}
    if found is None:
        yield Docker(inherited)
        return
    username, password = found
    own = Path(inherited.get("DOCKER_CONFIG") or Path(inherited.get("HOME") or "/") / ".docker")
    with tempfile.TemporaryDirectory(prefix="kickoff-docker-") as folder:
        (Path(folder) / "config.json").write_text(json.dumps(_settings(own)), encoding="utf-8")
        for shared in ("cli-plugins", "contexts"):
            if (own / shared).is_dir():
                (Path(folder) / shared).symlink_to((own / shared).resolve())
        # Builders belong to the machine, not to the login.
        inherited.setdefault("BUILDX_CONFIG", str(own / "buildx"))
        docker = Docker(inherited | {"DOCKER_CONFIG": folder})
        login = ["login", "--username", username, "--password-stdin", *([registry] if registry else [])]
        done = docker.run(*login, given=password, check=False)
        if done.returncode != 0:
            raise KickoffError(
                f"{registry or 'Docker Hub'} refuses the login of {username}",
                code=ExitCode.UNREACHABLE,
                causes=said(done),
                hint=f"check {USERNAME} and {PASSWORD}, and that they may push there",
            )
        yield docker


def credentials(repository: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return user and password for the registry of ``repository``; ``None`` where no login is given.

    They are ``REGISTRY_USERNAME`` and ``REGISTRY_PASSWORD``; ``REGISTRY_HOST`` names the registry that they
    are for. Without them ``GHCR_TOKEN`` is the password for ``ghcr.io``, and for nobody else.

    Args:
        repository: Registry and name; in no registry when empty.
        environ: The process environment.

    Raises:
        KickoffError: One of the two is missing, or they are for another registry (exit 2).
    """
    username, password, registry = environ.get(USERNAME, ""), environ.get(PASSWORD, ""), host(repository)
    token = environ.get(TOKEN, "") if registry == "ghcr.io" else ""
    masking.hide(password, token)
    if not repository:
        return None
    if not username and not password:
        return ("x-access-token", token) if token else None
    if not username or not password:
        given, lacking = (USERNAME, PASSWORD) if username else (PASSWORD, USERNAME)
        raise KickoffError(f"{given} is set, but {lacking} is not", hint="set both, or neither")
    meant = environ.get(HOST) or registry
    if meant != registry:
        raise KickoffError(
            f"the login is for {meant}, but the image goes to {registry or 'Docker Hub'}",
            hint=f"give that registry's {USERNAME} and {PASSWORD}, or push to {meant}",
        )
    return username, password


def host(repository: str) -> str:
    """Return the registry of a repository, e.g. ``ghcr.io``; empty for Docker Hub, which needs no naming."""
    first, _, rest = repository.partition("/")
    return first if rest and ("." in first or ":" in first or first == "localhost") else ""


def _settings(own: Path) -> dict[str, Any]:
    """Return the user's settings without a credential store, which would keep the password."""
    path = own / "config.json"
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {key: document[key] for key in _KEPT if key in document}
    except (ValueError, TypeError):
        raise KickoffError("Docker's settings are not JSON", at=str(path), hint="repair the file") from None


def _raw(docker: Docker, reference: str) -> bytes | None:
    done = docker.run("buildx", "imagetools", "inspect", "--raw", reference, check=False)
    if done.returncode == 0:
        return done.stdout
    causes = said(done)
    # Only the registry's own word that there is no such name counts; any other failure is one.
    if causes and causes[-1].startswith("ERROR: ") and causes[-1].endswith(f"{reference}: not found"):
        return None
    raise KickoffError(
        f"the registry cannot be asked for {reference}",
        code=ExitCode.UNREACHABLE,
        causes=causes,
        hint=f"see whether it answers, and log in: docker login {host(reference)}".rstrip(),
    )


def _fetched(docker: Docker, reference: str) -> dict[str, Any]:
    raw = _raw(docker, reference)
    if raw is None:
        raise KickoffError(
            f"the registry has lost {reference}",
            code=ExitCode.REJECTED,
            hint="its clean-up may be too eager; delete the tag that leads there and build again",
        )
    return _document(raw, reference)


def _document(raw: bytes, reference: str) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise KickoffError(f"{reference} is no image", code=ExitCode.REJECTED)
    return document


def _predicates(docker: Docker, reference: str) -> Sequence[str]:
    layers = _fetched(docker, reference).get("layers", [])
    return [str((layer.get("annotations") or {}).get("in-toto.io/predicate-type", "")) for layer in layers]


def _size(docker: Docker, reference: str) -> int:
    manifest = _fetched(docker, reference)
    return sum(int(part.get("size", 0)) for part in [manifest.get("config", {}), *manifest.get("layers", [])])


def _platform(entry: Mapping[str, str]) -> str:
    os_name, machine, variant = entry.get("os", ""), entry.get("architecture", ""), entry.get("variant", "")
    # BuildKit leaves out the variant that every arm64 has; other tools write it.
    shown = "" if (machine, variant) == ("arm64", "v8") else variant
    return "/".join(filter(None, [os_name, machine, shown]))
