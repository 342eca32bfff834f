"""What a cutover leaves for its chart: the judgement of every step, and when traffic was back."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff.evidence import Evidence, RuleResult, Verdict, now
from kickoff.release import promote
from kickoff.release.attempt import Attempt, Rejected
from kickoff.release.trial import Trial


def trial(ago: float) -> Trial:
    return cast("Trial", SimpleNamespace(began=time.monotonic() - ago))


def test_every_rule_that_applied_is_kept_with_its_share() -> None:
    rules = [
        RuleResult("judge.error-rate", "error rate", Verdict.PASS, "0.00% (0 of 90)", "1.00%", 90),
        RuleResult(
            "judge.users-5xx", "error rate of users", Verdict.NOT_APPLICABLE, "no data", "1.00%", 0, "none"
        ),
        RuleResult(
            "judge.p95", "p95 within 900 ms", Verdict.FAIL, "9.00% (8 of 90) slower", "5.00%", 90, "slow"
        ),
    ]
    found = promote._judged(rules, trial(12.0), 25)
    assert [(row["rule"], row["verdict"], row["limit"]) for row in found] == [
        ("error rate", "pass", "limit 1.00%"),
        ("p95 within 900 ms", "fail", "limit 5.00%"),
    ]
    assert all(row["candidate_percent"] == 25 and 12 <= row["t"] < 13 for row in found)


def test_a_rollback_says_when_traffic_was_back(monkeypatch: pytest.MonkeyPatch) -> None:
    timeline: list[dict[str, Any]] = [
        {"at": now(), "event": "restore", "step": "restore", "seconds": 1.5},
        {"at": now(), "event": "ready"},
    ]

    def undo(*_: Any) -> Evidence:
        return Evidence("promote", "staging", Verdict.FAIL, "rolled back", now(), timeline=timeline)

    monkeypatch.setattr(promote, "undo", undo)
    series: dict[str, list[dict[str, Any]]] = {"weights": [{"t": 0.3, "candidate_percent": 25}]}
    promote._taken_back(cast("Attempt", None), now(), Rejected("slow"), series, trial(20.0))
    last = series["weights"][-1]
    assert last["candidate_percent"] == 0
    assert 21.5 <= last["t"] < 22.5
