"""From a commit to an image in a registry: built once for each content, found again ever after.

Each platform is built and tagged by itself, so machines of different kinds can each build their own; whoever
comes last joins what is there into one index.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kickoff.artifact import build_key, buildx, bundle, image, registry, sbom
from kickoff.artifact.build_key import Recipe
from kickoff.artifact.image import Image
from kickoff.artifact.registry import Index, PlatformImage
from kickoff.docker_cli import Docker
from kickoff.errors import ExitCode, KickoffError
from kickoff.service import CONFIG, ImageSource

NATIVE = "native"
"""Stands for the platform of the machine that builds."""

_PLATFORM = re.compile(r"linux/[a-z0-9]+(/v[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Built:
    """An image in a registry, and how it came there.

    Attributes:
        image: What was asked for.
        index: What the registry holds.
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


def repository_of(source: ImageSource, environ: Mapping[str, str], github_repository: str = "") -> str:
    """Return where the image is pushed: ``IMAGE_REPOSITORY``, else ``kickoff.yml``, else GitHub's.

    Args:
        source: The service's image.
        environ: The process environment.
        github_repository: ``owner/name`` on GitHub, whose registry is the default there; empty elsewhere.

    Raises:
        KickoffError: Nothing names one, or what does is no repository.
    """
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
    """Make sure that the registry holds the image of ``commit``, and store its record.

    Args:
        root: The project's folder.
        commit: The commit's full id.
        source: The service's image.
        repository: Where it is pushed.
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
        with tempfile.TemporaryDirectory(prefix="kickoff-context-") as folder:
            context = Path(folder) / "context"
            bundle.export(root, made.commit, context, made.paths)
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
