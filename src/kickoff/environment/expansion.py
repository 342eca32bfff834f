"""``${NAME}`` and ``${NAME:-default}`` in values: parsing and resolving; pure functions."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST = 8
_LONGEST = 32_768


class ExpansionError(ValueError):
    """A value that cannot be expanded. The message holds names of keys, never values.

    Attributes:
        rule: ``expansion``, ``unknown-variable``, ``cycle``.
        fix: What to write instead.
        offset: Position in the value, from 0.
    """

    def __init__(self, rule: str, message: str, fix: str, offset: int = 0) -> None:
        super().__init__(message)
        self.rule = rule
        self.fix = fix
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Reference:
    """``${name}``; ``default`` is ``None`` without ``:-``."""

    name: str
    default: "Template | None"
    offset: int


@dataclass(frozen=True, slots=True)
class Template:
    """A value as a sequence of literal texts and references."""

    parts: tuple[str | Reference, ...]

    def references(self) -> Iterator[Reference]:
        """Yield every reference, those inside defaults too."""
        for part in self.parts:
            if isinstance(part, Reference):
                yield part
                if part.default is not None:
                    yield from part.default.references()

    def literals(self) -> str:
        """Return the literal text, that of defaults too, with a space where a reference stands."""
        texts = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
            else:
                texts.append(" " if part.default is None else part.default.literals())
        return "".join(texts)


def literal(text: str) -> Template:
    """Return a template without references, for single-quoted values."""
    return Template((text,) if text else ())


def parse(text: str) -> Template:
    """Read a value.

    Raises:
        ExpansionError: A dollar sign does not begin a complete ``${NAME}`` or ``${NAME:-default}``.
    """
    template, _ = _parse(text, 0, 0)
    return template


def _parse(text: str, start: int, depth: int) -> tuple[Template, int]:
    if depth > _DEEPEST:
        raise ExpansionError(
            "expansion", f"defaults are nested more than {_DEEPEST} deep", "nest less", start
        )
    parts: list[str | Reference] = []
    position = begin = start
    while position < len(text):
        if text[position] == "}" and depth:
            break
        if text[position] != "$":
            position += 1
            continue
        if begin < position:
            parts.append(text[begin:position])
        reference, position = _reference(text, position, depth)
        parts.append(reference)
        begin = position
    if begin < position:
        parts.append(text[begin:position])
    return Template(tuple(parts)), position


def _reference(text: str, start: int, depth: int) -> tuple[Reference, int]:
    if text[start : start + 2] != "${":
        raise ExpansionError(
            "expansion",
            "a dollar sign stands alone, and programs read that differently",
            "write ${NAME}, or put the value in single quotes when the dollar sign is meant",
            start,
        )
    name = _NAME.match(text, start + 2)
    if name is None:
        raise ExpansionError("expansion", "`${` is not followed by a name", "write ${NAME}", start)
    position = name.end()
    default = None
    if text[position : position + 2] == ":-":
        default, position = _parse(text, position + 2, depth + 1)
    if text[position : position + 1] != "}":
        raise ExpansionError(
            "expansion",
            "a reference is neither ${NAME} nor ${NAME:-default}",
            "close it with `}`; other forms are not supported",
            start,
        )
    return Reference(name.group(), default, start), position + 1


class Resolver:
    """Expands the values of one file, each once.

    Args:
        templates: All values of the file.
        outside: Asked with (key being expanded, name) for what the file does not hold; ``None`` is unset.
    """

    def __init__(self, templates: Mapping[str, Template], outside: Callable[[str, str], str | None]) -> None:
        self._templates = templates
        self._outside = outside
        self._done: dict[str, str | None] = {}

    def resolve(self, key: str) -> str | None:
        """Return the expanded value of ``key``; ``None`` when a reference without a default is unset.

        Raises:
            ExpansionError: Keys refer to each other in a circle, the value grows without measure, or
                whatever ``outside`` raises.
        """
        return self._resolve(key, (key,))

    def _resolve(self, key: str, path: tuple[str, ...]) -> str | None:
        if key not in self._done:
            self._done[key] = self._render(self._templates[key], path)
        return self._done[key]

    def _render(self, template: Template, path: tuple[str, ...]) -> str | None:
        texts: list[str] = []
        for part in template.parts:
            text: str | None
            if isinstance(part, str):
                text = part
            else:
                text = self._lookup(part.name, path)
                if not text and part.default is not None:
                    text = self._render(part.default, path)
            if text is None:
                return None
            texts.append(text)
        # Doubling references would otherwise fill the memory: A=${B}${B}, B=${C}${C}, …
        if sum(map(len, texts)) > _LONGEST:
            raise ExpansionError("expansion", f"the value grows beyond {_LONGEST} characters", "refer less")
        return "".join(texts)

    def _lookup(self, name: str, path: tuple[str, ...]) -> str | None:
        if name == path[-1] or name not in self._templates:
            return self._outside(path[-1], name)
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise ExpansionError("cycle", f"the keys refer to each other: {circle}", "break the circle")
        return self._resolve(name, (*path, name))
