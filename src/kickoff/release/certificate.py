"""The certificate of the public name: a release that no browser would talk to is not released."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from kickoff.errors import ExitCode
from kickoff.evidence import RuleResult, Verdict
from kickoff.probing.certificate import CertificateProblem, place_of, valid_until
from kickoff.release.attempt import Attempt, Rejected
from kickoff.release.session import Session

KEY: Final = "PUBLIC_HOST"
_INVALID: Final = "CERTIFICATE_INVALID"
_ID = "tls.certificate"
_LOOK_AGAIN = 2.0


def address(session: Session, otherwise: str) -> str:
    """Return the address that users know, or ``otherwise`` where the environment names none."""
    name = _name(session)
    return f"https://{name}" if name else otherwise


def require(attempt: Attempt) -> list[RuleResult]:
    """Wait until users will meet a valid certificate, for as long as a release may take to get ready.

    An authority gives the first one when the name is routed here for the first time.

    Returns:
        The rule that passed, or that only warns; none where users come in without TLS.

    Raises:
        Rejected: There is no valid certificate (exit 4).
    """
    session = attempt.session
    if not (_name(session) or session.target.tls_port):
        return []
    if session.environment.values.get(_INVALID) == "warn":
        return [_warning(judge(session))]
    deadline = time.monotonic() + session.environment.seconds("READY_TIMEOUT")
    while (rule := judge(session)).verdict is not Verdict.PASS:
        if time.monotonic() >= deadline:
            raise Rejected(
                f"{rule.rule}: {rule.measured}",
                code=ExitCode.UNREACHABLE,
                rules=[rule],
                hint="docs/how-to/certificates.md says what to do; what Traefik was told is in "
                f"`kickoff logs --env {session.environment.name} --process traefik`",
            )
        attempt.renew()
        time.sleep(_LOOK_AGAIN)
    return [rule]


def _warning(rule: RuleResult) -> RuleResult:
    if rule.verdict is Verdict.PASS:
        return rule
    reason = f"{rule.reason}; a warning by {_INVALID}=warn"
    return replace(rule, verdict=Verdict.NOT_APPLICABLE, reason=reason)


def judge(session: Session) -> RuleResult:
    """Judge the certificate that the public name has now; one look."""
    name, port = _name(session), session.target.tls_port
    host, others = place_of(name)
    rule = f"certificate of {host or 'the public name'}"
    try:
        if not name:
            raise CertificateProblem(f"users come in by TLS, and {KEY} does not say under which name")
        # Where the proxy is asked itself, neither a name server nor a router in between can answer for it.
        until = valid_until(host, ("127.0.0.1", port) if port else (host, others))
    except CertificateProblem as problem:
        return RuleResult(_ID, rule, Verdict.FAIL, str(problem), "valid", 1, "browsers refuse it")
    days = (until - datetime.now(UTC)).days
    return RuleResult(_ID, rule, Verdict.PASS, f"until {until:%Y-%m-%d}, {days} days", "valid", 1)


def _name(session: Session) -> str:
    # What an earlier version recorded has no such key.
    return session.environment.values.get(KEY, "")
