"""Text and numbers as people read them, from values nobody has checked. Pure functions."""

import math
import re
from datetime import UTC, datetime

DASH = "\N{EN DASH}"
"""Stands where there is no value."""

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Directional overrides and invisible marks can make a line read differently from what it says.
_DANGEROUS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)


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


def duration(seconds: float) -> str:
    """Return a length of time in seconds as people say it: ``0.4 s``, ``6 s``, ``3m 12s``, ``1h 02m``."""
    if seconds < 0:
        return "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m"


def milliseconds(value: float | None) -> str:
    """Return a time in milliseconds with three significant digits, or a dash."""
    if value is None:
        return DASH
    if value >= 99.95:
        return f"{value:,.0f} ms"
    return f"{value:.1f} ms" if value >= 9.995 else f"{value:.2f} ms"


def count(value: float | None) -> str:
    """Return a whole number with thousands separators, or a dash."""
    return DASH if value is None else f"{value:,.0f}"


def change(before: float, after: float) -> str:
    """Return a relative change in percent with its sign; ``before`` must not be 0."""
    share = (after / before - 1) * 100
    return signed(share, 0 if abs(share) >= 10 else 1)


def signed(percent: float, digits: int = 0) -> str:
    """Return a percentage with its sign, a real minus when it is negative."""
    return f"{percent:+.{digits}f}%".replace("-", "\N{MINUS SIGN}")


def plural(amount: int, noun: str) -> str:
    """Return ``1 request`` or ``2 requests``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"
