"""Text of an environment file to typed values, with units; pure functions.

A value carries its unit (``250ms``, ``1%``, ``512MiB``), so that nobody has to guess one.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

# [0-9] and not \d, which also takes the digits of other scripts; limited, so that int() stays cheap.
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_DURATION = re.compile(rf"({_NUMBER})(ms|s|m|h|d)")
_PERCENT = re.compile(rf"({_NUMBER})%")
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB|TiB)")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
_DECIMAL = re.compile(rf"-?{_NUMBER}")


class UnreadableValueError(ValueError):
    """A text that is not of the wanted type. The message never holds the text, which may be a secret.

    Attributes:
        expects: What the text should look like, for the fix.
    """

    def __init__(self, message: str, expects: str) -> None:
        super().__init__(message)
        self.expects = expects


def duration(text: str) -> float:
    """Return the seconds in ``250ms``, ``30s``, ``5m``, ``2h`` or ``1d``.

    Raises:
        UnreadableValueError: The text is no number with one of these units.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UnreadableValueError("is not a duration", "a number with its unit: 250ms, 30s, 5m, 2h or 1d")
    # Rounded, because 0.001 has no exact binary form and 1000ms must equal 1s.
    return round(float(found[1]) * _SECONDS[found[2]], 9)


def fraction(text: str) -> float:
    """Return ``0.01`` for ``1%``.

    Raises:
        UnreadableValueError: The text is no number followed by a percent sign.
    """
    found = _PERCENT.fullmatch(text)
    if found is None:
        raise UnreadableValueError("is not a percentage", "a number with a percent sign, e.g. 1% or 0.5%")
    return round(float(found[1]) / 100, 12)


def size(text: str) -> int:
    """Return the bytes in ``512MiB`` or another binary unit.

    Raises:
        UnreadableValueError: The text is no whole number with a binary unit.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UnreadableValueError(
            "is not a size", "a whole number with its unit: B, KiB, MiB, GiB or TiB, e.g. 512MiB"
        )
    return int(found[1]) * _BYTES[found[2]]


def integer(text: str) -> int:
    """Return a whole number written in decimal digits.

    Raises:
        UnreadableValueError: The text is no such number.
    """
    if _INTEGER.fullmatch(text) is None:
        raise UnreadableValueError("is not a whole number", "a whole number such as 4, without a unit")
    return int(text)


def number(text: str) -> float:
    """Return a decimal number.

    Raises:
        UnreadableValueError: The text is no such number.
    """
    if _DECIMAL.fullmatch(text) is None:
        raise UnreadableValueError("is not a number", "a number such as 0.5, without a unit")
    return float(text)


def boolean(text: str) -> bool:
    """Return the truth value of ``true`` or ``false``; other spellings differ between readers.

    Raises:
        UnreadableValueError: The text is neither.
    """
    if text not in ("true", "false"):
        raise UnreadableValueError("is neither true nor false", "true or false, in lower case")
    return text == "true"


def items(text: str) -> list[str]:
    """Return the parts of a comma-separated list without the spaces around them; ``[]`` for empty text.

    Raises:
        UnreadableValueError: A part is empty.
    """
    if not text.strip():
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UnreadableValueError("has an empty entry", "entries separated by single commas")
    return parts


_Reader = Callable[[str], float | str]
_BY_UNIT: Mapping[str, _Reader] = {"duration": duration, "percent": fraction, "bytes": size}
_BY_TYPE: Mapping[str, _Reader] = {"integer": integer, "number": number, "boolean": boolean, "string": str}


def convert(text: str, key: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as many types as JSON has
    """Return the typed value of ``text`` as the JSON Schema ``key`` (with its ``x-unit``) wants it.

    Raises:
        UnreadableValueError: The text is not of that type.
    """
    if key["type"] == "array":
        return [convert(part, key["items"]) for part in items(text)]
    reader = _BY_UNIT.get(key.get("x-unit", "")) or _BY_TYPE[key["type"]]
    return reader(text)


def render(value: float, unit: str) -> str:
    """Return a limit as people write it: the inverse of :func:`convert` for numbers.

    Args:
        value: Seconds, fraction, bytes or plain number.
        unit: The ``x-unit`` of the key; empty for none.
    """
    if unit == "percent":
        return f"{value * 100:.10g}%"
    scales: Mapping[str, Mapping[str, float]] = {"duration": _SECONDS, "bytes": _BYTES}
    scale = scales.get(unit)
    if scale is None:
        return f"{value:.15g}" + (f" {unit}" if unit else "")
    if value == 0:
        return "0s" if unit == "duration" else "0B"
    # Decimal, because 18.001 / 0.001 is not whole in binary.
    amounts = {name: Decimal(str(value)) / Decimal(str(factor)) for name, factor in scale.items()}
    whole = [name for name, amount in amounts.items() if amount == amount.to_integral_value()]
    name = whole[-1] if whole else next(iter(scale))
    return f"{amounts[name].normalize():f}{name}"
