#!/usr/bin/env python3
"""Build wheel and source archive of Kickoff, check the tag of a release, and move that of the major version.

``release.yml`` calls it; ``python3 scripts/publish/publish.py build`` is the same on a laptop.
"""

import argparse
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff import __version__, foreign, gh, git, github, packages
from kickoff.errors import ExitCode, KickoffError
from kickoff.program import run

TAG = "kickoff-v"
"""The beginning of the product's tags: tags ``v*`` ship the service of this repository."""
CHANGES = "CHANGELOG.md"
_RELEASED = re.compile(r"\d+\.\d+\.\d+")


def build(folder: Path, root: Path = ROOT) -> None:
    """Write source archive and wheel of the commit into a folder; the same commit gives the same bytes.

    The wheel is made from the source archive, and both with the locked build system alone.

    Raises:
        KickoffError: The build failed (exit 4).
    """
    seconds = git.run(root, "log", "-1", "--format=%ct").stdout.strip()
    with TemporaryDirectory(prefix="kickoff-build-") as temporary:
        archive, source = Path(temporary, "source.tar"), Path(temporary, "source")
        git.run(root, "archive", f"--output={archive}", "HEAD")
        with tarfile.open(archive) as packed:
            packed.extractall(source, filter="data")
        lock = source / "requirements" / "build.txt"
        options = ["--quiet", "--system-certs", "--no-create-gitignore"]
        options += ["--require-hashes", f"--build-constraints={lock}"]
        done = subprocess.run(
            [packages.tool("uv"), "build", *options, f"--out-dir={folder.resolve()}", str(source)],
            env=foreign.installing() | {"SOURCE_DATE_EPOCH": seconds},
            check=False,
        )
    if done.returncode != 0:
        raise KickoffError(
            "the build failed", code=ExitCode.UNREACHABLE, hint="the message above says why; run it again"
        )


def section(changes: str, version: str) -> tuple[str, str]:
    """Return the date and the text of a version's section; both are empty where there is none."""
    found = re.search(rf"^## {re.escape(version)} - (\S+)\n(.*?)(?=^## |\Z)", changes, re.M | re.S)
    return (found[1], found[2].strip()) if found else ("", "")


def check(tag: str, changes: str, version: str = __version__) -> str:
    """Return what a tag's release says about itself: its section of the changes.

    Raises:
        KickoffError: The tree is not what the tag says, or its section is missing or not dated (exit 2).
    """
    if not _RELEASED.fullmatch(version):
        raise KickoffError(
            f"{version} is a version between releases",
            at="src/kickoff/__init__.py",
            hint="release from a commit whose `__version__` is three numbers",
        )
    if tag != f"{TAG}{version}":
        raise KickoffError(
            f"the tag {tag} is not that of version {version}",
            at="src/kickoff/__init__.py",
            hint=f"git tag {TAG}{version}, or correct `__version__`",
        )
    date, text = section(changes, version)
    if not text or not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        raise KickoffError(
            f"{CHANGES} has no section of {version} with a date",
            at=CHANGES,
            hint=f"begin it with `## {version} - YYYY-MM-DD`",
        )
    return text


def move(tag: str) -> str:
    """Move the tag of the major version to this commit, unless a newer version has it; return what was done.

    Raises:
        KickoffError: GitHub refused (exit 4).
    """
    version = tag.removeprefix(TAG)
    moving = f"{TAG}{version.partition('.')[0]}"
    repository, commit = github.context().repository, git.run(ROOT, "rev-parse", "HEAD").stdout.strip()
    refs = f"repos/{repository}/git"
    hint = "the job needs `contents: write`"
    listed = gh.api("GET", f"{refs}/matching-refs/tags/{moving}?per_page=100", hint=hint)
    tags = {one["ref"].removeprefix("refs/tags/") for one in listed}
    newer = [one for one in tags if one.startswith(f"{moving}.") and _numbers(one) > _numbers(tag)]
    if newer:
        return f"{moving} stays where it is: {max(newer, key=_numbers)} is newer"
    if moving in tags:
        gh.api("PATCH", f"{refs}/refs/tags/{moving}", {"sha": commit, "force": True}, hint=hint)
    else:
        gh.api("POST", f"{refs}/refs", {"ref": f"refs/tags/{moving}", "sha": commit}, hint=hint)
    return f"{moving} is {commit[:7]}"


def _numbers(tag: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", tag)]


def main() -> int:
    """Run one of the three; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="build both into dist/")
    verbs.add_parser("check", help="check the tag, and print what its release says").add_argument("tag")
    verbs.add_parser("move", help="move the tag of the major version").add_argument("tag")
    arguments = parser.parse_args()
    if arguments.verb == "build":
        build(Path("dist"))
    elif arguments.verb == "check":
        sys.stdout.write(f"{check(arguments.tag, (ROOT / CHANGES).read_text(encoding='utf-8'))}\n")
    else:
        sys.stdout.write(f"{move(arguments.tag)}\n")
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(run(main))
