"""The list of what is in an image, by syft: for builders that cannot attach one themselves."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kickoff.artifact.registry import PlatformImage
from kickoff.errors import ExitCode, KickoffError

_TIMEOUT_SECONDS = 600


def path_of(store: Path, image: PlatformImage) -> Path:
    """Return where the SBOM of one platform's manifest is kept in the artefact folder ``store``."""
    return store / f"sbom.{image.digest.removeprefix('sha256:')}.spdx.json"


def syft(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of syft: the one on ``PATH``, else the one installed beside this Python."""
    return shutil.which("syft", path=environ.get("PATH")) or shutil.which(
        "syft", path=str(Path(sys.executable).parent)
    )


def write(
    program: str, repository: str, image: PlatformImage, store: Path, environ: Mapping[str, str]
) -> int:
    """Write the SPDX document of an image in a registry, unless it is there; return its number of packages.

    Args:
        program: Path of syft.
        repository: Where the image is.
        image: One platform of it; named by digest, so that a document never becomes out of date.
        store: The artefact folder.
        environ: syft's environment; its ``DOCKER_CONFIG`` holds the login.

    Raises:
        KickoffError: syft fails or does not end (exit 4).
    """
    path = path_of(store, image)
    if not path.is_file():
        store.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        command = [program, "scan", f"registry:{repository}@{image.digest}"]
        command += ["--output", f"spdx-json={partial}"]
        try:
            done = subprocess.run(
                command,
                env={**environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"},
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _failed(image, [f"no end after {_TIMEOUT_SECONDS} s"]) from None
        if done.returncode != 0:
            raise _failed(image, done.stderr.strip().splitlines()[-3:])
        partial.replace(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    # The image is a package of its own in the document.
    return sum(entry.get("primaryPackagePurpose") != "CONTAINER" for entry in document.get("packages", []))


def _failed(image: PlatformImage, causes: list[str]) -> KickoffError:
    return KickoffError(
        f"syft made no SBOM for {image.platform}",
        code=ExitCode.UNREACHABLE,
        causes=causes,
        hint="run it by hand on the image; a newer syft on PATH is preferred to the installed one",
    )
