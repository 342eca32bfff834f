"""From a commit to an image: built once for each content, found again ever after.

For a registry each platform is built and tagged by itself, so machines of different kinds can each build
their own; whoever comes last joins what is there into one index. What goes over SSH is built at once, into
the artefact folder.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kickoff.artifact import build_key, buildx, bundle, image, layout, layout_server, registry, sbom
from kickoff.artifact.build_key import Recipe
from kickoff.artifact.image import Image
from kickoff.artifact.registry import Index, PlatformImage
from kickoff.docker_cli import Docker
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.service import CONFIG, NATIVE, ImageSource

_PLATFORM = re.compile(r"linux/[a-z0-9]+(/v[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Built:
    """An image, and how it came to be where it is.

    Attributes:
        image: What was asked for.
        index: What the registry holds, or the artefact folder.
        recipe: What it is made of.
        record: Where the image's record is stored.
        created: ``False`` when the very same image was already there.
        built: The platforms that this run built.
        sboms: Platform to a sentence on its SBOM; the name of a file stands first where there is one.
        packages: Platform to the number of packages in that file.
    """

    image: Image
    index: Index
    recipe: Recipe
    record: Path
    created: bool
    built: tuple[str, ...]
    sboms: Mapping[str, str]
    packages: Mapping[str, int]


def repository_of(
    source: ImageSource, environ: Mapping[str, str], github_repository: str = "", service: str = ""
) -> str:
    """Return where the image is pushed: ``IMAGE_REPOSITORY``, else ``kickoff.yml``, else GitHub's.

    Args:
        source: The service's image; one that goes over SSH is nowhere, and named after the service.
        environ: The process environment.
        github_repository: ``owner/name`` on GitHub, whose registry is the default there; empty elsewhere.
        service: The service's name.

    Raises:
        KickoffError: Nothing names one, or what does is no repository; or it is named, and goes over SSH.
    """
    if source.over_ssh:
        if environ.get("IMAGE_REPOSITORY"):
            raise KickoffError(
                "IMAGE_REPOSITORY names a registry, and `image.transport` is ssh",
                at=str(CONFIG),
                hint="unset it (on GitHub, the repository's variable), or take `transport` out",
            )
        return image.checked_repository(f"{image.NOWHERE}/{service}")
    named = environ.get("IMAGE_REPOSITORY") or source.repository
    if not named and not github_repository:
        raise KickoffError(
            "nothing says where the image is pushed",
            at=str(CONFIG),
            hint="set IMAGE_REPOSITORY, e.g. ghcr.io/owner/name, or `image.repository`",
        )
    return image.checked_repository(named or f"ghcr.io/{github_repository.lower()}")


def build(
    root: Path,
    commit: str,
    source: ImageSource,
    *,
    repository: str,
    platforms: Sequence[str],
    store: Path,
    docker: Docker,
) -> Built:
    """Make sure that the registry holds the image of ``commit``, or the artefact folder; store its record.

    Args:
        root: The project's folder.
        commit: The commit's full id.
        source: The service's image.
        repository: As :func:`repository_of` says.
        platforms: What it shall run on; ``native`` stands for this machine's.
        store: The artefact folder.
        docker: Logged in where the image goes.

    Raises:
        BuildFailed: The builder refused (exit 1).
        KickoffError: A platform is none, or the commit lacks a path (exit 2); the registry or the engine does
            not answer (exit 4); the registry holds something else under the image's tag (exit 1).
    """
    wrong = next((name for name in platforms if name != NATIVE and not _PLATFORM.fullmatch(name)), None)
    if wrong is not None:
        raise KickoffError(
            f"{wrong[:80]!r} is no platform",
            hint=f"write linux/amd64, linux/arm64 or {NATIVE}, with commas between",
        )
    wanted = tuple(sorted({buildx.native(docker) if name == NATIVE else name for name in platforms}))
    made = build_key.read(root, commit, source)
    tag = made.tag(wanted)
    if source.over_ssh:
        return _layout(root, made, repository, wanted, store=store, docker=docker)
    index = registry.find(docker, repository, tag)
    created = index is None
    built: tuple[str, ...] = ()
    if index is None:
        index, built = _make(root, made, repository, wanted, docker)
    found = tuple(entry.platform for entry in index.platforms)
    if found != wanted:
        raise KickoffError(
            f"the registry holds an image for {', '.join(found) or 'no platform'} as {tag}",
            code=ExitCode.REJECTED,
            hint="something else pushed it; delete the tag in the registry and build again",
        )
    sentences, packages = _sboms(repository, index, store, docker)
    asked = Image(index.digest, repository, commit, wanted)
    return Built(asked, index, made, image.keep(store, asked), created, built, sentences, packages)


def _layout(
    root: Path, made: Recipe, repository: str, wanted: tuple[str, ...], *, store: Path, docker: Docker
) -> Built:
    """Build the image into the artefact folder, unless it is there."""
    record = store / f"{made.tag(wanted)}.build.json"
    digest, built = _known(record, store), tuple[str, ...]()
    if not digest:
        store.mkdir(parents=True, exist_ok=True)
        layout.drop_damaged(store)
        with _context(root, made) as context:
            digest = buildx.export(
                docker, buildx.builder(docker), made, context,
                folder=store.absolute() / layout.FOLDER, repository=repository, platforms=wanted,
                sbom=buildx.scanner(docker),
            )  # fmt: skip
        built = wanted
    with layout_server.serving(layout.read(store, digest)) as server:
        index = registry.find(docker, server.reference, digest)
        if index is None:
            raise KickoffError(f"the image {digest[:19]}… cannot be read", code=ExitCode.UNREACHABLE)
        sentences, packages = _sboms(server.reference, index, store, docker)
    write_atomic(record, json.dumps({"digest": digest}) + "\n")
    asked = Image(digest, repository, made.commit, wanted)
    return Built(asked, index, made, image.keep(store, asked), bool(built), built, sentences, packages)


def _known(record: Path, store: Path) -> str:
    """Return the digest that a build came to before; empty when the image is not there as it was."""
    try:
        digest = str(json.loads(record.read_text(encoding="utf-8"))["digest"])
        layout.read(store, digest)
    except (FileNotFoundError, ValueError, KeyError, TypeError, KickoffError):
        return ""  # built anew
    return digest


@contextmanager
def _context(root: Path, made: Recipe) -> Iterator[Path]:
    """Yield a folder with what the builder may see, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="kickoff-context-") as folder:
        context = Path(folder) / "context"
        bundle.export(root, made.commit, context, made.paths)
        _date_by_content(context)
        yield context


