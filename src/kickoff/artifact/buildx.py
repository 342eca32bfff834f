"""Building and joining images with ``docker buildx``: the only place that knows its options."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickoff.artifact.build_failure import BuildFailed
from kickoff.artifact.build_key import Recipe
from kickoff.docker_cli import Docker

SCANNER = "docker/buildkit-syft-scanner:stable-1"
"""BuildKit's own SBOM generator."""

_BUILDKIT = "moby/buildkit:v0.25.1"
_OWN_BUILDER = "kickoff"
_STRICT = ("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=error=true")
_LINT, _WRONG_BASE = "lint violation found for rules:", "InvalidBaseImagePlatform"
_FOREIGN = (_WRONG_BASE, "exec format error", "no match for platform in manifest")


@dataclass(frozen=True, slots=True)
class Builder:
    """The builder: its name among buildx's builders, and its driver."""

    name: str
    driver: str

    @property
    def embedded(self) -> bool:
        """True when it is the engine's own: it keeps its cache, and cannot rewrite the times in layers."""
        return self.driver == "docker"


def builder(docker: Docker) -> Builder:
    """Return the chosen builder when it can attach attestations, else one of our own in a container.

    Raises:
        KickoffError: There is no buildx, no engine answers, or BuildKit's image cannot be fetched.
    """
    listed = docker.text("buildx", "ls", "--format", "json").splitlines()
    known: list[dict[str, Any]] = [json.loads(line) for line in listed if line.strip()]
    # BUILDX_BUILDER is heeded by buildx itself, and marks its choice as the current one.
    current = next((entry for entry in known if entry.get("Current")), dict[str, Any]())
    if current.get("Driver", "docker") != "docker":
        return Builder(current["Name"], current["Driver"])
    if "io.containerd.snapshotter" in docker.text("info", "--format", "{{json .DriverStatus}}"):
        return Builder(str(current.get("Name") or "default"), "docker")
    if _OWN_BUILDER not in [entry.get("Name") for entry in known]:
        options = ["--driver", "docker-container", "--driver-opt", f"image={_BUILDKIT}"]
        docker.run("buildx", "create", "--name", _OWN_BUILDER, *options)
    return Builder(_OWN_BUILDER, "docker-container")


def native(docker: Docker) -> str:
    """Return the platform of the engine, e.g. ``linux/amd64``."""
    return docker.text("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")


def scanner(docker: Docker) -> bool:
    """Tell whether BuildKit's SBOM generator can be fetched."""
    return docker.run("buildx", "imagetools", "inspect", "--raw", SCANNER, check=False).returncode == 0


def build(
    docker: Docker,
    chosen: Builder,
    recipe: Recipe,
    context: Path,
    *,
    repository: str,
    platform: str,
    sbom: bool,
) -> str:
    """Build one platform, push it under its tag and return the digest of its index; as :func:`export` does.

    Args:
        docker: Logged in where the image goes.
        chosen: The builder.
        recipe: What is built.
        context: The folder with the recipe's paths.
        repository: Where it is pushed.
        platform: E.g. ``linux/amd64``.
        sbom: Let BuildKit attach an SBOM.

    Raises:
        BuildFailed: The build or the push failed.
    """
    tag = recipe.tag([platform])
    output = f"type=image,name={repository}:{tag},push=true"
    cache = f"type=registry,ref={repository}:buildcache-{platform.replace('/', '-')}"
    caching: list[str] = []
    if not chosen.embedded:
        # The engine's own builder unpacks what it builds, which excludes the first; it needs no second.
        output += ",rewrite-timestamp=true"
        caching = ["--cache-from", cache, "--cache-to", f"{cache},mode=max"]
    command = [*_options(chosen, recipe, context, [platform], sbom=sbom), *caching, "--output", output]
    return _built(docker, command, recipe, context, f"the image for {platform} was not built and pushed")


def export(
    docker: Docker,
    chosen: Builder,
    recipe: Recipe,
    context: Path,
    *,
    folder: Path,
    repository: str,
    platforms: Sequence[str],
    sbom: bool,
) -> str:
    """Build all platforms at once into the OCI layout at ``folder`` and return the digest of the index.

    Args:
        docker: Reaches the builder.
        chosen: The builder.
        recipe: What is built.
        context: The folder with the recipe's paths.
        folder: The layout; what it holds already is not written again.
        repository: The name that the image has in the layout, before its tag.
        platforms: E.g. ``linux/amd64``.
        sbom: Let BuildKit attach an SBOM.

    Raises:
        BuildFailed: The build failed.
    """
    name, place = f"{repository}:{recipe.tag(platforms)}", str(folder).replace('"', '""')
    output = f'type=oci,tar=false,rewrite-timestamp=true,name={name},"dest={place}"'
    command = [*_options(chosen, recipe, context, platforms, sbom=sbom), "--output", output]
    return _built(docker, command, recipe, context, f"the image for {', '.join(platforms)} was not built")


def _options(
    chosen: Builder, recipe: Recipe, context: Path, platforms: Sequence[str], *, sbom: bool
) -> list[str]:
    command = ["--builder", chosen.name, "--platform", ",".join(platforms)]
    command += ["--file", str(context / recipe.dockerfile), "--progress", "plain"]
    command += ["--provenance", "mode=max", "--sbom", "true" if sbom else "false"]
    for name, value in recipe.labels().items():
        command += ["--label", f"{name}={value}"]
    return command


def _built(docker: Docker, command: Sequence[str], recipe: Recipe, context: Path, failure: str) -> str:
    """Run a build and return the digest of its index.

    Raises:
        BuildFailed: It failed.
    """
    with tempfile.TemporaryDirectory(prefix="kickoff-build-") as folder:
        facts = Path(folder) / "metadata.json"
        command = [*command, "--metadata-file", str(facts), str(context)]
        # BuildKit only warns of a base image that is for another platform, and builds with it; as an error it
        # stops before anything is built. So does bad style, which is not ours to judge.
        log = _stream(docker, [*_STRICT, *command], recipe.time)
        if log is not None and _is_style(log):
            log = _stream(docker, command, recipe.time)
        if log is not None:
            raise _refused(failure, command[command.index("--platform") + 1], log)
        return str(json.loads(facts.read_text(encoding="utf-8"))["containerimage.digest"])


def join(docker: Docker, chosen: Builder, repository: str, tag: str, digests: Sequence[str]) -> None:
    """Make one index of several images of ``repository`` and push it as ``tag``.

    Raises:
        KickoffError: The registry refuses.
    """
    options = ["--builder", chosen.name, "--tag", f"{repository}:{tag}"]
    sources = [f"{repository}@{digest}" for digest in digests]
    docker.run("buildx", "imagetools", "create", *options, *sources)


def _refused(failure: str, platform: str, log: Sequence[str]) -> BuildFailed:
    if any(sign in line for line in log for sign in _FOREIGN):
        build = f"kickoff build --kind image --platforms {platform}"
        hint = f"the base image or this machine is not {platform}; on one that is, run `{build}`"
    else:
        hint = "the builder's log above names the step"
    return BuildFailed(failure, log=log, hint=hint)


def _is_style(log: Sequence[str]) -> bool:
    return any(_LINT in line for line in log) and not any(_WRONG_BASE in line for line in log)


def _stream(docker: Docker, command: Sequence[str], epoch: int) -> Sequence[str] | None:
    """Build and show the log; return ``None`` on success, else its last lines."""
    variables = {"SOURCE_DATE_EPOCH": str(epoch), "NO_COLOR": "1"}
    code, log = docker.stream("buildx", "build", *command, **variables)
    return None if code == 0 else log
