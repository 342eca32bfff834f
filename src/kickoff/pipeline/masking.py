"""Hiding secrets in whatever is shown or kept. act masks only the message of its records, so we mask all."""

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
_SHORTEST_PART = 4
"""Characters; a shorter line or password inside a secret would blot out ordinary text."""


class Masker:
    """Replaces secrets, and the forms in which they usually appear, by ``***``.

    Args:
        secrets: The values to hide; blank ones are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        needles: set[str] = set()
        for secret in secrets:
            if secret.strip():
                needles |= _forms(secret)
        # The longest first: otherwise a part would be replaced and leave the rest of the whole readable.
        self._needles = sorted(needles, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return ``text`` without any secret."""
        for needle in self._needles:
            text = text.replace(needle, MASK)
        return text

    def record(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a JSON value with every text in it masked, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.record(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.record(item) for item in value]
        return value


def url_password(value: str) -> str:
    """Return the password inside a URL as it is written there; empty when there is none."""
    try:
        return urlsplit(value).password or ""
    except ValueError:  # brackets in the host part: no URL that anything could connect to
        return ""


def _forms(secret: str) -> set[str]:
    parts = [secret, secret.strip(), *(line.strip() for line in secret.splitlines())]
    password = url_password(secret)
    parts += [password, unquote(password)]
    whole = {secret, secret.strip()}
    kept = {part for part in parts if part in whole or len(part) >= _SHORTEST_PART}
    encoded = {base64.b64encode(part.encode()).decode() for part in kept}
    escaped = {
        json.dumps(part, ensure_ascii=ascii_only)[1:-1] for part in kept for ascii_only in (True, False)
    }
    return {form for form in kept | encoded | escaped | {quote(part, safe="") for part in kept} if form}
