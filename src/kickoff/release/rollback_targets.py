"""Which releases one may go back to, told from the history alone. Pure.

A release is *good* from the moment it became live until it was rolled back from: on request, by itself, or by
the watch after the release. A release that the gates refused was never live and is never a target.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kickoff.errors import KickoffError
from kickoff.release.stores.history import Entry

_ID = re.compile(r"[0-9a-f]{7}-[0-9a-f]{8}")
_JUDGED = ("promote", "watch")
"""Stages in which the judge takes a release back by itself."""


@dataclass(frozen=True, slots=True)
class Return:
    """A return to an earlier release.

    Attributes:
        left: The release that was rolled back from.
        to: The release that serves instead; empty for none.
        by: Who did it, or whose run it was.
        at: When, ISO 8601.
        judged: Why the judge did it by itself; empty when somebody asked for it.
    """

    left: str
    to: str
    by: str
    at: str
    judged: str = ""


def check_id(release: str) -> str:
    """Return ``release`` when it is a release id; what it names is a folder, so nothing else will do.

    Raises:
        KickoffError: It is not one (exit 2).
    """
    if _ID.fullmatch(release) is None:
        raise KickoffError(
            f"not a release id: {release[:60]!r}",
            hint="an id is <7 hexadecimal digits>-<8>; `kickoff history --env NAME` lists them",
        )
    return release


def good(newest_first: Iterable[Entry]) -> Iterator[str]:
    """Yield the good releases, the one that was live last first; reads as much as is asked for."""
    seen: set[str] = set()
    for entry in newest_first:
        # Whatever happened to a release last decides.
        if entry.outcome == "live" and entry.release not in seen:
            yield entry.release
        seen |= {entry.release} if entry.outcome == "live" else set()
        seen |= {left} if (left := _left(entry)) else set()


def worth_keeping(newest_first: Iterable[Entry]) -> Iterator[str]:
    """Yield every release that was live, in the order in which it is kept: good ones first, then the others.

    A release that was rolled back from may be wanted again by a person, but takes no good one's place.
    """
    good_ones: set[str] = set()
    others: dict[str, None] = {}

    def noted() -> Iterator[Entry]:
        for entry in newest_first:
            if entry.outcome == "live":
                others[entry.release] = None
            yield entry

    for release in good(noted()):
        good_ones.add(release)
        yield release
    yield from (release for release in others if release not in good_ones)


def live(newest_first: Iterable[Entry]) -> str:
    """Return the release that the history names as live; empty for none."""
    return _serving_after(_last_change(newest_first))


def last_return(newest_first: Iterable[Entry]) -> Return | None:
    """Return how the live release came back, when the last change of who is live was a return to it."""
    last = _last_change(newest_first)
    left = _left(last) if last else ""
    if last is None or not left:
        return None
    judged = str(last.data["reason"]) if last.data.get("stage") in _JUDGED else ""
    return Return(left, _serving_after(last), str(last.data.get("by", "")), last.at, judged)


def _last_change(newest_first: Iterable[Entry]) -> Entry | None:
    return next((entry for entry in newest_first if entry.outcome == "live" or _left(entry)), None)


def _serving_after(change: Entry | None) -> str:
    if change is None:
        return ""
    return change.release if change.outcome == "live" else change.previous


def _left(entry: Entry) -> str:
    """Return the release that was rolled back from; empty when the entry is about nothing of the kind."""
    if (entry.action, entry.outcome) == ("rollback", "live"):
        return entry.previous
    return entry.release if entry.action == "auto-rollback" else ""
