"""Asking a release before it is trusted: by its own address, and by the public one. Changes nothing."""

import time

import httpx

from kickoff.evidence import RuleResult, Verdict
from kickoff.probing import smoke
from kickoff.probing.http import open_client
from kickoff.probing.readiness import Readiness, wait_live, wait_ready
from kickoff.release import diagnosis
from kickoff.release.attempt import Attempt, Rejected
from kickoff.release.diagnosis import Diagnosis, Symptoms
from kickoff.release.model import Colour
from kickoff.release.route import HEALTH_SECONDS
from kickoff.release.session import Session
from kickoff.service import Service

VERIFICATIONS = 10
MOST_SILENT = 3
AGAIN = "it was started again"
# The candidate's own address never belonged to another release, so waiting would not change its name.
WRONG_ANSWERS = 10


def ready(attempt: Attempt, release: str, colour: Colour) -> None:
    """Wait until what runs in ``colour`` is ready, as a step of the attempt.

    Raises:
        Rejected: It did not get ready.
    """
    with attempt.step("ready"):
        await_ready(attempt.session, release, colour)


def not_ready(session: Session, release: str, colour: Colour) -> str:
    """Return why what runs in ``colour`` does not get ready; empty when it does."""
    try:
        await_ready(session, release, colour)
    except Rejected as error:
        return str(error)
    return ""


def await_ready(session: Session, release: str, colour: Colour) -> None:
    """Wait until ``colour`` is ready, answers as ``release``, and would be found healthy by the proxy.

    Raises:
        Rejected: It does not, within ``READY_TIMEOUT``.
    """
    service = session.service_of(release)
    with session.target.reach(str(colour)) as endpoint:
        pids: set[int] = set()

        def dead() -> str:
            process = session.target.state(colour)
            if process.running:
                pids.add(process.pid)
            if process.running and len(pids) > 1:
                how = session.target.last_end(str(colour))
                return f"the process ended ({f'{how}; {AGAIN}' if how else AGAIN})"
            if not (process.running or "STARTING" in process.detail):
                return f"the process ended ({process.detail})"
            return ""

        rule = "candidate gets ready"
        found = wait_ready(
            endpoint.url,
            {**endpoint.headers, **session.check_headers()},
            service.ready_path,
            service.release_header,
            release,
            session.environment.seconds("READY_TIMEOUT"),
            dead,
            most_wrong=WRONG_ANSWERS,
            instances=_instances(session, colour),
        )
        log: list[str] = []
        if found.ok:
            # Where the proxy finds it ill it would serve nobody, so it is asked before any traffic moves.
            rule = "the proxy finds the candidate healthy"
            found = wait_live(endpoint.url, endpoint.headers, service.live_path, HEALTH_SECONDS, dead)
            advice = diagnosis.of_live(found, service)
        else:
            log = session.record_of_log(str(colour))
            advice = _diagnosis(session, service, colour, found, log)
    if not found.ok:
        reason = f"{found.reason}; {advice.cause}" if advice.cause else found.reason
        raise Rejected(
            f"{release} on {colour} did not get ready: {reason}",
            rules=[RuleResult("stage.ready", rule, Verdict.FAIL, "not ready", "ready", 1, reason)],
            log_tail=log or session.record_of_log(str(colour)),
            at=advice.at,
            hint=advice.hint,
        )


def _instances(session: Session, colour: Colour) -> int:
    slot = session.target.slot(colour)
    return len(session.target.servers(colour, slot)) if slot is not None else 1


def _diagnosis(
    session: Session, service: Service, colour: Colour, found: Readiness, log: list[str]
) -> Diagnosis:
    if unsent := session.unsent_headers(found.reason):
        return Diagnosis("", session.service.at("check_headers"), unsent)
    slot = session.target.slot(colour)
    ports = session.target.listening(colour) if slot is not None and not found.ended else None
    seen = Symptoms(found, slot.port if slot is not None else 0, ports, log)
    return diagnosis.of(seen, service, session.environment.name)


def verify(session: Session, release: str) -> None:
    """Ask the public address as users do; every answer must name ``release``, or be one if none can.

    Raises:
        Rejected: An answer does not.
    """
    service = session.service_of(release)
    header, path = service.release_header, service.live_path

    def named(answer: httpx.Response) -> str:
        if header:
            return str(answer.headers.get(header, f"{answer.status_code} without {header}"))
        return release if answer.status_code < 400 else str(answer.status_code)

    answers: list[str] = []
    silent = 0
    with (
        session.target.reach("live") as endpoint,
        open_client(endpoint.url, session.check_headers(), seconds=5) as client,
    ):
        # Who hangs is not asked ten times: users wait meanwhile.
        while len(answers) < VERIFICATIONS and silent < MOST_SILENT:
            try:
                answers.append(named(client.get(path)))
            except httpx.HTTPError as error:
                answers.append(type(error).__name__)
                silent += 1
    wrong = [answer for answer in answers if answer != release]
    if wrong:
        rule = RuleResult(
            "release.public-address",
            "the public address answers with the release",
            Verdict.FAIL,
            f"{len(wrong)} of {len(answers)} wrong",
            "0 wrong",
            len(answers),
            f"expected {release}, got {wrong[0]}",
        )
        raise Rejected(f"the public address answers {wrong[0]}, not {release}", rules=[rule])


def verify_soon(session: Session, release: str) -> None:
    """Verify until the health check of the proxy has had the time to see that the release is back.

    Raises:
        Rejected: The public address does not answer with the release by then.
    """
    deadline = time.monotonic() + 2 * HEALTH_SECONDS
    while True:
        try:
            return verify(session, release)
        except Rejected:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def live_checks(session: Session, verdict: Verdict) -> dict[str, RuleResult]:
    """Return the smoke checks of the live release that end with ``verdict``, by name.

    A release that does not answer the first of them in time is asked no more.
    """
    live = session.expected_release("live")
    if not live:
        return {}
    with session.reach("live-direct") as endpoint:
        headers = {**endpoint.headers, **session.check_headers()}
        rules = smoke.run(
            endpoint.url, headers, session.service_of(live), live, seconds=HEALTH_SECONDS, patient=False
        )
    return {rule.rule: rule for rule in rules if rule.verdict is verdict}
