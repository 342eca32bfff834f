"""What fails while a host of the candidate is lost is not held against it, once for each such host."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff.evidence import RuleResult, Verdict
from kickoff.release import trial
from kickoff.release.alerts import Witness
from kickoff.release.model import Colour
from kickoff.release.session import Session
from kickoff.release.trial import Trial

PASS, FAIL = Verdict.PASS, Verdict.FAIL


def watched(
    verdicts: Sequence[Verdict], lost: Sequence[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[RuleResult], int]:
    """Hold a candidate whose looks end with these verdicts; return the rules, and how often it was watched."""
    ends, hosts = iter(verdicts), iter(lost)
    looks: list[Verdict] = []

    def watch(_trial: Trial, _seconds: float, _keep: Callable[[], None]) -> list[RuleResult]:
        looks.append(next(ends))
        return [RuleResult("judge.error-rate", "error rate", looks[-1], "", "", 1)]

    monkeypatch.setattr(Trial, "_watch", watch)
    monkeypatch.setattr(trial, "HEALTH_SECONDS", -2)
    target: Any = SimpleNamespace(lost_hosts=lambda _colour: next(hosts))
    session = cast("Session", SimpleNamespace(target=target))
    tried = Trial(session, Colour.BLUE, Colour.GREEN, 1, cast("Witness", None))
    return tried.hold(1, lambda: None), len(looks)


def test_a_failure_without_a_lost_host_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, looks = watched([FAIL], [()], monkeypatch)
    assert ([rule.verdict for rule in rules], looks) == ([FAIL], 1)


def test_a_failure_beside_a_lost_host_is_judged_anew_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, looks = watched([FAIL, PASS], [("node3",)], monkeypatch)
    assert looks == 2
    assert [(rule.id, rule.verdict) for rule in rules] == [("judge.error-rate", PASS), ("judge.hosts", PASS)]
    assert rules[1].measured == "node3 lost"
    assert "judged anew" in rules[1].reason


def test_a_candidate_that_goes_on_failing_is_refused_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, looks = watched([FAIL, FAIL], [("node3",), ("node3",)], monkeypatch)
    assert ([rule.verdict for rule in rules], looks) == ([FAIL, PASS], 2)


def test_another_lost_host_is_another_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, looks = watched([FAIL, FAIL, PASS], [("a",), ("a", "b")], monkeypatch)
    assert (rules[1].measured, looks) == ("a, b lost", 3)


def test_a_pass_asks_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, looks = watched([PASS], [], monkeypatch)
    assert ([rule.verdict for rule in rules], looks) == ([PASS], 1)
