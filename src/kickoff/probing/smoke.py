"""The smoke requests of a release and the rules that its answers come to."""

from collections.abc import Mapping, Sequence

from kickoff.evidence import RuleResult, Verdict
from kickoff.probing.http import SECONDS, CheckResult, open_client, perform
from kickoff.service import HttpCheck, Service

RELEASE_RULE = "answers come from the expected release"


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
