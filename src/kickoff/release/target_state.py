"""The configuration of what runs live on a target, for the comparison with the environment's file."""

from pathlib import Path

from kickoff import service
from kickoff.environment.drift import Running, fingerprints
from kickoff.errors import ExitCode, KickoffError
from kickoff.paths import state_root
from kickoff.release import recorded, targets
from kickoff.release.folder import DESCRIPTION, read_object
from kickoff.release.stores import open_store


def read(root: Path, name: str, secret: bytes) -> Running:
    """Return what runs live in environment ``name``, as hashes under ``secret``.

    Args:
        root: The project's folder.
        name: The environment.
        secret: The key of the hashes.

    Raises:
        KickoffError: Nothing was ever released here, or a release is on its way (exit code 3); the live
            release does not run, or may not be looked into, or its record is damaged (exit code 4).
    """
    folder = state_root(service.load(root).name, name)
    # A store makes its folder, and looking changes nothing.
    store = open_store(folder) if folder.is_dir() else None
    state = store.state() if store is not None else None
    if store is None or state is None or state.live is None:
        raise KickoffError(
            f"{name} has no live release on this machine, so there is nothing to compare with",
            code=ExitCode.INCONCLUSIVE,
            at=str(folder),
            hint="run this on the target; KICKOFF_STATE_ROOT names its state folder",
        )
    release = state.release_of(state.live)
    record = store.release_folder(release)
    found = recorded.read(record)
    if found is None:
        raise KickoffError(
            f"{release} does not record its environment, so there is nothing to compare with",
            code=ExitCode.INCONCLUSIVE,
            at=str(record),
            hint="an older version made it; the next release does",
        )
    environment, _ = found
    kind = targets.kind_of(environment.text(targets.KEY))
    applied = kind.target(targets.Place(root, name, folder), environment).applied(state.live, record)
    if applied is None:
        raise KickoffError(
            f"{release} is recorded as live, and its process does not run",
            code=ExitCode.UNREACHABLE,
            hint="`kickoff status --env NAME` and `kickoff logs --env NAME` say more",
        )
    if store.state() != state:
        raise KickoffError(
            f"a release of {name} is on its way",
            code=ExitCode.INCONCLUSIVE,
            hint="run this again when it is over",
        )
    return Running(
        release=release,
        environment_hash=str(read_object(record / DESCRIPTION, "facts").get("environment", "")),
        variables={"KICKOFF_DATA_DIR": str(folder / "data")},
        places={place: fingerprints(values, secret) for place, values in applied.places.items()},
        added=applied.added,
        proxy=fingerprints(applied.proxy, secret),
    )
