"""A validated environment: values with typed access, redaction and a hash."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from kickoff.environment import values as convert
from kickoff.environment.schema import FILE
from kickoff.errors import KickoffError

_T = TypeVar("_T")
REDACTED = "(secret)"


@dataclass(frozen=True)
class Environment:
    """The configuration of one environment, complete and checked.

    Its text form never holds a secret.

    Attributes:
        name: Name of the environment.
        values: Expanded text by key, secrets included.
        secrets: Keys whose values must never be shown.
        service: Keys that the service process is given.
    """

    name: str
    values: Mapping[str, str] = field(repr=False)
    secrets: frozenset[str]
    service: frozenset[str] = field(repr=False)

    @cached_property
    def hash(self) -> str:
        """64 hexadecimal digits that change with any value, and from which no secret can be read.

        The key of the HMAC is derived from the secrets themselves by scrypt: whoever knows every other
        value still pays one scrypt for each guess of a secret.
        """
        secret = json.dumps({key: self.values[key] for key in sorted(self.secrets & set(self.values))})
        key = hashlib.scrypt(secret.encode(), salt=f"kickoff {self.name}".encode(), n=2**14, r=8, p=1)
        message = json.dumps([self.name, dict(self.values)], sort_keys=True)
        return hmac.new(key, message.encode(), "sha256").hexdigest()

    def text(self, key: str) -> str:
        """Return a value as text.

        Raises:
            KickoffError: The environment has no such key.
        """
        try:
            return self.values[key]
        except KeyError:
            raise KickoffError(f"{self.name} has no key {key}", hint=f"describe it in {FILE}") from None

    def integer(self, key: str) -> int:
        """Return a whole number.

        Raises:
            KickoffError: There is no such key, or it is no whole number.
        """
        return self._read(key, convert.integer)

    def boolean(self, key: str) -> bool:
        """Return a truth value.

        Raises:
            KickoffError: There is no such key, or it is neither ``true`` nor ``false``.
        """
        return self._read(key, convert.boolean)

    def seconds(self, key: str) -> float:
        """Return a duration in seconds.

        Raises:
            KickoffError: There is no such key, or it is no duration.
        """
        return self._read(key, convert.duration)

    def fraction(self, key: str) -> float:
        """Return a percentage as a fraction: ``0.01`` for ``1%``.

        Raises:
            KickoffError: There is no such key, or it is no percentage.
        """
        return self._read(key, convert.fraction)

    def bytes(self, key: str) -> int:
        """Return a size in bytes.

        Raises:
            KickoffError: There is no such key, or it is no size.
        """
        return self._read(key, convert.size)

    def list(self, key: str) -> "list[str]":
        """Return the entries of a comma-separated list; none for an empty value.

        Raises:
            KickoffError: There is no such key, or it has an empty entry.
        """
        return self._read(key, convert.items)

    def service_values(self) -> dict[str, str]:
        """Return what the service process is given: its own keys, secrets included."""
        return {key: text for key, text in self.values.items() if key in self.service}

    def redacted(self) -> dict[str, str]:
        """Return every value as it may be shown; a secret only as set or empty."""
        return {
            key: (REDACTED if text else "") if key in self.secrets else text
            for key, text in self.values.items()
        }

    def _read(self, key: str, reader: Callable[[str], _T]) -> _T:
        text = self.text(key)
        try:
            return reader(text)
        except convert.UnreadableValueError as error:
            raise KickoffError(f"{key} of {self.name} {error}", hint=f"write {error.expects}") from None
