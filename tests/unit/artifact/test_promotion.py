"""The decision before production: what is found, what is waited for, what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff.artifact import promotion
from kickoff.artifact.ledger import Running
from kickoff.artifact.promotion import Decision, Standing
from kickoff.artifact.proof import Proof
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Verdict
from kickoff.gh import GitHubError

COMMIT, DIGEST = "a" * 40, f"sha256:{'1' * 64}"
PROOF = Proof("staging", COMMIT, DIGEST, "", "aaaaaaa-12345678", "2026-01-02T03:04:05+00:00", "a file")
INTO = DeclaredEnvironment("production", after="staging")
ABOUT: dict[str, Any] = {"into": INTO, "started": "2026-01-02T03:04:05Z", "service": "demo", "commit": COMMIT}
RUN = Running("somebody", "2026-01-02T03:04:05Z", "staging run 7")


@pytest.mark.parametrize(
    ("proof", "running", "reason", "waited", "quiet", "standing"),
    [
        (PROOF, [], "", 0, 0, Standing.PROVEN),
        (PROOF, [RUN], "", 9, 0, Standing.PROVEN),
        (PROOF, [], "in a hurry", 0, 0, Standing.PROVEN),
        (None, [], "in a hurry", 0, 0, Standing.BYPASSED),
        (None, [RUN], "in a hurry", 0, 0, Standing.BYPASSED),
        (None, [RUN], "", 0, 0, Standing.WAIT),
        (None, [RUN], "", 59, 0, Standing.WAIT),
        (None, [RUN], "", 60, 0, Standing.TIMED_OUT),
        (None, [], "", 0, 0, Standing.WAIT),
        (None, [], "", 30, 4, Standing.WAIT),
        (None, [], "", 5, 5, Standing.REFUSED),
        (None, [], "", 60, 0, Standing.REFUSED),
    ],
)
def test_the_table(
    proof: Proof | None,
    running: list[Running],
    reason: str,
    *,
    waited: float,
    quiet: float,
    standing: Standing,
) -> None:
    decision = promotion.decide(proof, running, reason=reason, waited=waited, quiet=quiet, limit=60, settle=5)
    assert decision.standing is standing
    assert (decision.reason == reason) or standing is Standing.PROVEN


@given(
    st.sampled_from([[], [RUN]]),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1e4),
    st.floats(0, 1e3),
)
def test_without_proof_or_reason_nothing_ever_goes_on_and_no_wait_is_endless(
    running: list[Running], waited: float, quiet: float, limit: float, settle: float
) -> None:
    decision = promotion.decide(
        None, running, reason="", waited=waited, quiet=quiet, limit=limit, settle=settle
    )
    assert decision.standing not in (Standing.PROVEN, Standing.BYPASSED)
    assert decision.standing is not Standing.WAIT or waited < limit


@dataclass
class Scripted:
    """A ledger that says at the n-th look what the n-th function says; the last one goes on for ever."""

    runs: Callable[[int], list[Running]]
    proofs: Callable[[int], Proof | None]
    settle: float = 0.0
    looks: int = 0

    def running(self, commit: str) -> list[Running]:
        self.looks += 1
        return self.runs(self.looks)

    def find(self, commit: str) -> Proof | None:
        return self.proofs(self.looks)

    def newest(self) -> Proof | None:
        return self.proofs(self.looks)


@dataclass
class Time:
    now: float = 0.0
    said: list[tuple[Decision, float]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def look_up(*ledgers: Scripted, time: Time, reason: str = "", limit: float = 60) -> Decision:
    return promotion.look_up(
        ledgers,
        COMMIT,
        reason=reason,
        limit=limit,
        interval=10,
        say=lambda decision, left: time.said.append((decision, left)),
        clock=lambda: time.now,
        sleep=time.sleep,
    )


def nothing(_look: int) -> None:
    return None


def test_a_run_in_progress_is_waited_for_and_its_proof_taken() -> None:
    time = Time()
    ledger = Scripted(lambda n: [RUN] if n < 4 else [], lambda n: PROOF if n == 4 else None)
    assert look_up(ledger, time=time).proof is PROOF
    assert [left for _, left in time.said] == [60, 50, 40]
    assert all(decision.running == (RUN,) for decision, _ in time.said)


def test_a_run_that_ends_without_a_proof_is_a_refusal() -> None:
    time = Time()
    assert (
        look_up(Scripted(lambda n: [RUN] if n < 3 else [], nothing), time=time).standing is Standing.REFUSED
    )
    assert time.now == 20


def test_the_wait_ends_at_its_limit_to_the_second() -> None:
    time = Time()
    assert look_up(Scripted(lambda n: [RUN], nothing), time=time, limit=35).standing is Standing.TIMED_OUT
    assert time.now == 35


def test_a_run_that_was_just_started_gets_time_to_appear() -> None:
    time = Time()
    ledger = Scripted(lambda n: [RUN] if n in (3, 4) else [], lambda n: PROOF if n == 6 else None, settle=25)
    assert look_up(ledger, time=time).proof is PROOF


def test_the_first_ledger_with_a_proof_suffices() -> None:
    assert look_up(Scripted(lambda n: [], lambda n: PROOF), time=Time()).proof is PROOF
    second = Scripted(lambda n: [], lambda n: PROOF)
    assert look_up(Scripted(lambda n: [], nothing), second, time=Time()).proof is PROOF


def refusing(status: int, times: int) -> Callable[[int], list[Running]]:
    def running(look: int) -> list[Running]:
        if look <= times:
            raise GitHubError("not taken", status=status, answer="no", hint="")
        return []

    return running


def test_a_passing_failure_is_asked_again_and_a_lasting_one_is_no_proof() -> None:
    assert look_up(Scripted(refusing(502, 2), lambda n: PROOF), time=Time()).proof is PROOF
    for status, looks in ((502, 3), (0, 3), (403, 1), (404, 1)):
        ledger = Scripted(refusing(status, 9), lambda n: PROOF)
        with pytest.raises(KickoffError) as error:
            look_up(ledger, time=Time())
        assert error.value.code is ExitCode.UNREACHABLE
        assert ledger.looks == looks


def test_a_reason_overrules_what_cannot_be_asked_and_says_so() -> None:
    decision = look_up(Scripted(refusing(403, 9), nothing), time=Time(), reason="GitHub is down")
    assert decision.standing is Standing.BYPASSED
    assert decision.doubts == ("not taken", "no")


@pytest.mark.parametrize(
    ("standing", "code"), [(Standing.REFUSED, 1), (Standing.TIMED_OUT, 3), (Standing.WAIT, 1)]
)
def test_everything_but_a_proof_or_a_reason_is_refused(standing: Standing, code: int) -> None:
    with pytest.raises(KickoffError) as error:
        promotion.require(Decision(standing, running=(RUN,)), COMMIT, 900, INTO)
    assert error.value.code == code
    evidence = promotion.look_up_evidence(error.value, **ABOUT)
    assert evidence.verdict is (Verdict.FAIL if code == 1 else Verdict.INCONCLUSIVE)
    assert evidence.facts["exit_code"] == code


def test_a_proof_and_a_reason_pass_and_leave_different_evidence() -> None:
    proven, bypassed = Decision(Standing.PROVEN, PROOF), Decision(Standing.BYPASSED, reason="in a hurry")
    for decision in (proven, bypassed):
        promotion.require(decision, COMMIT, 900, INTO)
    first, second = (promotion.look_up_evidence(d, **ABOUT) for d in (proven, bypassed))
    assert (first.verdict, second.verdict) == (Verdict.PASS, Verdict.NOT_APPLICABLE)
    assert first.facts["proved_digest"] == DIGEST
    assert "unproven_reason" not in first.facts
    assert second.facts == {"unproven_reason": "in a hurry"}
    assert "in a hurry" in second.rules[0].reason


def test_production_ships_byte_for_byte_what_was_proved() -> None:
    promotion.compare(DIGEST, DIGEST, INTO)
    other = f"sha256:{'2' * 64}"
    with pytest.raises(KickoffError) as error:
        promotion.compare(other, DIGEST, INTO)
    assert error.value.code == 1
    assert f"built {other[:19]}…, proved" in str(error.value)
    assert error.value.causes[0] == f"built {other}"
    assert error.value.causes[1] == f"proved {DIGEST}"
    evidence = promotion.comparison_evidence(other, DIGEST, error.value, **ABOUT)
    assert evidence.verdict is Verdict.FAIL
    assert (evidence.rules[0].measured, evidence.rules[0].threshold) == (other, DIGEST)
    with pytest.raises(KickoffError, match="no digest"):
        promotion.compare("", DIGEST, INTO)
    assert promotion.comparison_evidence(DIGEST, DIGEST, None, **ABOUT).verdict is Verdict.PASS


def test_the_proving_command_is_exact_where_it_is_needed() -> None:
    on_github = promotion.proving_command(COMMIT, "staging", on_github=True)
    assert on_github == f"gh workflow run cd.yml -f environment=staging -f release={COMMIT}"
    assert promotion.proving_command(COMMIT, "staging", on_github=False) == (
        f"kickoff release --env staging --commit {COMMIT}"
    )
