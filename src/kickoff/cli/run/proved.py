"""What the environment before proved last: the commit of a promotion that names none."""

from pathlib import Path

from kickoff import environments, github
from kickoff.artifact import admission, proof
from kickoff.artifact.proof import Proof
from kickoff.cli import output
from kickoff.environment import schema
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.paths import state_root
from kickoff.plan import PROVED
from kickoff.release import rollback_targets
from kickoff.release.session import open_recorded
from kickoff.release.stores import StateStore
from kickoff.service import Service


def revision(root: Path, described: Service, environment: str, wanted: str) -> str:
    """Return the revision that is wanted; in the place of ``proved`` the commit that this stands for.

    Args:
        root: The project.
        described: Its service.
        environment: Where it is to go.
        wanted: Tag, commit, ``proved``, or empty.

    Raises:
        KickoffError: The environment demands no proof (exit 2), or :func:`last` found none that counts.
    """
    if wanted != PROVED:
        return wanted
    into = environments.require(described.environments, environment)
    if not into.after:
        raise KickoffError(
            f"{into.name} comes after no environment, so nothing is proved for it",
            at=into.at,
            hint="name a tag, a commit or a release id",
        )
    return last(root, described, into).commit


def last(root: Path, described: Service, into: DeclaredEnvironment) -> Proof:
    """Return the proof that the environment before ``into`` made last.

    Raises:
        KickoffError: See :func:`kickoff.artifact.admission.proved_last`.
    """
    found = admission.proved_last(root, described, into)
    store = None if github.context().hosted else recorded_here(root, described.name, found.environment)
    if store is not None:
        _refuse_taken_back(store, found)
    when = f"at {found.proved[:19]}"
    output.say(f"  {found.environment} proved {found.commit[:7]} last, as {found.release} {when}")
    return found


def recorded_here(root: Path, service: str, environment: str) -> StateStore | None:
    """Return the state of an environment that this machine keeps; ``None`` for any other."""
    folder, file = state_root(service, environment), root / schema.FOLDER / f"{environment}.env"
    if not folder.is_dir() or (file.is_file() and b"DEPLOY_HOST" in file.read_bytes()):
        return None
    return open_recorded(environment, root).store


def _refuse_taken_back(store: StateStore, found: Proof) -> None:
    entries, release = store.history.entries(), found.release
    lived = any(entry.outcome == "live" and entry.release == release for entry in entries)
    if lived and release not in rollback_targets.good(reversed(entries)):
        raise proof.taken_back(found, f"{found.release}: kickoff history --env {found.environment}")
