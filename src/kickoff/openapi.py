"""Two OpenAPI documents compared: the changes of an interface, and which of them break clients. Pure.

The rules know the direction: a client must still be able to send what it sent, and must still find what it
read. What cannot be judged (another composition, another pattern) counts as breaking: doubt is never a pass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

Document = Mapping[str, Any]
Node = Mapping[str, Any]
_Pair = tuple[Any, Any]
"""The references of an older and a newer schema."""

_DEEPEST = 50
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT = ("type", "format", "pattern", "const", "enum", "multipleOf", "uniqueItems", "allOf", "oneOf", "not")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        place: Where, e.g. ``POST /orders request.name``.
        what: What happened there.
        breaking: Whether a client of the older document may fail.
    """

    place: str
    what: str
    breaking: bool

    def __str__(self) -> str:
        """Return the change as one line."""
        return f"{'breaking' if self.breaking else 'compatible'}: {self.place}: {self.what}"


def breaking(old: Document, new: Document) -> list[Change]:
    """Return the changes that break clients, unless the major version is a new one."""
    return [] if major(new) > major(old) else [change for change in compare(old, new) if change.breaking]


def compare(old: Document, new: Document) -> list[Change]:
    """Return the differences, breaking ones first.

    Raises:
        ValueError: A reference in one of the documents leads nowhere.
    """
    found = set(_Comparison(old, new).operations())
    return sorted(found, key=lambda change: (not change.breaking, change.place, change.what))


def major(document: Document) -> int:
    """Return the first number of the document's version.

    Raises:
        ValueError: It has none.
    """
    version = str(document.get("info", {}).get("version", ""))
    first = version.split(".", maxsplit=1)[0]
    if not first.isdecimal():
        raise ValueError(f"info.version of the OpenAPI document is {version!r}, not a version such as 1.2.0")
    return int(first)


