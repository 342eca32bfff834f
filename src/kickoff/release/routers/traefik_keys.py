"""Traefik's dynamic configuration as keys of a store, and back: the form in which it reads etcd. Pure.

A key is a path of names, and of numbers for the places of a list. One key that Traefik cannot understand
makes it keep the whole configuration that it had, and only its log says so. What it would read as something
else is refused here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kickoff.errors import KickoffError

_FIELD, _NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*"), re.compile(r"[a-z][a-z0-9-]*")
_NAMED = frozenset({"middlewares", "routers", "serversTransports", "services"})
"""Fields below which names are ours; Traefik takes two that differ in case alone for one."""


def to_keys(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a document, none of which begins with a slash, with their values.

    Raises:
        KickoffError: Traefik would read a name as something else.
    """
    return dict(_flat(document, ()))


def from_keys(keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the document that keys make, in which every value is text; empty when they make none."""
    document: dict[str, Any] = {}
    for key, value in keys.items():
        *path, last = key.split("/")
        place = document
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                return {}
        place[last] = value
    return {name: _listed(value) for name, value in document.items()}


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - a part of YAML
    if isinstance(value, Mapping) and value:
        for name, one in value.items():
            rule = _NAME if path and path[-1] in _NAMED else _FIELD
            if not rule.fullmatch(name):
                raise KickoffError(f"{name!r} cannot be a name in a route that Traefik reads from a store")
            yield from _flat(one, (*path, name))
    elif isinstance(value, list | tuple):
        width = len(str(len(value) - 1))  # Traefik takes the places in the order of text
        for place, one in enumerate(value):
            yield from _flat(one, (*path, f"{place:0{width}}"))
    else:
        # An object without fields is there when its key says so.
        text = "true" if value == {} or value is True else "false" if value is False else str(value)
        yield "/".join(path), text


def _listed(value: Any) -> Any:  # noqa: ANN401 - a part of YAML
    if not isinstance(value, dict):
        return value
    if value and all(name.isdecimal() for name in value):
        return [_listed(one) for _, one in sorted(value.items(), key=lambda pair: int(pair[0]))]
    return {name: _listed(one) for name, one in value.items()}
