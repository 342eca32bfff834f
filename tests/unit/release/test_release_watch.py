"""A watched release that is not live any more: who took it back, or that another one came."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

from kickoff.errors import ExitCode
from kickoff.release.attempt import Run
from kickoff.release.stores.history import Entry
from kickoff.release.stores.lease import TakenBack
from kickoff.release.watch import _not_live_any_more

AT = "2026-11-24T14:02:10.000+00:00"


def run_with(*entries: Entry) -> Run:
    def newest_first() -> Iterator[Entry]:
        return iter(entries)

    return cast(
        "Run", SimpleNamespace(store=SimpleNamespace(history=SimpleNamespace(newest_first=newest_first)))
    )


def test_a_rollback_by_somebody_is_named_with_who_and_when() -> None:
    back = Entry("rollback", "live", "old-1", "new-1", AT, {"by": "kim@host"})
    stopped = Entry("stop", "recorded", "old-1", "", AT, {})
    error = _not_live_any_more(run_with(stopped, back), "new-1", "old-1")
    assert isinstance(error, TakenBack)
    assert str(error) == "new-1 is not live: old-1 is, by a rollback of kim@host"
    assert error.facts["exit_code"] == ExitCode.LOCK_HELD
    assert (error.facts["taken_by"], error.facts["taken_at"]) == ("kim@host", AT)


def test_a_newer_release_takes_nothing_back() -> None:
    newer = Entry("release", "live", "newer-1", "new-1", AT, {"by": "kim@host"})
    error = _not_live_any_more(run_with(newer), "new-1", "newer-1")
    assert not isinstance(error, TakenBack)
    assert error.code is ExitCode.INCONCLUSIVE
    assert _not_live_any_more(run_with(), "new-1", "").code is ExitCode.UNREACHABLE
