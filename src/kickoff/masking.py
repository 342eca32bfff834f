"""Secrets and what hides them in everything that is printed, written or raised.

Whatever reads a secret names it to :func:`hide`; errors, evidence, logs, outputs and the streams of every
command pass through :func:`text`. Nothing else has to remember that there are secrets.
"""

import base64
import html
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "***"
_SHORTEST = 4
"""Characters; anything shorter is in every text, and hides nothing from anybody who counts to it."""
_ANYWHERE = 8
"""Characters; anything shorter is hidden as a word of its own only: `test` is not in `latest`."""
_LOGIN_ALONE = 16
"""Characters from which on the user name of an address without a password is a token."""

_NAMED = re.compile(r"(?:pass\w*|pwd|token|secret|\w*key|sig)=([^;&\s]+)", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|credential|webhook|(?:^|_)(?:auth|key|pass)(?:_|$)|_pwd(?:_|$)",
    re.IGNORECASE,
)
_PLACE_NAME = re.compile(r"_(?:file|dir|path|sock)$", re.IGNORECASE)

# How programs write a text into another one.
_ESCAPES: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: repr(text.encode())[2:-1],
    html.escape,
    lambda text: html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    lambda text: html.escape(text, quote=False),
    lambda text: shlex.quote(text).strip("'"),
    lambda text: text.replace("'", "'\\''"),
    lambda text: re.sub(r'([\\"$`])', r"\\\1", text),
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
)


class Masker:
    """Replaces secrets, their parts and the forms in which they usually appear by ``***``.

    Args:
        secrets: The values to hide.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._needles: set[str] = set()
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these values, too; those of fewer than four characters are not hidden."""
        self._needles |= {form for secret in secrets for form in _forms(secret)}

    def text(self, text: str) -> str:
        """Return ``text`` without any secret."""
        found = [needle for needle in self._needles if needle in text]
        if not found:
            return text
        # The longest first: otherwise a part would be replaced and leave the rest of the whole readable.
        found.sort(key=len, reverse=True)
        return re.sub("|".join(map(_sought, found)), MASK, text)

    def record(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a JSON value with every text in it masked, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.record(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.record(item) for item in value]
        return value


_known = Masker()


def hide(*secrets: str) -> None:
    """Hide these values in everything this process prints and writes from now on."""
    _known.hide(secrets)


def hide_environment(environ: Mapping[str, str]) -> None:
    """Hide what the process environment holds: variables named like a secret, and passwords in addresses."""
    _known.hide(
        value
        for name, value in environ.items()
        if len(value) >= _ANYWHERE and _SECRET_NAME.search(name) and not _PLACE_NAME.search(name)
    )
    _known.hide(login for value in environ.values() for login in _login(value))


def text(text: str) -> str:
    """Return ``text`` without any secret this process knows."""
    return _known.text(text)


def record(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value without any secret this process knows."""
    return _known.record(value)


def cut(text: str, length: int) -> str:
    """Return the first ``length`` characters on one line; masked first, as half a secret cannot be."""
    flat = " ".join(_known.text(text).split())
    return flat if len(flat) <= length else f"{flat[:length]}…"


class Stream:
    """A text stream that lets no secret through.

    Args:
        plain: Where the rest goes; also what :func:`unmasked` returns.
    """

    def __init__(self, plain: TextIO) -> None:
        self.plain = plain

    def write(self, text: str) -> int:
        """Write ``text`` without its secrets."""
        self.plain.write(_known.text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write every one of ``lines``."""
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Write what waits for the rest of its line; nothing does here."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self.plain, name)


def unmasked(stream: TextIO) -> TextIO:
    """Return the stream under a masked one, for the few who must hand a secret on."""
    return stream.plain if isinstance(stream, Stream) else stream


def _forms(secret: str) -> Iterator[str]:
    for part in _parts(secret):
        if len(part) >= _SHORTEST:
            for form in {escape(part) for escape in _ESCAPES}:
                yield form
                yield from _in_base64(form)


def _parts(secret: str) -> set[str]:
    named = _NAMED.findall(secret)
    found = {secret, secret.strip(), " ".join(secret.split()), *_login(secret)}
    return found | set(map(str.strip, secret.splitlines())) | set(named) | set(map(unquote, named))


def _login(value: str) -> set[str]:
    """Return the password in an address as it is written and as it is meant, alone and after its user."""
    try:
        address = urlsplit(value)
    except ValueError:  # brackets in the host part: nothing could connect to it
        return set()
    name, password = address.username or "", address.password or ""
    if password:
        return {password, unquote(password), f"{unquote(name)}:{unquote(password)}"}
    return {name} if len(name) >= _LOGIN_ALONE else set()


def _in_base64(part: str) -> Iterator[str]:
    """Yield what is in any base64 text that holds ``part``, wherever it begins in there."""
    data = part.encode(errors="surrogateescape")
    yield base64.b64encode(data).decode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        sure = encoded[(8 * before + 5) // 6 : 8 * (before + len(data)) // 6]
        if len(sure) >= _ANYWHERE:
            yield sure
            yield sure.translate(str.maketrans("+/", "-_"))


def _sought(needle: str) -> str:
    pattern = re.escape(needle)
    return pattern if len(needle) >= _ANYWHERE else rf"(?<!\w){pattern}(?!\w)"
