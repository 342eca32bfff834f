"""Patterns of secrets, placeholders and default credentials; pure functions."""

import math
import re
from collections import Counter
from itertools import pairwise
from urllib.parse import unquote, urlsplit

# Name shown in the finding -> pattern. Each is long and particular enough not to meet ordinary values.
_KNOWN = {
    "AWS access key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}",
    "GitLab token": r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{15,}",
    "Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/\S{10,}",
    "Stripe key": r"\b(?:sk|rk|whsec)_(?:(?:live|test)_)?[A-Za-z0-9]{16,}",
    "Google API key": r"\bAIza[A-Za-z0-9_-]{30,}",
    "OpenAI or Anthropic key": r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}",
    "npm token": r"\bnpm_[A-Za-z0-9]{30,}",
    "PyPI token": r"\bpypi-[A-Za-z0-9_-]{16,}",
    "Docker Hub token": r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",
    "SendGrid key": r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "Telegram bot token": r"\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b",
    "DigitalOcean token": r"\bdo[opr]_v1_[a-f0-9]{32,}",
    "Vault token": r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "Azure account key": r"AccountKey=[A-Za-z0-9+/=]{20,}",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{8,1000}\.eyJ[A-Za-z0-9_-]{8}",
    "age secret key": r"\bAGE-SECRET-KEY-1[A-Z0-9]{20,}",
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    # An address whose password is itself a reference holds no secret.
    "password in a URL": r"://[^\s/:@?#]*:(?!\$\{)[^\s/@?#]+@",
}
_SHAPES = {name: re.compile(pattern) for name, pattern in _KNOWN.items()}
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_HEX = re.compile(r"[0-9a-fA-F-]+")

_PLACEHOLDER = re.compile(
    r"""change[\W_]*(?:me|this|it) | place[\W_]*holder | replace[\W_]*(?:me|this|with)
      | your[\W_]+\w* | insert[\W_]*(?:your|here|me) | <[a-z][a-z0-9\ _.-]{2,}> | \bx{4,} | \*{4,} | \.{4,}
      | dummy | example | fixme | to[\W_]*do\b | not[\W_]*(?:a|so)[\W_]*(?:real|secret)
      | correct[\W_]?horse""",
    re.IGNORECASE | re.VERBOSE,
)
_GUESSABLE = re.compile(
    r"""(?:[\W_]*(?:my|the|a|super|some|very|top|for|here|value|word|secret|password|passwd|pass|key|token
      |api|app|test|testing|dev|development|staging|prod|production|none|null|nil|undefined|admin
      |administrator|root|default|letmein|qwerty|uiop|guest|user|login|welcome|abc|postgres|mysql|redis
      |[0-9!]))+""",
    re.IGNORECASE | re.VERBOSE,
)


def secret_shape(text: str) -> tuple[int, str] | None:
    """Return where in ``text`` something looks like a secret, and what it looks like; ``None`` if nothing."""
    for name, pattern in _SHAPES.items():
        found = pattern.search(text)
        if found is not None:
            return found.start(), name
    for run in _RUN.finditer(text):
        if _random(run.group()):
            return run.start(), "random text"
    return None


def is_placeholder(text: str) -> bool:
    """Tell whether a secret stands for one that nobody has filled in, or is one that everybody tries first.

    An address is judged by its user and password: the same word for both is a default credential.
    """
    if "://" in text:
        user, password = credentials(text)
        if password is None:
            return "<" in text and ">" in text
        return password.lower() == (user or "").lower() or is_placeholder(password)
    stripped = text.strip()
    return (
        _PLACEHOLDER.search(stripped) is not None
        # Random digits with a few letters `a` between them are digits and words too, and nobody's guess.
        or (not stripped.isdigit() and not _random(stripped) and _GUESSABLE.fullmatch(stripped) is not None)
        or (len(stripped) > 0 and len(set(stripped)) <= 2)
        or _is_staircase(stripped)
    )


def is_name(text: str) -> bool:
    """Tell whether ``text`` is the name of a key, and no secret in a wrong place.

    Names are words; random capitals and digits make long words, all the more with digits in them.
    """
    longest = (12 if any(map(str.isdigit, word)) else 20 for word in text.split("_"))
    short = all(len(word) <= most for word, most in zip(text.split("_"), longest, strict=True))
    return short and _NAME.fullmatch(text) is not None and secret_shape(text) is None


def credentials(url: str) -> tuple[str | None, str | None]:
    """Return user and password of an address; ``None`` for what it does not hold."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None, None
    password = None if parts.password is None else unquote(parts.password)
    return parts.username, password


def _is_staircase(text: str) -> bool:
    # 1234567890123456, abcdefghijklmnop, 9876543210: each character follows from the one before.
    steps = {(ord(b) - ord(a)) for a, b in pairwise(text.lower())}
    return len(text) >= 4 and (steps <= {1, -9} or steps <= {-1, 9})


def _random(run: str) -> bool:
    if _HEX.fullmatch(run):
        digits = run.replace("-", "")
        return len(digits) >= 24 and not digits.isdigit() and _bits(digits.lower()) > 3.0
    words = re.split(r"[-_/+=]", run)
    # Words, paths and names are lower-case runs; random text changes its kind of character all the time.
    changes = sum(_kind(a) != _kind(b) for a, b in pairwise(run) if a not in "-_/+=" and b not in "-_/+=")
    return max(map(len, words)) >= 8 and _bits(run) > 3.5 and changes >= len(run) / 5


def _kind(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.isupper() else 2


def _bits(text: str) -> float:
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