class _Comparison:
    """Two documents side by side: ``ours`` is always the older one, ``theirs`` the newer.

    ``sent`` says that clients send such values; otherwise they read them.
    """

    def __init__(self, old: Document, new: Document) -> None:
        self._old, self._new = old, new

    def operations(self) -> Iterator[Change]:
        before, after = dict(_operations(self._old)), dict(_operations(self._new))
        for name in before.keys() - after.keys():
            yield Change(name, "the operation is gone", breaking=True)
        for name in after.keys() - before.keys():
            yield Change(name, "a new operation", breaking=False)
        for name in before.keys() & after.keys():
            yield from self._operation(before[name], after[name], name)

    def _operation(self, ours: Node, theirs: Node, name: str) -> Iterator[Change]:
        if ours.get("security", []) != theirs.get("security", []):
            yield Change(name, "other credentials are asked for", bool(theirs.get("security")))
        yield from self._parameters(ours, theirs, name)
        was, now = self._both(ours.get("requestBody", {}), theirs.get("requestBody", {}))
        if now.get("required", False) and not was.get("required", False):
            yield Change(f"{name} request", "a body is required now", breaking=True)
        yield from self._contents(was, now, f"{name} request", sent=True)
        answers, new_answers = ours.get("responses", {}), theirs.get("responses", {})
        for status in sorted(answers.keys() | new_answers.keys()):
            place = f"{name} {status}"
            if status not in new_answers:
                yield Change(place, "is no longer answered", breaking=status.startswith("2"))
            elif status not in answers:
                yield Change(place, "may be answered now", breaking=False)
            else:
                yield from self._contents(
                    *self._both(answers[status], new_answers[status]), place, sent=False
                )

    def _parameters(self, ours: Node, theirs: Node, name: str) -> Iterator[Change]:
        def keyed(document: Document, operation: Node) -> dict[tuple[str, str], Node]:
            found = [_resolve(document, one) for one in operation.get("parameters", [])]
            return {(one["in"], one["name"]): one for one in found}

        before, after = keyed(self._old, ours), keyed(self._new, theirs)
        for key in sorted(before.keys() | after.keys()):
            place = f"{name} {key[0]} {key[1]}"
            if key not in after:
                yield Change(place, "the parameter is gone", breaking=True)
                continue
            required = after[key].get("required", False)
            if key not in before:
                yield Change(place, f"a new parameter{', required' if required else ''}", breaking=required)
                continue
            if required and not before[key].get("required", False):
                yield Change(place, "is required now", breaking=True)
            schemas = before[key].get("schema", {}), after[key].get("schema", {})
            yield from self._schema(*schemas, place, sent=True)

    def _contents(self, ours: Node, theirs: Node, place: str, *, sent: bool) -> Iterator[Change]:
        before, after = ours.get("content", {}), theirs.get("content", {})
        for media in sorted(before.keys() | after.keys()):
            if media not in after:
                yield Change(place, f"{media} is gone", breaking=True)
            elif media not in before:
                yield Change(place, f"{media} is new", breaking=False)
            else:
                schemas = before[media].get("schema", {}), after[media].get("schema", {})
                yield from self._schema(*schemas, place, sent=sent)

    def _schema(
        self,
        before: Node,
        after: Node,
        place: str,
        *,
        sent: bool,
        depth: int = 0,
        seen: set[_Pair] | None = None,
    ) -> Iterator[Change]:
        if depth > _DEEPEST:
            return
        # Once in each body: what contains itself twice would be walked two to the power of the depth times.
        seen = set() if seen is None else seen
        pair = (before.get("$ref"), after.get("$ref"))
        if pair in seen:
            return
        if None not in pair:
            seen.add(pair)
        ours, theirs = self._both(before, after)
        yield from _constraints(ours, theirs, place, sent=sent)
        for index, (was, now) in enumerate(zip_longest(ours.get("anyOf", []), theirs.get("anyOf", []))):
            if now is None:
                yield Change(place, "an alternative is gone", breaking=sent)
            elif was is None:
                # The first alternative narrows what was anything before.
                yield Change(place, "a new alternative", breaking=(index == 0) is sent)
            else:
                yield from self._schema(was, now, place, sent=sent, depth=depth + 1, seen=seen)
        if "items" in ours or "items" in theirs:
            items = ours.get("items", {}), theirs.get("items", {})
            yield from self._schema(*items, f"{place}[]", sent=sent, depth=depth + 1, seen=seen)
        yield from self._properties(ours, theirs, place, sent=sent, depth=depth, seen=seen)

    def _properties(
        self, ours: Node, theirs: Node, place: str, *, sent: bool, depth: int, seen: set[_Pair]
    ) -> Iterator[Change]:
        before, after = ours.get("properties", {}), theirs.get("properties", {})
        needed_before, needed_after = set(ours.get("required", [])), set(theirs.get("required", []))
        for name in sorted(before.keys() | after.keys()):
            inner = f"{place}.{name}"
            if name not in after:
                # What a client sends may be ignored instead; what it reads is missing.
                closed = theirs.get("additionalProperties") is False
                yield Change(inner, "the field is gone", breaking=not sent or closed)
            elif name not in before:
                duty = sent and name in needed_after
                yield Change(inner, f"a new field{', required' if duty else ''}", breaking=duty)
            else:
                if name in needed_after - needed_before:
                    yield Change(inner, "is required now", breaking=sent)
                if name in needed_before - needed_after:
                    yield Change(inner, "may be left out now", breaking=not sent)
                yield from self._schema(
                    before[name], after[name], inner, sent=sent, depth=depth + 1, seen=seen
                )

    def _both(self, before: Node, after: Node) -> tuple[Node, Node]:
        return _resolve(self._old, before), _resolve(self._new, after)


def _resolve(document: Document, node: Node) -> Node:
    """Return a node, followed through its references."""
    for _ in range(_DEEPEST):
        reference = node.get("$ref")
        if reference is None:
            return node
        found: Any = document
        for part in str(reference).removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            break
        node = found
    raise ValueError(f"{node.get('$ref')} leads nowhere in the OpenAPI document")


def _operations(document: Document) -> Iterator[tuple[str, Node]]:
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                parameters = [*item.get("parameters", []), *item[method].get("parameters", [])]
                yield f"{method.upper()} {path}", {**item[method], "parameters": parameters}


def _constraints(ours: Node, theirs: Node, place: str, *, sent: bool) -> Iterator[Change]:
    for key in _EXACT:
        was, now = ours.get(key), theirs.get(key)
        if was != now:
            yield Change(place, f"{key} was {was!r}, is {now!r}", _other_breaks(key, was, now, sent=sent))
    for keys, tighter in ((_LOWER_BOUNDS, 1), (_UPPER_BOUNDS, -1)):
        for key in keys:
            was, now = ours.get(key), theirs.get(key)
            if was != now:
                narrowed = was is None or (now is not None and (now - was) * tighter > 0)
                yield Change(place, f"{key} was {was}, is {now}", breaking=narrowed is sent)
    if sent and theirs.get("additionalProperties") is False and ours.get("additionalProperties") is not False:
        yield Change(place, "other fields are refused now", breaking=True)


def _other_breaks(key: str, was: object, now: object, *, sent: bool) -> bool:
    """Return whether another value of a demand breaks: more may be read, or less may be sent, than before."""
    if key == "enum" and isinstance(was, list) and isinstance(now, list):
        return any(value not in now for value in was) if sent else any(value not in was for value in now)
    return now is not None if sent else was is not None
