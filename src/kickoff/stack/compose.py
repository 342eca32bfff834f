"""`docker compose` on one stack: its files on the host, its variables, and the command itself.

Only what a compose file means is asked of the command line; the rest is asked of the engine's API.
"""

import filecmp
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kickoff.docker_cli import Docker, decoded, reaching
from kickoff.environment.schema import FOLDER as ENVIRONMENTS
from kickoff.errors import ExitCode, KickoffError
from kickoff.service import load as load_service

_CONFIGS = "configs"
_NAME = re.compile(
    r"^name: *[\"']?(?P<text>[a-z0-9][a-z0-9_-]*)(?P<own>\$\{APP_ENV[^}]*\})?[\"']? *(?:#.*)?$", re.MULTILINE
)


def file_of(name: str) -> str:
    """Return the name of an environment's compose file: always on its host, in the project if it has one."""
    return f"docker-compose.{name}.yml"


def source_of(root: Path, name: str) -> Path:
    """Return the project's compose file for an environment: its own, or the one that it is declared to share.

    Raises:
        KickoffError: It has none of its own, and the service has no valid description.
    """
    own = Path(file_of(name))
    return own if (root / own).is_file() else Path(load_service(root).declared(name).compose or own)


def copied(path: Path, name: str) -> Path:
    """Return where a host keeps a file of a stack: the compose file under the environment's own name."""
    return Path(file_of(name)) if path.parent == Path() else path


def project_of(file: Path, name: str) -> str:
    """Return the name under which the engine knows the stack of an environment.

    Args:
        file: The compose file.
        name: The environment, which stands for ``${APP_ENV}`` in it.

    Raises:
        KickoffError: The compose file has none.
    """
    # Compose's own tags (`!reset`) keep a YAML parser from reading the whole file.
    found = _NAME.search(file.read_text(encoding="utf-8"))
    if found is None:
        raise KickoffError(
            "the stack has no name of its own, so its containers could be taken for another's",
            at=file.name,
            hint="write `name: SERVICE-ENVIRONMENT` at its top, or `name: SERVICE-${APP_ENV}`",
        )
    return found["text"] + (name if found["own"] else "")


def source_files(root: Path, name: str) -> list[Path]:
    """Return what a stack is made of, relative to the project: its compose file and ``configs/``.

    Raises:
        KickoffError: The environment has no compose file.
    """
    source = source_of(root, name)
    if not (root / source).is_file():
        raise KickoffError(
            f"{source} is missing: that file says what runs in {name}",
            hint=f"write it, or name another one as environments.{name}.compose, or set DEPLOY_TARGET=local",
        )
    skipped = ENVIRONMENTS.relative_to(_CONFIGS)
    found = [
        path.relative_to(root)
        for path in sorted((root / _CONFIGS).rglob("*"))
        if path.is_file() and not path.relative_to(root / _CONFIGS).is_relative_to(skipped)
    ]
    return [source, *found]


def compose_files(root: Path, name: str) -> list[Path]:
    """Return the compose files among them: what says how containers are made."""
    return [path for path in source_files(root, name) if path.parent.name in ("", "compose")]


def install_files(root: Path, name: str, destination: Path) -> list[Path]:
    """Make ``destination`` hold the files of the project's stack and no others; return what changed.

    What is equal is not written again: a running container keeps a mounted file while it is the same one.
    """
    wanted = {copied(path, name): path for path in source_files(root, name)}
    there = {path.relative_to(destination) for path in destination.rglob("*") if path.is_file()}
    changed = []
    for relative, source in wanted.items():
        target = destination / relative
        if relative in there and filecmp.cmp(root / source, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.new")
        shutil.copyfile(root / source, temporary)
        # Containers run as other users; the folder around all this keeps other users of the host out.
        temporary.chmod(0o755 if os.access(root / source, os.X_OK) else 0o644)
        temporary.replace(target)
        changed.append(relative)
    for relative in sorted(there - set(wanted)):
        (destination / relative).unlink()
        changed.append(relative)
    return changed


@dataclass(frozen=True)
class Compose:
    """The command line on one stack.

    Attributes:
        folder: Holds the compose file and what it mounts.
        file: Name of the compose file.
        env_files: Values of the variables in the compose file; a later file wins.
    """

    folder: Path
    file: str
    env_files: Sequence[Path]

    @cached_property
    def project(self) -> str:
        """The name under which the engine knows the stack.

        Raises:
            KickoffError: The compose file has none.
        """
        return project_of(self.folder / self.file, self.file.split(".")[1])

    def resolved(self) -> dict[str, Any]:
        """Return the compose file with its variables filled in and all its profiles.

        Raises:
            KickoffError: It is not valid, or a variable that it demands is missing (exit 2).
        """
        text = self.run("--profile", "*", "config", "--format", "json", code=ExitCode.BAD_INPUT)
        document: dict[str, Any] = json.loads(text)
        return document

    def containers(self, *options: str) -> list[dict[str, Any]]:
        """Return what ``docker compose ps`` says of each container; options are ``--all``, or a service.

        Raises:
            KickoffError: The engine does not answer (exit 4).
        """
        lines = self.run("ps", "--format", "json", *options).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def run(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        given: str = "",
        seconds: float = 600,
        code: ExitCode = ExitCode.UNREACHABLE,
        hint: str = "",
    ) -> str:
        """Run one command and return what it printed.

        Args:
            arguments: The command, e.g. ``up --detach``.
            environ: Further variables for it.
            given: Text for its standard input.
            seconds: How long it may take.
            code: Exit code of the error when it fails.
            hint: How to fix a failure.

        Raises:
            KickoffError: It failed, took too long, or docker is not installed.
        """
        files = [part for path in self.env_files for part in ("--env-file", str(path))]
        command = ["compose", "--ansi=never", "--progress=plain", *files, "-f", self.file, *arguments]
        name = f"compose {' '.join(arguments[:2])}"
        docker = Docker(reaching() | dict(environ or {}), self.folder)
        return decoded(
            docker.run(*command, given=given, seconds=seconds, name=name, code=code, hint=hint).stdout
        )
