"""A frozen environment takes no release, and says until when; a reason of a person overrules it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kickoff import freeze, judging, service
from kickoff.errors import ExitCode, KickoffError
from tests.unit.test_environments import MINIMAL, declared

WEEKEND = {
    "from": "Fri 15:00",
    "until": "Mon 08:00",
    "reason": "nobody is here",
    "time_zone": "Europe/Berlin",
}
HOLIDAYS = {"from": "2026-12-18 12:00", "until": "2027-01-04 08:00", "reason": "year's end"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(moment: str, *entries: dict[str, str]) -> str:
    """Return when an environment with these freezes opens; empty when it is open at a moment."""
    found = freeze.frozen([freeze.parse(entry, "kickoff.yml:1") for entry in entries], at(moment))
    return found[1].astimezone(UTC).isoformat()[:16] if found else ""


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-11-27 13:59", ""),  # Friday, 14:59 in Berlin
        ("2026-11-27 14:00", "2026-11-30T07:00"),
        ("2026-11-29 23:00", "2026-11-30T07:00"),
        ("2026-11-30 06:59", "2026-11-30T07:00"),
        ("2026-11-30 07:00", ""),
        ("2026-07-03 13:00", "2026-07-06T06:00"),  # in summer an hour earlier
        ("2026-10-24 12:00", "2026-10-26T07:00"),  # the clocks go back in between
    ],
)
def test_a_weekly_freeze_keeps_to_the_clock_on_the_wall(moment: str, opening: str) -> None:
    assert opens(moment, WEEKEND) == opening


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-12-18 11:59", ""),
        ("2026-12-18 12:00", "2027-01-04T08:00"),
        ("2027-01-04 07:59", "2027-01-04T08:00"),
        ("2027-01-04 08:00", ""),
    ],
)
def test_a_freeze_of_once(moment: str, opening: str) -> None:
    assert opens(moment, HOLIDAYS) == opening


def test_within_a_week_and_across_its_end() -> None:
    night = {"from": "Wed 22:00", "until": "Thu 06:00", "reason": "batch"}
    assert [opens(f"2026-11-{day}", night) for day in ("25 21:59", "26 05:00", "26 06:00")] == [
        "", "2026-11-26T06:00", "",
    ]  # fmt: skip
    assert opens("2026-11-30 01:00", {"from": "Sun 20:00", "until": "Sun 19:00", "reason": "r"}) == (
        "2026-12-06T19:00"
    ), "nearly always, across the end of the week"


def test_freezes_without_a_gap_are_one() -> None:
    after = {"from": "2026-11-30 07:00", "until": "2026-11-30 12:00", "reason": "a migration"}
    assert opens("2026-11-28 12:00", WEEKEND, after) == "2026-11-30T12:00"
    turns = (("Mon 00:00", "Thu 00:00"), ("Thu 00:00", "Mon 00:00"))
    halves = [{"from": begin, "until": end, "reason": "never"} for begin, end in turns]
    assert opens("2026-11-28 12:00", *halves) > "2027", "one that never opens ends the search all the same"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"until": "2026-12-01 08:00"}, "one is every week, the other once"),
        ({"time_zone": "Europe/Bonn"}, "no such time zone: 'Europe/Bonn'"),
        ({"time_zone": "../../etc/passwd"}, "no such time zone"),
        ({"from": "Fri 25:00"}, "no such time: freeze Fri 25:00"),
        ({"from": "2026-13-01 08:00", "until": "2026-13-02 08:00"}, "no such time: freeze 2026-13-01"),
        ({"from": "2026-12-02 08:00", "until": "2026-12-01 08:00"}, "ends before it begins"),
        ({"from": "Fri 15:00", "until": "Fri 15:00"}, "ends before it begins"),
        ({"from": "15:00"}, "15:00"),
        ({"reason": ""}, "reason"),
        ({"timezone": "UTC"}, "timezone"),
    ],
)
def test_a_mistake_is_named_at_its_line(change: dict[str, str], said: str) -> None:
    rows = "\n".join(f"      - {json.dumps(entry)}" for entry in (WEEKEND, WEEKEND | change))
    with pytest.raises(KickoffError) as caught:
        declared(f"environments:\n  staging:\n  production:\n    freeze:\n{rows}\n")
    assert caught.value.code is ExitCode.BAD_INPUT
    assert said in " ".join([str(caught.value), *caught.value.causes])
    assert caught.value.at == "kickoff.yml:12"


def now_frozen() -> tuple[freeze.Window]:
    today = datetime.now(UTC)
    begin, end = (f"{today + timedelta(days=days):%Y-%m-%d} 00:00" for days in (-1, 2))
    return (freeze.Window(begin, end, "year's end", "UTC", "kickoff.yml:9"),)


def test_a_refusal_says_until_when_why_and_the_way_past(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    freezes = now_frozen()
    with pytest.raises(KickoffError) as caught:
        freeze.require_open("production", freezes, "  ")
    error = caught.value
    assert error.code is ExitCode.REJECTED
    end = datetime.now(UTC) + timedelta(days=2)
    assert str(error) == f"production is frozen until {end:%a %Y-%m-%d} 00:00 UTC: year's end"
    assert error.at == "kickoff.yml:9"
    assert "kickoff deploy --env production --freeze-reason 'WHY'" in error.hint
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", "o/r/.github/workflows/cd-shop.yml@refs/heads/main")
    with pytest.raises(KickoffError) as caught:
        freeze.require_open("production", freezes, "")
    assert "gh workflow run cd-shop.yml -f environment=production -f freeze-reason='WHY'" in caught.value.hint
    # The workflow of a comment cannot be dispatched.
    event = tmp_path / "event.json"
    event.write_text('{"comment": {"id": 1, "created_at": ""}, "issue": {"number": 7}}', encoding="utf-8")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    with pytest.raises(KickoffError) as caught:
        freeze.require_open("production", freezes, "")
    assert "gh workflow run cd.yml -f environment=production" in caught.value.hint


def test_a_reason_overrules_and_an_open_environment_needs_none() -> None:
    freezes = now_frozen()
    assert freeze.require_open("production", freezes, "payments are down") == freezes[0]
    assert freeze.require_open("production", (), "payments are down") is None


def test_a_freeze_that_goes_is_less_and_one_that_comes_is_more() -> None:
    rows = f"environments:\n  staging:\n    freeze:\n      - {json.dumps(WEEKEND)}\n"
    frozen, free = (
        judging.collect({}, service.parse(MINIMAL + text, "kickoff.yml"), "staging", Path())
        for text in (rows, "environments:\n  staging:\n")
    )
    [gone], [come] = judging.compare(frozen, free), judging.compare(free, frozen)
    assert str(gone) == "freeze Fri 15:00 to Mon 08:00 Europe/Berlin: demanded → none (weaker)"
    assert come.change == "stricter"
