"""The commands and actions that the rules know, by what they do: ``vocabulary.yml``, read."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

_KINDS = ("idle", "checks", "probes", "changes", "rollbacks", "builds", "remote")
_HEALTH = re.compile(
    r"health|/ready|/live|/ping|/status|smoke|http_code|localhost|127\.0\.0\.1|response_code", re.IGNORECASE
)
_ELSEWHERE = re.compile(
    r"api\.github\.com|hooks\.|webhook|/releases/|raw\.githubusercontent|\.sh$|\.tgz|\.gz|\.zip|169\.254|"
    r"(^| )(-X|--request)[ =]?(POST|PUT|PATCH|DELETE)|(^| )(-d|--data\S*|-F)( |$)"
)


@cache
def _table() -> dict[str, Any]:
    text = files("kickoff.lint").joinpath("vocabulary.yml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    return table


@cache
def _patterns(kind: str) -> dict[str, list[list[str]]]:
    """Return the patterns of a kind by their first word; by the empty one where that has a star."""
    found: dict[str, list[list[str]]] = {}
    for line in _table()[kind]:
        first, *rest = str(line).split()
        found.setdefault("" if "*" in first else first, []).append([first, *rest])
    return found


@cache
def kinds(words: tuple[str, ...]) -> frozenset[str]:
    """Return the kinds of a command; none for one that is not known."""
    if not words:
        return frozenset()
    found = {kind for kind in _KINDS if _is(kind, words)}
    if _asks(words):
        found.add("probes")
    if "rollbacks" in found:
        found -= {"changes", "checks"}
    if "checks" in found:
        found.discard("changes")
    if "audit" in words and "fix" in words:
        found.discard("checks")
    return frozenset(found)


def _is(kind: str, words: Sequence[str]) -> bool:
    name = words[0].rsplit("/", 1)[-1]
    known = _patterns(kind)
    return any(_fits(one, (name, *words[1:])) for one in (*known.get(name, ()), *known.get("", ())))


def _fits(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not fnmatchcase(words[0], pattern[0]):
        return False
    rest = iter(words[1:])
    return all(any(fnmatchcase(word, part) for word in rest) for part in pattern[1:])


def _asks(words: Sequence[str]) -> bool:
    """Return whether it asks an address how a service is; a download or a message does not."""
    line = " ".join(words[1:])
    return (
        words[0] in ("curl", "wget", "http", "xh")
        and _HEALTH.search(line) is not None
        and _ELSEWHERE.search(line) is None
    )


def unwrapped(words: list[str]) -> list[str]:
    """Return a command without what stands in front of it, and without the flags and values of that."""
    wrappers = _table()["wrappers"]
    while len(words) > 1:
        for wrapper in wrappers:
            parts = str(wrapper).split()
            if len(words) > len(parts) and all(map(fnmatchcase, words, parts)):
                rest = words[len(parts) :]
                while rest and (rest[0].startswith("-") or "=" in rest[0]) and rest[0] != "-c":
                    rest = rest[1:]
                break
        else:
            return words
        if not rest or rest[0] == "-c":
            return words
        words = rest
    return words


def action_is(uses: str, *names: str) -> bool:
    """Return whether an action is of one of the kinds ``checks``, ``changes``, ``builds`` and ``notices``."""
    name = uses.partition("@")[0].lower()
    return any(fnmatchcase(name, one) for kind in names for one in _table()["actions"][kind])


def script_input(uses: str) -> str:
    """Return the input of an action that is a shell script; empty when none is."""
    return str(_table()["actions"]["scripts"].get(uses.partition("@")[0].lower(), ""))
