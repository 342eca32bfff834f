"""The inputs of act: the event, the variables, the secrets, the command line and a minimal environment."""

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickoff import foreign
from kickoff.errors import KickoffError
from kickoff.paths import user
from kickoff.pipeline.repository import Head

RUNNER = "ubuntu-24.04"
# What names the image's place and the state's; everything else of the caller stays outside.
_PASSED = foreign.PASSED - {"CI", "PATH"} | {"IMAGE_REPOSITORY", "XDG_STATE_HOME"}
_LOCALES = {"LANG", "LC_ALL", "LC_CTYPE"}
_ASCII_OR_UTF8 = re.compile(r"C|POSIX|.*\.utf-?8(@.*)?", re.IGNORECASE)
_PATHS = ("KICKOFF_STATE_ROOT", "XDG_STATE_HOME", "XDG_CACHE_HOME")


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of one run.

    Attributes:
        run: ``.kickoff/runs/<number>``.
        artifacts: Bundles by digest, shared by all runs so that the same commit is built once.
        verdicts: Records of the quality gate, shared likewise.
    """

    run: Path
    artifacts: Path
    verdicts: Path

    @property
    def evidence(self) -> Path:
        """The stages' documents."""
        return self.run / "evidence"

    @property
    def report(self) -> Path:
        """The page, the summary and the outcome."""
        return self.run / "report"

    @property
    def log(self) -> Path:
        """Every record of act, masked."""
        return self.run / "raw.log"

    @classmethod
    def create(cls, root: Path) -> "Folders":
        """Make the folder of the next run of the project at ``root``, readable by its owner alone."""
        runs = root / ".kickoff" / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        # A run may come before the project ignores the folder, and must not end up in the next commit.
        (root / ".kickoff" / ".gitignore").write_text("*\n", encoding="utf-8")
        number = max((int(entry.name) for entry in runs.iterdir() if entry.name.isdecimal()), default=0) + 1
        while True:
            try:
                (runs / str(number)).mkdir(mode=0o700)
                break
            except FileExistsError:  # another run was faster
                number += 1
        shared = root / ".kickoff"
        folders = cls(runs / str(number), shared / "artifacts", shared / "verdicts")
        for folder in (folders.evidence, folders.report, folders.artifacts, folders.verdicts):
            folder.mkdir(exist_ok=True)
        return folders


def event_document(
    event: str, head: Head, *, environment: str, ref: str = "", inputs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the event as GitHub would send it, as far as the workflow can see it.

    Args:
        event: ``workflow_dispatch`` or ``push``.
        head: The commit that ships.
        environment: Where a dispatch deploys.
        ref: Full ref; the branch of ``head`` by default.
        inputs: Further inputs of a dispatch; empty ones are left out.

    Raises:
        KickoffError: The event is none that starts ``cd.yml``.
    """
    ref = ref or f"refs/heads/{head.branch or head.default_branch}"
    document: dict[str, Any] = {
        "ref": ref,
        "sha": head.commit,
        "repository": {"default_branch": head.default_branch},
        "sender": {"login": user()},
    }
    if event == "workflow_dispatch":
        given = {name: value for name, value in (inputs or {}).items() if value}
        return document | {"inputs": {"environment": environment, **given}}
    if event == "push":
        return document | {"after": head.commit, "head_commit": {"id": head.commit}}
    raise KickoffError(f"{event!r} does not start cd.yml", hint="use workflow_dispatch or push")


def variables(folders: Folders, *, run: str, venv: Path, caller: Mapping[str, str]) -> dict[str, str]:
    """Return what every step sees: where this run keeps its things, and the caller's ``KICKOFF_*``."""
    chosen = {name: value for name, value in caller.items() if name.startswith("KICKOFF_") and value}
    chosen |= {name: caller[name] for name in ("XDG_STATE_HOME",) if caller.get(name)}
    for name in _PATHS:
        if name in chosen:  # each job has a working folder of its own
            chosen[name] = str(Path(chosen[name]).absolute())
    return chosen | {
        "KICKOFF_ARTIFACT_DIR": str(folders.artifacts),
        "KICKOFF_EVIDENCE_DIR": str(folders.evidence),
        "KICKOFF_REPORT_DIR": str(folders.report),
        "KICKOFF_REUSE_DIR": str(folders.verdicts),
        "KICKOFF_RUN_ID": run,
        "KICKOFF_VENV": str(venv),
    }


def environment(venv: Path, caller: Mapping[str, str], named: Collection[str] = ()) -> dict[str, str]:
    """Return the environment act is started with: act hands all of it to every step.

    Args:
        venv: The pipeline's own programs, which come first.
        caller: The caller's environment.
        named: Variables of the caller that the service's commands are given.
    """
    kept = {
        name: value
        for name, value in caller.items()
        if value and (name in _PASSED or name in named or name.startswith(foreign.INSTALLERS))
    }
    kept.setdefault("LANG", "C.UTF-8")
    # act reads what steps print as UTF-8, whatever the terminal of the caller takes.
    kept |= {name: "C.UTF-8" for name in _LOCALES & kept.keys() if not _ASCII_OR_UTF8.fullmatch(kept[name])}
    for name in _PATHS:
        if name in kept:
            kept[name] = str(Path(kept[name]).absolute())
    return kept | {"PATH": os.pathsep.join([str(venv / "bin"), caller.get("PATH") or os.defpath])}


def command(act: Path, event: str, folders: Folders, *, actor: str, work: Path, workflow: str) -> list[str]:
    """Return act's command line. Every file it would look for by itself is named, so none is found."""
    given = [str(act), event, "--json", "--workflows", workflow, "--actor", actor]
    given += ["--platform", f"{RUNNER}=-self-hosted", "--pull=false", "--action-offline-mode"]
    given += ["--eventpath", str(folders.run / "event.json")]
    for kind in ("env", "secret", "var", "input"):
        given += [f"--{kind}-file", str(folders.run / f"{kind}.yml")]
    given += ["--cache-server-addr", "127.0.0.1", "--cache-server-port", "0"]
    given += ["--cache-server-path", str(work / "cache"), "--action-cache-path", str(work / "work")]
    return [*given, "--artifact-server-addr", "127.0.0.1"]


def write(
    folders: Folders,
    *,
    event: Mapping[str, Any],
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
) -> None:
    """Write the event and the files of variables and secrets, readable by their owner alone.

    act reads ``*.yml`` as YAML, of which JSON is a part: unlike dotenv, any value survives it unchanged.
    """
    documents: dict[str, Mapping[str, Any]] = {
        "event.json": event,
        "env.yml": variables,
        "secret.yml": secrets,
        "var.yml": {},
        "input.yml": {},
    }
    for name, document in documents.items():
        descriptor = os.open(folders.run / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
