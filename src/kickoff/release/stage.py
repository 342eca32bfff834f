"""Bringing a candidate up on the idle colour, without public traffic."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickoff import freeze, judging
from kickoff.artifact import admission
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict, now
from kickoff.release import assembly, baseline, colours, judged, outcome, readiness, strategy
from kickoff.release.attempt import Attempt, Rejected, Run
from kickoff.release.folder import describe, environment_of
from kickoff.release.model import Colour, Facts, Release, State
from kickoff.release.preview import KeyChanges, Preview
from kickoff.release.progress import UNCHANGED
from kickoff.release.recovery import begin
from kickoff.release.undo import undo


@dataclass(frozen=True, slots=True)
class Candidate:
    """The artefact to be shipped, and its commit.

    Attributes:
        digest: The artefact, ``sha256:<hex>``.
        directory: Folder that holds the bundle, or the record of the image.
        commit: The commit the artefact was built from.
        force: Ship even when exactly this release is live.
        unproven_reason: Why this is shipped without a proof; recorded in the history.
        freeze_reason: Why this is shipped in spite of a freeze; recorded in the history.
        perf_allow_once: By how much it may be slower than live, and why; recorded in the history.
    """

    digest: str
    directory: Path
    commit: str
    force: bool = False
    unproven_reason: str = ""
    freeze_reason: str = ""
    perf_allow_once: str = ""


def stage(run: Run, candidate: Candidate, wait: float) -> Evidence:
    """Bring a candidate up on the idle colour, without public traffic.

    Args:
        run: The command.
        candidate: What is to be shipped.
        wait: Seconds to wait for another run's lock.

    Returns:
        Evidence ``stage``; fact ``changed`` is false when there was nothing to ship.

    Raises:
        KickoffError: The lock is held (75), the target is unreachable (4), the input is wrong (2), or the
            environment is frozen or takes only what was proved, and this was not (1).
    """
    started, session = now(), run.session
    notes = _admit(run, candidate)
    artifact = session.target.find(candidate.directory, candidate.digest)
    rules = judged.by(session, run.root)
    session.target.require_room()
    require_known_state(run)
    attempt = begin(run, "release", wait)
    try:
        for note in notes:
            attempt.note(**note)
        with attempt.step("prepare"):
            session.target.prepare()
        folder, release, sent = _fetch(attempt, artifact, candidate)
        lost = _lost_live(attempt)
        state = run.store.state()
        again = candidate.force or judged.by_less(folder, rules)
        promoted = None if again else _promoted(run, release.id, state)
        if promoted:
            attempt.finish(UNCHANGED)
            return outcome.evidence(
                run, "stage", started, Verdict.PASS, f"{release.id} is live and healthy already",
                attempt=attempt.id, release=release.id, changed=False, live_release=release.id,
                promoted=promoted, judged_by=judged.fact(session, judged.of(folder)),
                **sent, **({"live_down": lost} if lost else {}),
            )  # fmt: skip
        plan(attempt, release.id, state.idle, state, judged_by=judging.record(rules))
        if session.service.pre_deploy:
            with attempt.step("hook"):
                _hook(attempt, folder)
        colours.start(attempt, folder, state.idle)
        readiness.ready(attempt, release.id, state.idle)
    except KickoffError as error:
        return undo(attempt, "stage", started, error)
    attempt.renew(working=False)
    with session.reach("candidate") as endpoint:
        return outcome.evidence(
            run, "stage", started, Verdict.PASS, f"{release.id} is ready on {state.idle}, without traffic",
            attempt=attempt.id, release=release.id, changed=True, candidate_url=endpoint.url,
            live_release=state.release_of(state.live), facts=release.to_document()["facts"],
            judged_by=judged.fact(session, rules), **sent, **({"live_down": lost} if lost else {}),
        )  # fmt: skip


def _admit(run: Run, candidate: Candidate) -> list[dict[str, Any]]:
    """Return what the journal says of the leave by which a candidate may come into its environment.

    Raises:
        KickoffError: It is frozen (exit code 1), or takes only what was proved, and this was not.
    """
    name, service = run.session.environment.name, run.session.service
    overruled = freeze.require_open(name, service.declared(name).freezes, candidate.freeze_reason)
    leave = admission.require_proof(
        run.root, service, name,
        commit=candidate.commit, digest=candidate.digest, reason=candidate.unproven_reason,
    )  # fmt: skip
    notes = [admission.record(leave)] if leave is not None else []
    if overruled is not None:
        notes.append({"event": "frozen", "freeze": overruled.text, "reason": candidate.freeze_reason})
    if candidate.perf_allow_once:
        notes.append({"event": "cost allowed", "reason": candidate.perf_allow_once})
    return notes


def preview(run: Run, candidate: Candidate) -> Preview:
    """Return what staging and promoting a candidate would change; changes nothing that runs.

    The release is assembled in a folder of its own, which is removed again: only that tells its facts.
    """
    session, store, service = run.session, run.store, run.session.service
    artifact = session.target.find(candidate.directory, candidate.digest)
    session.target.require_room()
    with tempfile.TemporaryDirectory(prefix=".preview-", dir=store.root) as scratch:
        folder = Path(scratch) / "release"
        release = assembly.assemble(
            session, run.root, folder, artifact=artifact, digest=candidate.digest, commit=candidate.commit
        )
        after = environment_of(folder)
    state = store.state()
    live = state.release_of(state.live)
    live_folder = store.release_folder(live)
    known = describe(live_folder) if live else {}
    return Preview(
        release=release.id,
        live=live,
        before=Facts(**known["facts"]) if known else None,
        after=release.facts,
        keys=KeyChanges.between(environment_of(live_folder) if live else {}, after),
        judged=judged.beside_live(session, judged.by(session, run.root)),
        candidate=str(state.idle),
        serving=str(state.live or ""),
        gives_way=state.release_of(state.warm),
        command=service.web_command,
        hook=service.pre_deploy,
        checks=service.checks_for(session.environment.name),
        no_load=service.no_load,
        steps=strategy.steps(session.environment, at_once=state.live is None),
        frozen=freeze.notice(service.declared(session.environment.name).freezes),
    )


def plan(
    attempt: Attempt, release: str, colour: Colour, state: State, *, warm_start: bool = False,
    judged_by: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Record what the attempt is about, before anything of it runs."""
    attempt.note(
        event="planned", release=release, colour=str(colour), previous=state.release_of(state.live),
        warm_start=warm_start, judged_by=judged_by or {},
    )  # fmt: skip


