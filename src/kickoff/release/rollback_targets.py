"""Which releases one may go back to, told from the history alone. Pure.

A release is *good* from the moment it became live until it was rolled back from: on request, by itself, or by
the watch after the release. A release that the gates refused was never live and is never a target.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kickoff.errors import KickoffError
from kickoff.release.history import Entry

_ID = re.compile(r"[0-9a-f]{7}-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Return:
    """A return to an earlier release: from which, to which (empty for none), by whom, when (ISO 8601)."""

    left: str
    to: str
    by: str
    at: str


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


def good(entries: Sequence[Entry]) -> list[str]:
    """Return the good releases, the one that was live last first."""
    found: dict[str, None] = {}
    for entry in entries:
        left = _left(entry)
        if left:
            found.pop(left, None)
        if entry.outcome == "live":
            found.pop(entry.release, None)
            found[entry.release] = None
    return list(reversed(found))


def worth_keeping(entries: Sequence[Entry]) -> list[str]:
    """Return every release that was live, in the order in which it is kept: good ones first, then the others.

    A release that was rolled back from may be wanted again by a person, but takes no good one's place.
    """
    was_live = dict.fromkeys(entry.release for entry in reversed(entries) if entry.outcome == "live")
    return list(dict.fromkeys([*good(entries), *was_live]))


def live(entries: Sequence[Entry]) -> str:
    """Return the release that the history names as live; empty for none."""
    last = next((entry for entry in reversed(entries) if entry.outcome == "live" or _left(entry)), None)
    if last is None:
        return ""
    return last.release if last.outcome == "live" else last.previous


def last_return(entries: Sequence[Entry]) -> Return | None:
    """Return how the live release came back, when the last change of who is live was a return to it."""
    last = next((entry for entry in reversed(entries) if entry.outcome == "live" or _left(entry)), None)
    left = _left(last) if last else ""
    if last is None or not left:
        return None
    to = last.release if last.outcome == "live" else last.previous
    return Return(left, to, str(last.data.get("by", "")), last.at)


def _left(entry: Entry) -> str:
    """Return the release that was rolled back from; empty when the entry is about nothing of the kind."""
    if (entry.action, entry.outcome) == ("rollback", "live"):
        return entry.previous
    return entry.release if entry.action == "auto-rollback" else ""
