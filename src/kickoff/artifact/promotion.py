"""Leave for a commit to go on: the proof of the environment before, or a person's reason to do without."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kickoff import naming
from kickoff.artifact.bundle import checked
from kickoff.artifact.ledger import Ledger, Running
from kickoff.artifact.proof import Proof
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict
from kickoff.gh import GitHubError

STAGE = "promotion"
"""Name of the evidence of :func:`look_up`."""
COMPARISON = "same-artefact"
"""Name of the evidence of :func:`compare`."""
_SHOWN = 19
"""Characters of a digest that tell it from others."""
_ATTEMPTS = 3
"""Questions in a row that may stay without an answer before the place counts as unreachable."""


class Standing(StrEnum):
    """Standing of a commit before an environment that demands a proof."""

    PROVEN = "proven"
    BYPASSED = "bypassed"
    WAIT = "wait"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer about a commit: its standing, and the decision.

    Attributes:
        standing: What follows.
        proof: The proof, when there is one.
        running: The runs that may still leave one.
        reason: Why a person wants to do without; only where that decided.
        doubts: What could not be asked or trusted, and was overruled by the reason.
    """

    standing: Standing
    proof: Proof | None = None
    running: tuple[Running, ...] = ()
    reason: str = ""
    doubts: tuple[str, ...] = ()


def decide(
    proof: Proof | None,
    running: Sequence[Running],
    *,
    reason: str,
    waited: float,
    quiet: float,
    limit: float,
    settle: float,
) -> Decision:
    """Return how a commit stands.

    Args:
        proof: The proof that was found.
        running: Runs in progress that may still leave one.
        reason: Why a person wants to do without a proof; empty for nobody does.
        waited: Seconds since the first look.
        quiet: Seconds since a run was last seen in progress, or since the first look.
        limit: Seconds that may be waited.
        settle: Seconds of quiet after which no further run or proof will turn up by itself.
    """
    if proof is not None:
        return Decision(Standing.PROVEN, proof)
    if reason:
        return Decision(Standing.BYPASSED, reason=reason)
    if running:
        return Decision(Standing.WAIT if waited < limit else Standing.TIMED_OUT, running=tuple(running))
    return Decision(Standing.WAIT if quiet < settle and waited < limit else Standing.REFUSED)


