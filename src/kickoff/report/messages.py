"""Text and numbers as people read them, from values nobody has checked. Pure functions."""

import math
import re
from datetime import UTC, datetime
from unicodedata import combining, east_asian_width

from markupsafe import Markup, escape

from kickoff.report.language import ENGLISH, counted, current, say

HEADLINE = 80
"""Columns that the first line of a closing block may take."""
DASH = "\N{EN DASH}"
"""Stands where there is no value."""

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Directional overrides and invisible marks can make a line read differently from what it says.
_DANGEROUS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/%?=&#+-]*)?")


def clean(text: str) -> str:
    """Remove terminal sequences, control characters and directional marks; keep line breaks and tabs."""
    return _DANGEROUS.sub("", _ESCAPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def line(value: object, limit: int = 300) -> str:
    """Return any value as one clean line of at most ``limit`` characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else str(value)
    # Clip before cleaning too: a field may hold megabytes.
    flat = " ".join(clean(text[: limit * 8 + 1000]).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def number(value: object) -> float | None:
    """Return a finite number, or ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def moment(text: str) -> datetime | None:
    """Return the time an ISO 8601 text names, in UTC, or ``None``."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def minute(at: str) -> str:
    """Return an ISO 8601 time to the minute, as people read it; empty for an empty one."""
    time = moment(at) if current() != ENGLISH else None
    return say("{at:%Y-%m-%d %H:%M}", at=time) if time else at[:16].replace("T", " ")


def second(at: str) -> str:
    """Return an ISO 8601 time to the second in UTC, as people read it; empty for an empty one."""
    time = moment(at) if current() != ENGLISH else None
    if time:
        return say("{at:%Y-%m-%d %H:%M:%S} UTC", at=time)
    return f"{at.replace('T', ' ')[:19]} UTC" if at else ""


def duration(seconds: float) -> str:
    """Return a length of time in seconds as people say it: ``0.4 s``, ``6 s``, ``3m 12s``, ``1h 02m``."""
    if seconds < 0:
        return say("{seconds:.0f} s", seconds=0)
    if seconds < 9.95:
        return say("{seconds:.1f} s", seconds=seconds)
    if round(seconds) < 60:
        return say("{seconds:.0f} s", seconds=seconds)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return say("{minutes}m {seconds:02d}s", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return say("{hours}h {minutes:02d}m", hours=hours, minutes=minutes)


def milliseconds(value: float | None) -> str:
    """Return a time in milliseconds with three significant digits, or a dash."""
    if value is None:
        return DASH
    if value >= 99.95:
        return say("{value:,.0f} ms", value=value)
    return say("{value:.1f} ms", value=value) if value >= 9.995 else say("{value:.2f} ms", value=value)


def count(value: float | None) -> str:
    """Return a whole number with thousands separators, or a dash."""
    return DASH if value is None else f"{value:,.0f}"


def significant(value: float) -> str:
    """Return a number with three digits that count, from 100 on whole: ``0``, ``1.5``, ``1,024``."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def change(before: float, after: float) -> str:
    """Return a relative change in percent with its sign; ``before`` must not be 0."""
    share = (after / before - 1) * 100
    return signed(share, 0 if abs(share) >= 10 else 1)


def signed(percent: float, digits: int = 0) -> str:
    """Return a percentage with its sign, a real minus when it is negative."""
    return f"{percent:+.{digits}f}%".replace("-", "\N{MINUS SIGN}")


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a wide character, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(one) else 1 + (east_asian_width(one) in "FW") for one in text)


def headline(*forms: str) -> str:
    """Return the first form of a headline that fits into one row of a terminal, or the last one cut."""
    chosen = next((form for form in forms if columns_of(form) <= HEADLINE), forms[-1])
    if columns_of(chosen) <= HEADLINE:
        return chosen
    while columns_of(chosen) > HEADLINE - 2:
        chosen = chosen[:-1]
    return f"{chosen.rstrip()} …"


def link(address: object) -> str:
    """Return an address that may become a link, empty for anything else."""
    text = line(address, 400)
    return text if _ADDRESS.fullmatch(text) else ""


def prose(text: str) -> Markup:
    """Return a sentence as HTML, with what stands in backticks as code; no address in it becomes a link."""
    parts = re.split("`([^`\n]+)`", text)
    return Markup("").join(code(part) if at % 2 else escape(part) for at, part in enumerate(parts))


def code(text: str) -> Markup:
    """Return a command as HTML which breaks between words alone: a browser would break options at hyphens."""
    words = (Markup("<span>{}</span>").format(one) if "-" in one else escape(one) for one in text.split(" "))
    return Markup("<code>{}</code>").format(Markup(" ").join(words))


def plural(amount: int, noun: str) -> str:
    """Return ``1 request`` or ``2 requests``."""
    return counted(f"{{amount:,}} {noun}", f"{{amount:,}} {noun}s", amount)
