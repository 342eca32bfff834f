"""Which releases one may go back to."""

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.rollback_targets import Return, check_id, good, last_return, live, worth_keeping
from kickoff.release.stores.history import Entry

AT = "2026-01-01T12:00:00.000+00:00"


def released(release: str, previous: str = "") -> Entry:
    return Entry("release", "live", release, previous, AT, {})


def back(release: str, previous: str) -> Entry:
    return Entry("rollback", "live", release, previous, AT, {"by": "ada@host"})


def taken(release: str, previous: str) -> Entry:
    return Entry("auto-rollback", "undone", release, previous, AT, {"by": "a run"})


def judged(release: str, previous: str, stage: str) -> Entry:
    data = {"by": "a run", "stage": stage, "reason": "error rate: 12%"}
    return Entry("auto-rollback", "undone", release, previous, AT, data)


def refused(release: str) -> Entry:
    return Entry("abort", "undone", release, "a", AT, {})


def note(action: str) -> Entry:
    return Entry(action, "recorded", "c", "", AT, {})


A, B, C = released("a"), released("b", "a"), released("c", "b")


@pytest.mark.parametrize(
    ("entries", "expected", "serving"),
    [
        ([], [], ""),
        ([A], ["a"], "a"),
        ([A, B, C], ["c", "b", "a"], "c"),
        ([A, B, refused("x")], ["b", "a"], "b"),
        ([A, B, back("a", "b")], ["a"], "a"),
        ([A, B, C, back("b", "c")], ["b", "a"], "b"),
        ([A, B, C, taken("d", "c")], ["c", "b", "a"], "c"),
        ([A, taken("a", "")], [], ""),
        ([A, B, back("a", "b"), released("b", "a")], ["b", "a"], "b"),
        ([A, B, back("a", "b"), note("stop"), note("start"), note("unlock")], ["a"], "a"),
    ],
)
def test_good_is_what_was_live_and_not_rolled_back_from(
    entries: list[Entry], expected: list[str], serving: str
) -> None:
    assert list(good(reversed(entries))) == expected
    assert live(reversed(entries)) == serving


def test_the_last_return_is_known_until_another_release_goes_live() -> None:
    assert last_return(reversed([A, B])) is None
    assert last_return(reversed([A, B, back("a", "b")])) == Return("b", "a", "ada@host", AT)
    assert last_return(reversed([A, B, taken("c", "b"), refused("x"), note("stop")])) == Return(
        "c", "b", "a run", AT
    )
    assert last_return(reversed([A, B, back("a", "b"), released("d", "a")])) is None


@pytest.mark.parametrize(
    ("stage", "why"), [("promote", "error rate: 12%"), ("watch", "error rate: 12%"), ("abort", "")]
)
def test_the_judge_goes_back_by_itself_and_an_abort_is_somebodys(stage: str, why: str) -> None:
    found = last_return(reversed([A, B, judged("c", "b", stage)]))
    assert found == Return("c", "b", "a run", AT, why)


def test_good_ones_are_kept_first_and_no_more_is_read_than_is_asked_for() -> None:
    entries = [A, B, C, back("b", "c"), taken("d", "b"), refused("x")]
    assert list(worth_keeping(reversed(entries))) == ["b", "a", "c"]
    unread = reversed(entries)
    assert next(worth_keeping(unread)) == "b"
    assert list(unread) == [C, B, A]


@pytest.mark.parametrize(
    "text", ["", "..", "../../x", "4f2c1ab", "4f2c1ab-0a1b2c3", "4F2C1AB-0A1B2C3D", "a/b-c"]
)
def test_an_id_that_could_name_another_folder_is_refused(text: str) -> None:
    with pytest.raises(KickoffError, match="not a release id") as caught:
        check_id(text)
    assert caught.value.code is ExitCode.BAD_INPUT
    assert check_id("4f2c1ab-0a1b2c3d") == "4f2c1ab-0a1b2c3d"