def require_known_state(run: Run) -> None:
    """Refuse to take what runs for nothing: a lost state folder is not a first release.

    Raises:
        KickoffError: A colour runs, and no record says why (exit 4).
    """
    if run.store.state().slots or run.store.open_attempt() is not None:
        return
    runs = [colour for colour in Colour if run.session.target.state(colour).running]
    if runs:
        raise KickoffError(
            f"{runs[0]} runs, and the state folder knows nothing of it",
            code=ExitCode.UNREACHABLE,
            at=str(run.store.root),
            hint="KICKOFF_STATE_ROOT may name another folder than it did; if not: "
            f"`kickoff resume --rebuild-state --env {run.session.environment.name}`",
        )


def _fetch(attempt: Attempt, artifact: Path, candidate: Candidate) -> tuple[Path, Release, dict[str, Any]]:
    """Assemble under a temporary name, then name the folder by the facts; say what had to be sent for it."""
    store = attempt.store
    with attempt.step("fetch"):
        folder = store.release_folder(f".new-{attempt.id}")
        release = assembly.assemble(
            attempt.session, attempt.run.root, folder,
            artifact=artifact, digest=candidate.digest, commit=candidate.commit,
        )  # fmt: skip
        sent = dict(describe(folder)["arrival"])
        final = store.release_folder(release.id)
        with attempt.fenced() as transaction:
            # What runs is running from the folder it has; any other one may have been edited by hand.
            if release.id in {slot.release for slot in store.state().slots.values()}:
                shutil.rmtree(folder)
            else:
                shutil.rmtree(final, ignore_errors=True)
                folder.rename(final)
                transaction.keep_release(final)
    if sent:
        attempt.note(event="sent", sent=sent["sent"])
    return final, release, sent


