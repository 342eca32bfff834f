"""The part of a secret's rotation that is about releases: who still uses the former value.

A release has the values that it was made with. The former one is valid while the release that is live has it;
then every kept release is given the new one, so that a way back does not lead to a value that nobody takes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from kickoff import stack
from kickoff.environment import schema
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.release import colours
from kickoff.release.attempt import Attempt, Run
from kickoff.release.folder import ENVIRONMENT, environment_of
from kickoff.release.recovery import begin
from kickoff.release.session import Session

_AS_FILES: Final = "secrets"
"""Subfolder of a release with the files that its containers mount; written anew by each start."""


class Next(StrEnum):
    """The next thing to be done in a rotation."""

    BEGIN = "begin"
    RELEASE = "release"
    GO_ON = "go on"


@dataclass(frozen=True, slots=True)
class Standing:
    """A rotation, as it stands.

    Attributes:
        secret: Name of the secret.
        under_way: It was begun, and has not ended.
        stale: The release that is live, when it has other values than a new one would get.
        callers: Callers of the service are to be told of the new value before the rotation goes on.
    """

    secret: str
    under_way: bool
    stale: str
    callers: bool

    @property
    def next(self) -> Next:
        """The next thing to be done."""
        if self.stale:
            return Next.RELEASE
        return Next.GO_ON if self.under_way else Next.BEGIN


def standing(session: Session, rotation: stack.Rotation) -> Standing:
    """Return how a rotation stands."""
    live = session.expected_release("live")
    stale = live if live and _differing(session, rotation, live) else ""
    begun = rotation.under_way is not None
    return Standing(rotation.secret, begun, stale, begun and rotation.needs_callers)


def rotate(run: Run, rotation: stack.Rotation) -> Standing:
    """Take a rotation as far as it goes now; doing it again goes on.

    Returns:
        How it stands then: ended, or waiting for a release.

    Raises:
        KickoffError: A release is under way (exit 75), or a step fails (4).
    """
    attempt = begin(run, "rotate", 0)
    try:
        found = _rotate(attempt, rotation)
    except KickoffError:
        attempt.finish("not rotated")
        raise
    attempt.finish("rotated")
    return found


def _rotate(attempt: Attempt, rotation: stack.Rotation) -> Standing:
    run, session = attempt.run, attempt.session
    found = standing(session, rotation)
    if found.next is Next.RELEASE and not found.under_way:
        return found  # what was changed before is not released yet
    rotation.begin()
    while True:
        rotation.allow_both(run.tell)
        found = standing(session, rotation)
        if found.stale:
            return found
        if not rotation.hand_on():
            break
    _renew(attempt, rotation)
    rotation.withdraw(run.tell)
    live = session.expected_release("live")
    with attempt.fenced() as transaction:
        why = f"{rotation.secret} has a new value, and the former one is refused"
        transaction.record("rotate", "recorded", live, "", attempt=attempt.id, reason=why, **run.caller)
    return standing(session, rotation)


def _renew(attempt: Attempt, rotation: stack.Rotation) -> None:
    """Give every kept release the new value; one that is warm and has the former is stopped."""
    session, store = attempt.session, attempt.store
    state = store.state()
    live, warm = state.release_of(state.live), state.release_of(state.warm)
    if warm and _differing(session, rotation, warm):
        colours.end_warm(attempt, state)
    for folder in store.release_folder("").iterdir():
        if folder.name != live and (changed := _differing(session, rotation, folder.name)):
            with attempt.fenced():
                _replace(folder, changed)


def _differing(session: Session, rotation: stack.Rotation, release: str) -> dict[str, str]:
    """Return what a release would be given now and has not, by variable."""
    has = environment_of(session.store.release_folder(release))
    known = has.keys() | schema.read(rotation.stack.root).secrets
    return {
        key: value for key, value in rotation.values.items() if key in known and has.get(key, "") != value
    }


def _replace(folder: Path, changed: Mapping[str, str]) -> None:
    values = environment_of(folder)
    mine = {key: value for key, value in changed.items() if key in values}
    if mine:
        write_atomic(folder / ENVIRONMENT, json.dumps(values | mine), mode=0o600)
    for key in changed:
        (folder / _AS_FILES / key.lower()).unlink(missing_ok=True)