def _date_by_content(context: Path) -> None:
    """Give each file a time that follows from its content, within three years of the epoch.

    BuildKit takes a file for the one that it was sent last under this name, by whichever build, when size,
    mode and time are the same; with one time for all it would build an old content into a new image.
    """
    for path in context.rglob("*"):
        if path.is_file() and not path.is_symlink():
            time = int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:7])
            os.utime(path, ns=(time, time))


def _make(
    root: Path, made: Recipe, repository: str, wanted: Sequence[str], docker: Docker
) -> tuple[Index, tuple[str, ...]]:
    """Build the platforms that the registry lacks and join them; return the index and what was built."""
    chosen = buildx.builder(docker)
    digests: dict[str, str] = {}
    if len(wanted) > 1:
        for platform in wanted:
            known = registry.find(docker, repository, made.tag([platform]))
            if known is not None:
                digests[platform] = known.digest
    missing = tuple(platform for platform in wanted if platform not in digests)
    if missing:
        attach = buildx.scanner(docker)
        with _context(root, made) as context:
            for platform in missing:
                digests[platform] = buildx.build(
                    docker, chosen, made, context, repository=repository, platform=platform, sbom=attach
                )
    # One platform goes by its digest: another run may have moved the tag since.
    name = digests[wanted[0]]
    if len(wanted) > 1:
        name = made.tag(wanted)
        buildx.join(docker, chosen, repository, name, [digests[platform] for platform in wanted])
    index = registry.find(docker, repository, name)
    if index is None:
        raise KickoffError(
            f"{repository} does not hold {name}, which was pushed a moment ago",
            code=ExitCode.UNREACHABLE,
            hint="see the registry's log; build again",
        )
    return index, missing


def _sboms(
    repository: str, index: Index, store: Path, docker: Docker
) -> tuple[dict[str, str], dict[str, int]]:
    sentences: dict[str, str] = {}
    packages: dict[str, int] = {}
    program = sbom.syft(docker.environ)
    for entry in index.platforms:
        if entry.has(registry.SBOM):
            sentences[entry.platform] = "attached to the image by BuildKit"
        elif program is None:
            sentences[entry.platform] = ""
        else:
            packages[entry.platform] = sbom.write(program, repository, entry, store, docker.environ)
            sentences[entry.platform] = f"{sbom.path_of(store, entry).name} by syft"
    return sentences, packages


def described(entry: PlatformImage, built: Built) -> dict[str, object]:
    """Return what the evidence says of one platform."""
    return {
        "platform": entry.platform,
        "digest": entry.digest,
        "bytes": entry.size,
        "provenance": "attached" if entry.has(registry.PROVENANCE) else "none: it was pushed without",
        "sbom": built.sboms[entry.platform] or "none: neither BuildKit's scanner nor syft is at hand",
        "packages": built.packages.get(entry.platform),
    }
