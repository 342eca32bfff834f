"""Smoke checks of a release, and the wait until it is ready."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import httpx

from kickoff.checks.http import SECONDS, CheckResult, open_client, perform
from kickoff.evidence import RuleResult, Verdict
from kickoff.service import HttpCheck, Service

RELEASE_RULE = "answers come from the expected release"
_POLL_SECONDS = 0.05
_REQUEST_SECONDS = 2.0


class Readiness(NamedTuple):
    """Whether a service became ready, why not, and after how many seconds that was known."""

    ok: bool
    reason: str
    seconds: float


def run(
    base_url: str,
    headers: Mapping[str, str],
    service: Service,
    expected_release: str,
    *,
    seconds: float = SECONDS,
    patient: bool = True,
) -> list[RuleResult]:
    """Send every smoke check once; return one rule per check and one for the release that answered.

    Args:
        base_url: Address of the release.
        headers: Sent with every request.
        service: The service's description.
        expected_release: The release that must answer; empty when none is known.
        seconds: Limit for connecting and for every read and write.
        patient: Go on when a check got no answer at all; otherwise the rest is left out.
    """
    results = []
    with open_client(base_url, headers, seconds=seconds) as client:
        for check in service.smoke:
            # A wrong release is one mistake, told by one rule: not by every check again.
            result = perform(
                client, check, header=service.release_header, expected_release="", marker="smoke"
            )
            results.append((check, result))
            if not (patient or result.status):
                break
    rules = [_rule(check, result) for check, result in results]
    rules.append(_release_rule([result for _, result in results], service.release_header, expected_release))
    return rules


def wait_ready(  # noqa: PLR0917 - the documented order
    url: str,
    headers: Mapping[str, str],
    path: str,
    header: str,
    expected_release: str,
    seconds: float,
    still_running: Callable[[], str],
    *,
    most_wrong: int = 0,
) -> Readiness:
    """Ask every 50 ms until ``path`` answers 200 by the expected release, or until that is hopeless.

    Args:
        url: Address of the service.
        headers: Sent with every request.
        path: Readiness path.
        header: Response header that names the release; empty when the service sends none.
        expected_release: The release that must answer; empty for no such demand.
        seconds: How long to wait; one request is sent even for 0.
        still_running: Returns why the service cannot become ready any more (it crashed), or nothing.
        most_wrong: Give up after this many answers in a row by a ready service of another release; 0 keeps
            waiting, for an address that is still to be switched.
    """
    check = HttpCheck(name="ready", path=path)
    started = time.monotonic()
    wrongs = 0
    with open_client(url, headers, seconds=max(_POLL_SECONDS, min(_REQUEST_SECONDS, seconds))) as client:
        while True:
            stopped = still_running()
            if stopped:
                return Readiness(False, stopped, time.monotonic() - started)
            result = perform(client, check, header=header, expected_release="", marker="ready")
            wrong = bool(header and expected_release and result.release != expected_release)
            elapsed = time.monotonic() - started
            if result.ok and not wrong:
                return Readiness(True, "", elapsed)
            wrongs = wrongs + 1 if result.ok else 0
            if elapsed + _POLL_SECONDS >= seconds or (most_wrong and wrongs >= most_wrong):
                break
            time.sleep(_POLL_SECONDS)
    reason = still_running()
    if not reason and result.ok:
        answered = result.release or f"a service without {header}"
        reason = f"wrong release: expected {expected_release}, answered {answered}"
    elif not reason:
        last = result.error.removeprefix("expected status 200, found ")
        reason = f"never ready in {seconds:g} s (last: {last})"
    return Readiness(False, reason, time.monotonic() - started)


def wait_live(
    url: str, headers: Mapping[str, str], path: str, seconds: float, still_running: Callable[[], str]
) -> Readiness:
    """Ask ``path`` as the proxy's health check does, until it answers 2xx or 3xx.

    Args:
        url: Address of the service.
        headers: What the way to the service needs; nothing of the service's own, for the proxy has none.
        path: Liveness path.
        seconds: How long the proxy waits for an answer; also how long this asks again.
        still_running: Returns why the service cannot answer any more (it crashed), or nothing.
    """
    started = time.monotonic()
    with open_client(url, headers, seconds=seconds) as client:
        while True:
            stopped = still_running()
            if stopped:
                return Readiness(False, stopped, time.monotonic() - started)
            try:
                answer = client.get(path)
                problem = "" if 200 <= answer.status_code < 400 else f"answered {answer.status_code}"
            except httpx.HTTPError as error:
                problem = f"did not answer ({type(error).__name__})"
            elapsed = time.monotonic() - started
            if not problem:
                return Readiness(True, "", elapsed)
            if elapsed >= seconds:
                reason = f"GET {path}, asked without headers as the proxy will ask, {problem}"
                return Readiness(False, reason, elapsed)
            time.sleep(_POLL_SECONDS)


def _rule(check: HttpCheck, result: CheckResult) -> RuleResult:
    return RuleResult(
        id="smoke.status",
        rule=check.name,
        verdict=Verdict.PASS if result.ok else Verdict.FAIL,
        measured=f"{result.status} in {result.milliseconds:.0f} ms" if result.status else "no answer",
        threshold=str(check.status),
        samples=1 if result.status else 0,
        reason="" if result.ok else f"{check.method} {check.path}: {result.error}",
    )


def _release_rule(results: Sequence[CheckResult], header: str, expected: str) -> RuleResult:
    answers = [result for result in results if result.status]
    if not header or not expected:
        why = "no release was named" if header else "the service description names no release header"
        return RuleResult("smoke.release", RELEASE_RULE, Verdict.NOT_APPLICABLE, "", expected, 0, why)
    if not answers:
        return RuleResult(
            "smoke.release", RELEASE_RULE, Verdict.FAIL, "no answer", expected, 0, "nothing answered"
        )
    found = sorted({answer.release or f"no {header}" for answer in answers})
    wrong = sum(answer.release != expected for answer in answers)
    return RuleResult(
        id="smoke.release",
        rule=RELEASE_RULE,
        verdict=Verdict.FAIL if wrong else Verdict.PASS,
        measured=", ".join(found),
        threshold=expected,
        samples=len(answers),
        reason=f"{wrong} of {len(answers)} answers did not name {expected}" if wrong else "",
    )
