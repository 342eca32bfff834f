"""Freezes: times in which an environment takes no release, as ``kickoff.yml`` declares them.

A rollback is never frozen, and neither is what finishes or undoes a release that has begun to move traffic.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kickoff import github
from kickoff.errors import ExitCode, KickoffError

KEY = "freeze"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEKLY = re.compile(rf"({'|'.join(_DAYS)}) (\d\d):(\d\d)")
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Window:
    """One freeze.

    Attributes:
        begin: When it begins: ``Fri 15:00`` for every week, or ``2026-12-18 12:00`` for once.
        end: When it ends, in the same form.
        reason: Why, for who is refused.
        zone: The time zone of both, e.g. ``Europe/Berlin``.
        at: File and line of its declaration.
    """

    begin: str
    end: str
    reason: str
    zone: str
    at: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """Both ends as they are declared."""
        return f"{self.begin} to {self.end} {self.zone}"

    def ends(self, moment: datetime) -> datetime | None:
        """Return when the freeze that ``moment`` is in ends; ``None`` when it is in none.

        Args:
            moment: A time with its zone.
        """
        zone = _zone(self.zone)
        for begin, end in self._spans(moment.astimezone(zone).replace(tzinfo=None)):
            if begin.replace(tzinfo=zone) <= moment < end.replace(tzinfo=zone):
                return end.replace(tzinfo=zone)
        return None

    def _spans(self, local: datetime) -> Sequence[tuple[datetime, datetime]]:
        """Return the spans that a time may be in, by the clock on the wall."""
        if not _WEEKLY.fullmatch(self.begin):
            return [(datetime.fromisoformat(self.begin), datetime.fromisoformat(self.end))]
        begin, end = _this_week(self.begin, local), _this_week(self.end, local)
        end += _WEEK if end <= begin else timedelta()
        return [(begin - _WEEK, end - _WEEK), (begin, end)]


def _this_week(text: str, local: datetime) -> datetime:
    """Return when ``Fri 15:00`` is in the week of a time."""
    day, hour, minute = text[:3], int(text[4:6]), int(text[7:9])
    that_day = local + timedelta(days=_DAYS.index(day) - local.weekday())
    return that_day.replace(hour=hour, minute=minute, second=0, microsecond=0)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def parse(entry: Mapping[str, str], at: str) -> Window:
    """Return the window of an entry that keeps the schema of the description.

    Args:
        entry: ``from``, ``until``, ``reason`` and maybe ``time_zone``.
        at: Its file and line.

    Raises:
        KickoffError: There is no such time or zone, the two are not of one form, or it ends before it begins.
    """
    window = Window(entry["from"], entry["until"], entry["reason"], entry.get("time_zone", "UTC"), at)
    weekly = [_WEEKLY.fullmatch(text) is not None for text in (window.begin, window.end)]
    if weekly[0] != weekly[1]:
        raise KickoffError(
            f"the freeze is from {window.begin!r} until {window.end!r}: one is every week, the other once",
            at=at, hint="write both as `Fri 15:00`, or both as `2026-12-18 12:00`",
        )  # fmt: skip
    try:
        _zone(window.zone)
    except (ZoneInfoNotFoundError, ValueError):  # ValueError: a path that leads out of the database
        raise KickoffError(
            f"no such time zone: {window.zone!r}",
            at=at, hint="write it as Europe/Berlin; where that is unknown, install the system's tzdata",
        ) from None  # fmt: skip
    try:
        [*_, (begin, end)] = window._spans(datetime(2026, 1, 1))
    except ValueError:
        raise KickoffError(
            f"no such time: freeze {window.text}", at=at, hint="write 23:59 for the last minute of a day"
        ) from None
    if end <= begin or window.begin == window.end:
        raise KickoffError(
            f"the freeze until {window.end} ends before it begins, {window.begin}", at=at, hint="swap the two"
        )
    return window


def frozen(windows: Iterable[Window], moment: datetime) -> tuple[Window, datetime] | None:
    """Return the freeze that a moment is in, and when the environment opens; ``None`` when it is open.

    Freezes that follow one another without a gap are one.
    """
    listed, first, opens = list(windows), None, moment
    # Bounded: two weekly freezes that leave no gap never open.
    for _ in range(len(listed) * 60):
        ends = [(end, one) for one in listed if (end := one.ends(opens)) is not None]
        if not ends:
            break
        opens, last = max(ends, key=lambda pair: pair[0])
        first = first or last
    return (first, opens) if first is not None else None


def notice(freezes: Iterable[Window], moment: datetime | None = None) -> str:
    """Return until when an environment is frozen, and why; empty when it is open.

    Args:
        freezes: Its freezes.
        moment: A time with its zone; now by default.
    """
    found = frozen(freezes, moment or datetime.now(UTC))
    if found is None:
        return ""
    return _told(*found)


def _told(window: Window, opens: datetime) -> str:
    there = opens.astimezone(_zone(window.zone))
    return f"frozen until {there:%a %Y-%m-%d %H:%M} {window.zone}: {window.reason}"


def require_open(environment: str, freezes: Sequence[Window], reason: str) -> Window | None:
    """Refuse a release into an environment that is frozen now.

    Args:
        environment: Its name.
        freezes: Its freezes.
        reason: Why a person ships all the same; empty for nobody does.

    Returns:
        The freeze that the reason overrules; ``None`` where there is none.

    Raises:
        KickoffError: It is frozen, and nobody gave a reason (exit code 1).
    """
    found = frozen(freezes, datetime.now(UTC))
    if found is None:
        return None
    window, opens = found
    if reason.strip():
        return window
    where = github.context()
    command = f"kickoff deploy --env {environment} --freeze-reason 'WHY'"
    if where.active and not where.act:
        workflow = "cd.yml" if where.comment is not None else where.workflow  # a comment takes no reason
        command = f"gh workflow run {workflow} -f environment={environment} -f freeze-reason='WHY'"
    raise KickoffError(
        f"{environment} is {_told(window, opens)}",
        code=ExitCode.REJECTED,
        at=window.at,
        hint=f"ship it then, or now with a reason that is recorded: {command}",
    )