def _lost_live(attempt: Attempt) -> dict[str, Any] | None:
    """Bring the live release back before a candidate is tried; return what was lost, if anything was.

    Users are served meanwhile when it comes up. When it does not, the candidate is the cure, and must not
    depend on it.
    """
    run, session, state = attempt.run, attempt.session, attempt.store.state()
    if state.live is None:
        return None
    process, down = session.target.state(state.live), baseline.down(run, state)
    routed = session.proxy.weights() == {state.live: 100}
    if process.running and routed and down is None:
        return None
    since = baseline.stopped_at(run)
    if process.running and routed:  # it may only be coming up still, as after a reboot
        problem = readiness.not_ready(session, state.release_of(state.live), state.live)
    else:
        problem = colours.revive(attempt, state)
    reason = down["reason"] if down else "the route was lost"
    release = state.release_of(state.live)
    lost = {
        "release": release,
        "since": since,
        "reason": f"{reason}; started again, it did not serve: {problem}" if problem else reason,
        "started_again": not problem and baseline.down(run, run.store.state()) is None,
    }
    if not lost["started_again"]:
        attempt.note(event="live down", reason=lost["reason"])
    elif not process.running:
        with attempt.fenced() as transaction:
            transaction.record("start", "recorded", release, "", attempt=attempt.id, **run.caller)
    return lost


def _promoted(run: Run, release: str, state: State) -> dict[str, str] | None:
    """Return the promotion by which ``release`` became live, when it is well; ``None`` otherwise.

    A release that no judge passed is shipped again, however healthy it looks.
    """
    if state.release_of(state.live) != release or run.session.unwell():
        return None
    entries = run.store.history.newest_first()
    entry = next((e for e in entries if (e.action, e.release) == ("release", release)), None)
    if entry is None:
        return None
    attempt = str(entry.data.get("attempt", ""))
    return {"attempt": attempt, "at": entry.at, "verdict": "pass"} if _baked(run, entry.data) else None


def _baked(run: Run, data: dict[str, Any]) -> bool:
    """True when the bake of a past attempt passed; older versions kept that in its records alone."""
    if data.get("baked_at"):
        return True
    try:
        return bool(run.store.attempt(str(data.get("attempt", ""))).baked_at)
    except KickoffError as error:
        if error.code is not ExitCode.BAD_INPUT:
            raise
        return False  # its records are gone, so nothing says so


def _hook(attempt: Attempt, folder: Path) -> None:
    """Run the pre-deploy hook, then make sure that the live release still does what it did before.

    Migrations only expand: the live release has to work with the new schema, now and after a rollback.
    """
    session = attempt.session
    passed_before = readiness.live_checks(session, Verdict.PASS)
    session.target.run_hook(folder, session.service.pre_deploy, session.environment.seconds("HOOK_TIMEOUT"))
    if not passed_before:
        return  # live is down, or nothing is live: there is nothing that the hook could have broken
    # A check that failed once is asked again: one lost answer is not a broken schema.
    if passed_before.keys() & readiness.live_checks(session, Verdict.FAIL).keys():
        failed = readiness.live_checks(session, Verdict.FAIL)
        broken = [rule for name, rule in failed.items() if name in passed_before]
        if broken:
            raise Rejected(
                f"the pre-deploy hook broke the live release: {broken[0].reason}",
                rules=broken,
                log_tail=session.record_of_log("live"),
                hint="undo what the hook did by hand, now: users are served by a release that it broke",
            )