def look_up(
    ledgers: Sequence[Ledger],
    commit: str,
    *,
    reason: str,
    limit: float,
    interval: float,
    say: Callable[[Decision, float], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Decision:
    """Look for the proof of ``commit`` until the matter is decided, at most ``limit`` seconds.

    Args:
        ledgers: Where to look, in order.
        commit: 40 hexadecimal digits.
        reason: Why a person wants to do without a proof; then nothing is waited for.
        limit: Seconds that may be waited.
        interval: Seconds between two looks.
        say: Told at each look in vain what is waited for, and how many seconds still.
        clock: Seconds, monotonic.
        sleep: Waits some seconds.

    Raises:
        KickoffError: A place cannot be asked (exit code 4) or holds a proof that cannot be trusted (1), and
            nobody gave a reason to do without.
    """
    began = last_seen = clock()
    failures = 0
    while True:
        try:
            found, running = _ask(ledgers, commit)
            failures = 0
        except KickoffError as error:
            if reason:
                return Decision(Standing.BYPASSED, reason=reason, doubts=(str(error), *error.causes))
            failures += 1
            if not (isinstance(error, GitHubError) and error.passing) or failures >= _ATTEMPTS:
                raise
            sleep(interval)
            continue
        current = clock()
        if running:
            last_seen = current
        decision = decide(
            found,
            running,
            reason=reason,
            waited=current - began,
            quiet=current - last_seen,
            limit=limit,
            settle=max(ledger.settle for ledger in ledgers),
        )
        if decision.standing is not Standing.WAIT:
            return decision
        left = limit - (current - began)
        say(decision, left)
        sleep(min(interval, left))


def _ask(ledgers: Sequence[Ledger], commit: str) -> tuple[Proof | None, list[Running]]:
    running: list[Running] = []
    for ledger in ledgers:
        # In this order: a run that ends between the two questions has written its proof before.
        running += ledger.running(commit)
        found = ledger.find(commit)
        if found is not None:
            return found, []
    return None, running


def proving_command(commit: str, environment: str, *, on_github: bool, label: str = "") -> str:
    """Return the command that ships ``commit`` to ``environment``, and so proves it there.

    An empty commit is the head of the default branch, or on a laptop what is checked out.
    """
    if on_github:
        which = f" -f release={commit}" if commit else ""
        return f"gh workflow run {naming.file('cd', label)} -f environment={environment}{which}"
    return f"kickoff release --env {environment}{f' --commit {commit}' if commit else ''}"


def require(decision: Decision, commit: str, limit: float, into: DeclaredEnvironment) -> None:
    """Refuse a commit that may not go into an environment.

    Raises:
        KickoffError: The one before never proved it (exit code 1), or was still at it (exit code 3).
    """
    if decision.standing is Standing.TIMED_OUT:
        raise KickoffError(
            f"{into.after} is still at {commit[:7]}{f' after PROMOTE_WAIT, {limit:.0f} s' if limit else ''}",
            code=ExitCode.INCONCLUSIVE,
            causes=[str(run) for run in decision.running],
            hint=f"run this again when it has ended, or give {into.name} a longer PROMOTE_WAIT",
        )
    if decision.standing not in (Standing.PROVEN, Standing.BYPASSED):
        raise KickoffError(
            f"{into.after} never proved {commit[:7]}, so {into.name} does not get it",
            code=ExitCode.REJECTED,
            hint=f"ship it to {into.after} first",
        )


def compare(built: str, proved: str, into: DeclaredEnvironment) -> None:
    """Refuse an artefact that is not, byte for byte, the one that was proved.

    Raises:
        KickoffError: The digests differ (exit code 1) or are none.
    """
    if checked(built) != checked(proved):
        raise KickoffError(
            f"{into.name} would get another artefact than {into.after} proved: "
            f"built {built[:_SHOWN]}…, proved {proved[:_SHOWN]}…",
            code=ExitCode.REJECTED,
            causes=[f"built {built}", f"proved {proved}"],
            hint=f"ship the commit to {into.after} again, so that what is built now is what is proved",
        )


def look_up_evidence(
    outcome: Decision | KickoffError, *, into: DeclaredEnvironment, started: str, service: str, commit: str
) -> Evidence:
    """Return the evidence of a look-up.

    Args:
        outcome: The decision, or the refusal.
        into: The environment that demands the proof.
        started: When it began, ISO 8601 UTC.
        service: Name of the service.
        commit: The commit in question.
    """
    error = outcome if isinstance(outcome, KickoffError) else None
    rule, expected = f"proof of {commit[:7]}", f"one from {into.after}"
    log: Sequence[str] = error.causes if error else ()
    facts: dict[str, object] = _refusal(error)
    if isinstance(outcome, KickoffError):
        summary = str(outcome)
        result = RuleResult(
            "promotion.proof", rule, _against(outcome), "none that counts", expected, 0, summary
        )
    elif outcome.proof is not None:
        proof = outcome.proof
        summary = f"{proof.environment} proved {commit[:7]} as {proof.release} at {proof.proved[:19]}"
        result = RuleResult("promotion.proof", rule, Verdict.PASS, proof.digest, expected, 1)
        where = f" ({proof.source})" if proof.source.startswith("https://") else ""
        proved = f"{proof.proved[:19].replace('T', ' ')} UTC{where}"
        by = "the rules that the commit demands" if proof.rules is not None else "rules that are not recorded"
        facts = {"proved_digest": proof.digest, "proved": proved, "proved_by": by}
    else:
        log, said = outcome.doubts, f"a person said why: {outcome.reason}"
        summary = f"{commit[:7]} goes to {into.name} unproven: {outcome.reason}"
        result = RuleResult("promotion.proof", rule, Verdict.NOT_APPLICABLE, "bypassed", expected, 0, said)
        facts = {"unproven_reason": outcome.reason}
    return Evidence(
        stage=STAGE,
        environment="",
        verdict=result.verdict,
        summary=summary,
        started=started,
        service=service,
        inputs={"commit": commit},
        rules=[result],
        facts=facts,
        log_tail=list(log),
    )


def comparison_evidence(
    built: str,
    proved: str,
    error: KickoffError | None,
    *,
    into: DeclaredEnvironment,
    started: str,
    service: str,
    commit: str,
) -> Evidence:
    """Return the evidence of a comparison; ``error`` is the refusal, if there was one."""
    verdict = _against(error) if error else Verdict.PASS
    name, why = f"built is what {into.after} proved", f"{into.name} ships it byte for byte"
    return Evidence(
        stage=COMPARISON,
        environment="",
        verdict=verdict,
        summary=str(error) if error else f"{name}: {built}",
        started=started,
        service=service,
        inputs={"commit": commit},
        rules=[RuleResult("promotion.same-artefact", name, verdict, built, proved, 1, why if error else "")],
        facts=_refusal(error),
    )


def _against(error: KickoffError) -> Verdict:
    return Verdict.INCONCLUSIVE if error.code is ExitCode.INCONCLUSIVE else Verdict.FAIL


def _refusal(error: KickoffError | None) -> dict[str, object]:
    return {"exit_code": int(error.code), "hint": error.hint} if error else {}
