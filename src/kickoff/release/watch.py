"""Judging the live release on after it counts as good."""

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict, combine, now
from kickoff.release import alerts, outcome
from kickoff.release.attempt import Rejected, Run
from kickoff.release.rollback import Request, rollback
from kickoff.release.stores.history import Entry
from kickoff.release.stores.lease import TakenBack
from kickoff.release.trial import Trial
from kickoff.release.undo import rollback_failed, serves_again


def watch(run: Run, release: str) -> Evidence:
    """Judge the live release for ``WATCH_TIME`` by the rules of the bake; take it back when it fails.

    It holds no lock: another release may come and a person may go back. Then the watch ends undecided.

    Args:
        run: The command.
        release: The release that must be live; empty for whichever is.

    Raises:
        KickoffError: Another release is live, or became live (exit 3, after somebody's rollback 75); none is
            (4); taking the release back failed (6).
    """
    started, session = now(), run.session
    changes, seconds = run.store.watch(), session.environment.seconds("WATCH_TIME")
    state = changes.latest()
    live = state.release_of(state.live)
    if state.live is None or (release and release != live):
        raise _not_live_any_more(run, release or "a release", live)
    if seconds == 0:
        return outcome.evidence(
            run, "watch", started, Verdict.NOT_APPLICABLE, "WATCH_TIME is 0: the release is not watched",
            release=live, outcome="unwatched",
        )  # fmt: skip

    def still_live() -> None:
        latest = changes.latest()
        if latest.release_of(latest.live) != live:
            raise _not_live_any_more(run, live, latest.release_of(latest.live))

    warm = state.warm if state.warm and session.target.state(state.warm).running else None
    witness = alerts.witness(session, since.at if (since := _became_live(run)) else started)
    trial = Trial(session, state.live, warm, session.target.state(state.live).pid, witness)
    rules = trial.hold(seconds, still_live)
    verdict = combine(rule.verdict for rule in rules)
    ended, code, summary = "watched", verdict.exit_code, f"{live} held for {seconds:g} s"
    if verdict is not Verdict.PASS:
        worst = next(rule for rule in rules if rule.verdict is verdict)
        summary = f"{worst.rule} in the watch: {worst.measured} against a limit of {worst.threshold}"
    log = session.record_of_log("live") if verdict is Verdict.FAIL else []
    if verdict is Verdict.FAIL:
        back = _take_back(run, live, summary)
        ended, code = "rolled-back", ExitCode.ROLLED_BACK
        rules += [serves_again(back.release)] if back.release else back.rules
    evidence = outcome.evidence(
        run, "watch", started, verdict, summary,
        release=live, previous=state.release_of(warm), outcome=ended, exit_code=int(code),
    )  # fmt: skip
    evidence.rules, evidence.log_tail, evidence.series = rules, log, {"traffic": trial.points}
    return evidence


def _take_back(run: Run, live: str, why: str) -> Evidence:
    try:
        return rollback(run, Request(failed=live, reason=why), wait=run.ttl)
    except KickoffError as error:
        raise rollback_failed(run, Rejected(why), str(error)) from error


def _not_live_any_more(run: Run, release: str, live: str) -> KickoffError:
    message = f"{release} is not live: {f'{live} is' if live else 'no release is'}"
    last = _became_live(run)
    if last is not None and (last.action, last.release, last.previous) == ("rollback", live, release):
        by = str(last.data.get("by") or "another run")
        return TakenBack(by, last.at, release, f"{message}, by a rollback of {by}")
    return KickoffError(
        message,
        code=ExitCode.INCONCLUSIVE if live else ExitCode.UNREACHABLE,
        hint="`kickoff history --env NAME` says who replaced it or went back",
    )


def _became_live(run: Run) -> Entry | None:
    """Return the entry of the release that became live last."""
    return next((entry for entry in run.store.history.newest_first() if entry.outcome == "live"), None)
