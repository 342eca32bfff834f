"""A release folder: the bundle, its environment and its description, named by the four facts."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kickoff.artifact import source
from kickoff.evidence import write_atomic
from kickoff.release import recorded
from kickoff.release.folder import DESCRIPTION, ENVIRONMENT
from kickoff.release.model import Facts, Release
from kickoff.release.session import Session
from kickoff.service import described_in


def assemble(
    session: Session, root: Path, folder: Path, *, artifact: Path, digest: str, commit: str
) -> Release:
    """Make ``folder`` a release that can be started, replacing what is there, and return its facts.

    Args:
        session: The environment it is for.
        root: The project whose configuration is read.
        folder: Where it is built, in the target's state folder.
        artifact: What the target found for the digest.
        digest: Its digest.
        commit: The commit it was built from.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    sent = session.target.unpack(artifact, digest, folder)
    service, environment = session.service, session.environment
    document: dict[str, Any] = {
        "release": "",
        "command": list(service.web_command),
        "command_at": service.command_at,
        "path": os.environ.get("PATH", ""),
        "passed": list(service.environment),
        "workers": {name: asdict(worker) for name, worker in service.workers.items()},
        "requirements": service.requirements,
        "commit": commit,
        "committed": source.committed_at(root, commit),
        "subject": source.subject_of(root, commit)[0],
        "arrival": dict(sent),
    }
    # The target installs and asks for the schema revision by this description, so it is written twice.
    write_atomic(folder / DESCRIPTION, json.dumps(document, indent=1))
    values = environment.service_values() | {"KICKOFF_RELEASE": ""}
    write_atomic(folder / ENVIRONMENT, json.dumps(values), mode=0o600)
    recorded.write(folder, environment, root / described_in(root))
    session.target.install(folder)
    schema = schema_revision(session, folder, service.schema_revision)
    release = Release(commit, Facts(digest, environment.hash, session.stack_hash, schema))
    document |= {"release": release.id, "facts": release.to_document()["facts"]}
    write_atomic(folder / DESCRIPTION, json.dumps(document, indent=1))
    named = values | {"KICKOFF_RELEASE": release.id}
    write_atomic(folder / ENVIRONMENT, json.dumps(named), mode=0o600)
    return release


def schema_revision(session: Session, folder: Path, command: tuple[str, ...]) -> str:
    """Return what ``command`` of the release names as a schema revision; empty without a command.

    Raises:
        KickoffError: The command failed or ran out of time.
    """
    if not command:
        return ""
    output = session.target.run_hook(folder, command, session.environment.seconds("HOOK_TIMEOUT"))
    return next(iter(output.split()), "")
