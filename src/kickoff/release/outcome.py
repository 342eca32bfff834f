"""The evidence that a command leaves, and the verdict and exit code of one that ended in an error."""

from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, combine, fields
from kickoff.release import certificate
from kickoff.release.attempt import Rejected, Run
from kickoff.release.session import Session

_OUTCOMES = {ExitCode.ROLLBACK_FAILED: "rollback-failed", ExitCode.INTERRUPTED: "interrupted"}
_RULES = {
    "stage": ("stage.ready", "candidate gets ready and names its release"),
    "promote": ("release.public-address", "the public address answers with the release"),
    "rollback": ("release.public-address", "the public address answers with the release"),
    "start": ("release.public-address", "the public address answers with the release"),
    "watch": ("watch.serves", "the release still serves when the watch ends"),
}


def evidence(
    run: Run, stage: str, started: str, verdict: Verdict, summary: str, *, release: str, attempt: str = "",
    **facts: Any,  # noqa: ANN401
) -> Evidence:  # fmt: skip
    """Return the evidence of a command, with who serves at this moment.

    Args:
        run: The command.
        stage: Name of the stage.
        started: When the command began, ISO 8601.
        verdict: Its outcome.
        summary: The outcome in one sentence.
        release: The release it is about; may be empty.
        attempt: Id of the attempt; empty for none.
        facts: Further evidence fields.
    """
    session = run.session
    with session.target.reach("live") as endpoint:
        address = certificate.address(session, endpoint.url)
    passed = verdict is Verdict.PASS
    return Evidence(
        stage=stage,
        environment=session.environment.name,
        verdict=verdict,
        summary=summary,
        started=started,
        service=session.service.name,
        release=release,
        attempt=attempt,
        rules=[RuleResult(*_RULES[stage], Verdict.PASS, "yes", "yes", 1)] if passed else [],
        timeline=run.timeline,
        facts={"serving": serving(session), "address": address, **facts},
    )


def serving(session: Session) -> fields.Serving:
    """Return who serves at this moment: after an attempt that came to no end that may be its candidate."""
    state, attempt, weights = session.store.state(), session.store.open_attempt(), session.proxy.weights()
    answers = session.not_serving() or "yes"
    found: fields.Serving = {
        "release": state.release_of(state.live), "colour": str(state.live or ""), "answers": answers,
    }  # fmt: skip
    if attempt is None or not attempt.shifting or state.live is None or weights.get(state.live) == 100:
        return found
    if state.live in weights:
        return {**found, "share": weights[state.live]}
    return {**found, "release": attempt.release, "colour": attempt.colour} if weights else found


def refusal(run: Run, stage: str, started: str, error: KickoffError) -> Evidence:
    """Return the evidence of a phase that ended in an error before it could leave any of its own."""
    outcome = _OUTCOMES.get(error.code, "refused")
    found = evidence(
        run, stage, started, verdict_of(error), str(error), release="", outcome=outcome, **error.facts
    )
    found.log_tail = list(error.causes)
    return found


def verdict_of(error: KickoffError) -> Verdict:
    """Return the verdict of a command that ended in ``error``."""
    if isinstance(error, Rejected) and error.rules:
        return combine(rule.verdict for rule in error.rules)
    doubt = error.code in (ExitCode.INCONCLUSIVE, ExitCode.INTERRUPTED)
    return Verdict.INCONCLUSIVE if doubt else Verdict.FAIL
