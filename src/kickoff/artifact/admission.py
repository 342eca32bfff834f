"""Admission: an environment that gets only what another one proved takes nothing else, whoever ships it."""

import os
from pathlib import Path
from typing import Any

from kickoff import git, github, naming
from kickoff.artifact import demanded, ledger, promotion, source
from kickoff.artifact.github_ledger import GitHubLedger
from kickoff.artifact.ledger import FolderLedger, Ledger
from kickoff.artifact.promotion import Decision, Standing
from kickoff.artifact.proof import Proof
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import ExitCode, KickoffError
from kickoff.paths import HANDED_OVER
from kickoff.service import Service

CARRIED = "proofs"
"""Folder beside a handed-over repository, with the proof that the runner found: no commit can bring one."""
_INTERVAL = 1.0
"""Seconds between two questions while GitHub does not answer."""
ATTESTED = "KICKOFF_ATTESTATIONS"
"""Variable that demands attestations in a private repository, too: ``true`` or ``false``."""


def ledgers(root: Path, service: Service, environment: str, commit: str = "") -> list[Ledger]:
    """Return where the proofs that ``environment`` demands are kept, the nearest first.

    Args:
        root: The project.
        service: Its service.
        environment: One that gets only what another one proved.
        commit: The commit in question, 40 hexadecimal digits; empty for any.
    """
    where, proved_in = github.context(), service.declared(service.declared(environment).after)
    found: list[Ledger] = []
    # On a machine that lasts the proof is found there; a runner of GitHub's is gone in a moment.
    if not where.hosted:
        found.append(ledger.kept(service.name, proved_in.name))
    if os.environ.get(HANDED_OVER):
        found.append(FolderLedger(git.top(root).parent / CARRIED, proved_in.name, service.name))
    elif where.active and not where.act:
        found.append(
            GitHubLedger(
                where.repository,
                where.default_branch,
                proved_in,
                attested=_attested(),
                names=source.tags(root, commit) if commit else (),
                service=service.name,
                label=naming.label(root, service.name),
                commit_of=lambda sha: _shipped(root, sha),
            )
        )
    return found


def proved_last(root: Path, service: Service, into: DeclaredEnvironment) -> Proof:
    """Return the proof that the environment before ``into`` made last: what a promotion brings there.

    Raises:
        KickoffError: There is none, one that cannot be trusted, or what it proved was taken back since (exit
            code 1); or nobody can be asked (4).
    """
    found = [one for ledger in ledgers(root, service, into.name) if (one := ledger.newest()) is not None]
    if found:
        return max(found, key=lambda one: one.proved)
    where = github.context()
    command = promotion.proving_command(
        "",
        into.after,
        on_github=where.active and not where.act,
        label=naming.label(root, service.name),
    )
    raise KickoffError(
        f"{into.after} has proved nothing, so there is nothing that {into.name} could get",
        code=ExitCode.REJECTED,
        hint=f"prove something: {command}",
    )


def require_proof(
    root: Path, service: Service, environment: str, *, commit: str, digest: str, reason: str
) -> Decision | None:
    """Return by which leave an artefact may be staged: its proof, or the reason to do without.

    It looks once and waits for nobody; ``kickoff proof find`` does.

    Args:
        root: The project.
        service: Its service.
        environment: Where it is to be staged.
        commit: The commit it was built from.
        digest: The artefact.
        reason: Why a person wants to do without a proof; empty for nobody does.

    Returns:
        ``None`` for an environment that takes what nobody proved, and a reason that was given all the same.

    Raises:
        KickoffError: Nobody gave a reason, and there is no proof, one that cannot be trusted, or one of
            another artefact (exit code 1); it is still being made (3); or nobody can be asked for it (4).
    """
    into = service.declared(environment)
    if not into.after:
        return Decision(Standing.BYPASSED, reason=reason) if reason else None
    try:
        decision = _look_up(root, service, environment, commit, "")
        promotion.require(decision, commit, 0, into)
        if decision.proof is not None:
            promotion.compare(digest, decision.proof.digest, into)
            demanded.require(root, decision.proof, into)
    except KickoffError as error:
        if reason:
            return Decision(Standing.BYPASSED, reason=reason, doubts=(str(error), *error.causes))
        if error.code is ExitCode.REJECTED:
            where = github.context()
            on_github = where.active and not where.act
            label = naming.label(root, service.name)
            command = promotion.proving_command(commit, into.after, on_github=on_github, label=label)
            error.hint = f"prove it: {command}"
        raise
    return decision


def record(leave: Decision) -> dict[str, Any]:
    """Return what the journal says of the leave by which an attempt was begun."""
    if leave.proof is None:
        return {"event": "unproven", "reason": leave.reason, "doubts": list(leave.doubts)}
    return {"event": "proved", "by": f"{leave.proof.release} in {leave.proof.environment}"}


def carry(
    root: Path, service: Service, environment: str, commit: str, folder: Path, *, reason: str
) -> list[Path]:
    """Look a proof up here for a host that is about to stage ``commit``; return the file it is to be given.

    Args:
        root: The project.
        service: Its service.
        environment: Where it is to be staged.
        commit: The commit.
        folder: Where the file is written.
        reason: Why a person wants to do without a proof; then a place that cannot be asked is no obstacle.

    Returns:
        Nothing when no proof is needed or known; the host refuses what it has none of.

    Raises:
        KickoffError: A place cannot be asked (exit code 4) or holds a proof that cannot be trusted (1), and
            nobody gave a reason to do without.
    """
    into = service.declared(environment)
    if not into.after:
        return []
    decision = _look_up(root, service, environment, commit, reason)
    if decision.proof is None:
        return []
    return [FolderLedger(folder, into.after, service.name).keep(decision.proof.statement)]


def _look_up(root: Path, service: Service, environment: str, commit: str, reason: str) -> Decision:
    return promotion.look_up(
        ledgers(root, service, environment, commit),
        commit,
        reason=reason,
        limit=0,
        interval=_INTERVAL,
        say=lambda _decision, _left: None,
    )


def _shipped(root: Path, sha: str) -> str:
    """Return the commit that a run on another one ships; that very one, when this clone does not know it."""
    try:
        return source.resolve(root, sha)
    except KickoffError:
        return sha


def _attested() -> bool:
    value = os.environ.get(ATTESTED, "")
    if value not in ("", "true", "false"):
        raise KickoffError(
            f"{ATTESTED} is {value[:80]!r}",
            hint="set the repository's variable ATTESTATIONS to true or false",
        )
    return value == "true"
