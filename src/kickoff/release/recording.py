"""Recording who is live, and keeping the releases that are worth it."""

import shutil
from itertools import islice

from kickoff.errors import KickoffError
from kickoff.release import rollback_targets, traffic
from kickoff.release.attempt import Attempt, Run
from kickoff.release.folder import describe
from kickoff.release.model import Colour, State


def record(
    attempt: Attempt, action: str, release: str, colour: Colour, before: State, **details: str
) -> None:
    """Make the candidate the recorded live release, keep the old one warm, and finish the attempt.

    Args:
        attempt: The attempt.
        action: ``release`` or ``rollback``.
        release: The release.
        colour: Where it runs.
        before: The state to which the attempt would have gone back.
        details: Further data for the history.
    """
    session, store = attempt.session, attempt.store
    old = before.live if before.live is not colour else before.warm
    with attempt.step("record"):
        slots = dict(store.state().slots)
        # What fails most requests is nothing to fall back to, and nothing to keep running.
        spent = old if old in slots and session.answers(old).down else None
        with attempt.fenced() as transaction:
            if spent is not None:
                session.target.stop(spent, attempt.lease.token)
                del slots[spent]
            transaction.save(State(live=colour, warm=old if old in slots else None, slots=slots))
            last = next(store.history.newest_first(), None)
            if last is None or (last.data.get("attempt"), last.outcome) != (attempt.id, "live"):
                transaction.record(
                    action, "live", release, before.release_of(before.live),
                    attempt=attempt.id, **attempt.run.caller, **checks(attempt), **details,
                    **origin(attempt.run, release), **bypass(attempt),
                )  # fmt: skip
        traffic.route(attempt, {colour: 100}, store.state())
        prune(attempt)
    attempt.finish("released" if action == "release" else "rolled back")


def prune(attempt: Attempt, spare: str = "") -> None:
    """Remove the folders of all releases but those that run and ``KEEP_RELEASES`` that were live.

    A refused candidate is not kept: its evidence and its log stay, and it pushes no good release out.
    What cannot be removed is told and tried again by the next command: it must not cost a release that
    serves.

    Args:
        attempt: The attempt.
        spare: A release that is kept once more: its container still stands.
    """
    store, session = attempt.store, attempt.session
    running = {slot.release for slot in store.state().slots.values()}
    wanted = rollback_targets.worth_keeping(store.history.newest_first())
    folder_of = store.release_folder
    # One that is gone takes no other's place.
    others = (release for release in wanted if release not in running and folder_of(release).is_dir())
    kept = running.union(islice(others, session.environment.integer("KEEP_RELEASES")), {spare})
    with attempt.fenced() as transaction:
        transaction.forget_releases(kept)
        for folder in store.release_folder("").iterdir():
            if folder.name in kept:
                continue
            try:
                session.target.discard(folder)
                shutil.rmtree(folder)
            except (KickoffError, OSError) as error:
                attempt.run.log(f"{folder.name} could not be removed: {error}", "record")


def origin(run: Run, release: str) -> dict[str, str]:
    """Return where a release comes from, for the history: it outlives the release's folder."""
    known = describe(run.store.release_folder(release)) if release else {}
    return {key: known[key] for key in ("commit", "committed", "subject") if known.get(key)}


def checks(attempt: Attempt) -> dict[str, dict[str, str]]:
    """Return the verdicts of the attempt's checks, for the history; empty where none was asked for one."""
    found = attempt.progress.checks
    return {"checks": dict(found)} if found else {}


def bypass(attempt: Attempt) -> dict[str, str]:
    """Return why the attempt ships without a proof, into a freeze or slower than live, for the history."""
    progress = attempt.progress
    reasons = {
        "unproven_reason": progress.unproven_reason,
        "freeze_reason": progress.freeze_reason,
        "perf_allow_once": progress.perf_allow_once,
    }
    return {name: reason for name, reason in reasons.items() if reason}
