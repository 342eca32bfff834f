"""The keys of environment files: the pipeline's own, described in the package, and those a service adds."""

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kickoff.environment import expansion, secret_detection
from kickoff.environment.reading import read_once
from kickoff.errors import KickoffError
from kickoff.yaml_lines import line_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, ValidationError

FOLDER = Path("configs/environments")
FILE = FOLDER / "schema.json"
"""What a service adds; it may be missing."""
PIPELINE = "pipeline.schema.json"
"""The pipeline's own keys, beside this module."""
NAME_KEY = "APP_ENV"
"""Holds the environment's name."""
CLASS_KEY = "ENVIRONMENT_CLASS"
"""Decides which defaults and rules hold. It is part of no release: its effect is, by the other values."""
_GIVEN = ("PORT", "HOST")
"""Variables that a target gives to every process of a service."""
_LONGEST = 1_000_000
_REFERENCE = "docs/reference/environments.md explains every keyword"
_JOINED = ("allOf", "x-compare")
_MERGED = ("properties", "x-runtime", "x-mirrors", "$defs")


class Origin(StrEnum):
    """The place that a value comes from."""

    FILE = "file"
    NAME = "name"
    CLASS = "class"
    DEFAULT = "default"


@dataclass(frozen=True)
class Key:
    """One key of the environment files.

    Attributes:
        name: Its name.
        rules: Its JSON Schema with the ``x-`` keywords.
        owner: ``pipeline`` or ``service``: whose schema describes it.
    """

    name: str
    rules: Mapping[str, Any]
    owner: str

    @property
    def description(self) -> str:
        """The key's purpose, in words."""
        return str(self.rules["description"])

    @property
    def secret(self) -> bool:
        """True when its value is never shown and never stands in a file."""
        return bool(self.rules["x-across"] == "secret")

    @property
    def across(self) -> str:
        """``same``, ``differ``, ``may-differ`` or ``secret``: how environments relate."""
        return str(self.rules["x-across"])

    @property
    def audience(self) -> str:
        """``service`` for keys that the service's process is given, some of the pipeline's among them."""
        return "service" if self.owner == "service" or "x-given" in self.rules else "pipeline"

    def default(self, kind: str) -> tuple[str, Origin] | None:
        """Return the value in environments of class ``kind`` whose file states none; ``None`` without one."""
        by_class = self.rules.get("x-defaults", {})
        if kind in by_class:
            return by_class[kind], Origin.CLASS
        return (self.rules["default"], Origin.DEFAULT) if "default" in self.rules else None

    @property
    def may_be_empty(self) -> bool:
        """True when an empty value has a meaning."""
        return bool(self.rules.get("x-empty", False))

    @property
    def example(self) -> str:
        """A value that is right."""
        return str(self.rules["examples"][0])

    @property
    def kind(self) -> str:
        """Type and unit in words, e.g. ``duration`` or ``integer (processes)``."""
        unit = self.rules.get("x-unit", "")
        if unit == "percent":
            return "percentage"
        if unit in ("duration", "bytes"):
            return "duration" if unit == "duration" else "size"
        kind = "list" if self.rules["type"] == "array" else str(self.rules["type"])
        return f"{kind} ({unit})" if unit else kind


@dataclass(frozen=True)
class Schema:
    """The whole description.

    Attributes:
        document: The JSON Schema: the pipeline's and the service's as one.
        pipeline: Names of the pipeline's keys.
        text: The service's schema as written; empty without one.
    """

    document: Mapping[str, Any]
    pipeline: frozenset[str]
    text: str

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """Every key by name: the pipeline's, then the service's, each in the order of its schema."""
        return {
            name: Key(name, rules, "pipeline" if name in self.pipeline else "service")
            for name, rules in self.document["properties"].items()
        }

    @cached_property
    def classes(self) -> Sequence[str]:
        """The classes of environments, the strictest last."""
        return tuple(self.document["properties"][CLASS_KEY]["enum"])

    def described_at(self, key: Key) -> str:
        """Return file and line that describe a key; only the file for one of the pipeline."""
        if key.owner == "pipeline":
            return f"kickoff/environment/{PIPELINE}"
        return f"{FILE}:{line_at(self.text, ['properties', key.name])}"

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Names of the keys whose values are never shown."""
        return frozenset(key.name for key in self.keys.values() if key.secret)

    @cached_property
    def validator(self) -> "Draft202012Validator":
        """Checks typed values."""
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - loaded where something is checked

        return Draft202012Validator(self.document)

    @property
    def runtime(self) -> Mapping[str, Mapping[str, str]]:
        """Variables the engine provides when a release starts: description and default by name."""
        return dict(self.document.get("x-runtime", {}))

    @property
    def mirrors(self) -> Mapping[str, str]:
        """Environments that must equal another one, by name."""
        return dict(self.document.get("x-mirrors", {}))

    @property
    def conditions(self) -> list[Mapping[str, Any]]:
        """The cross-field rules written as ``if`` and ``then``."""
        return list(self.document.get("allOf", []))

    @property
    def comparisons(self) -> list[Mapping[str, Any]]:
        """The cross-field rules that compare two keys."""
        return list(self.document.get("x-compare", []))


def read(root: Path) -> Schema:
    """Read and check the schema of the project at ``root``.

    Raises:
        KickoffError: The service's schema cannot be read, is not JSON, or is not one this loader understands.
    """
    try:
        text = read_once(root / FILE, _LONGEST).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return parse("")
    except UnicodeDecodeError:
        raise KickoffError(f"{FILE} is not UTF-8", at=str(FILE), hint="save it as UTF-8") from None
    except OSError as error:
        raise KickoffError(f"{FILE} cannot be read: {error.strerror}", at=str(FILE)) from None
    return parse(text)


@cache
def parse(text: str) -> Schema:
    """Return the pipeline's keys with those that a service's schema, given as JSON, adds to them.

    Args:
        text: The service's schema; empty for a service without keys of its own.

    Raises:
        KickoffError: It is not JSON, redefines what is the pipeline's, or is not a schema this loader
            understands.
    """
    own = _pipeline()
    added = _document(text) if text else {"properties": {}}
    document: dict[str, Any] = {
        "type": "object",
        **{name: {**own.get(name, {}), **added.get(name, {})} for name in _MERGED},
        **{name: [*own.get(name, []), *added.get(name, [])] for name in _JOINED},
    }
    schema = Schema(document, frozenset(own["properties"]), text)
    _check_names(schema)
    _check_defaults(schema)
    return schema


def line_at(text: str, path: Sequence[str | int]) -> int:
    """Return the line of a place in JSON, or of its nearest existing parent."""
    try:
        return line_of(text.replace("\t", " "), path)  # JSON is YAML, but for tabs
    except yaml.YAMLError:
        return 1


def _document(text: str) -> dict[str, Any]:
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - loaded where something is checked

    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        at = f"{FILE}:{error.lineno}:{error.colno}"
        raise KickoffError(f"{FILE} is not JSON: {error.msg}", at=at, hint=_REFERENCE) from None
    except RecursionError:
        raise KickoffError(f"{FILE} is nested too deeply", at=str(FILE), hint=_REFERENCE) from None
    # First, because a schema of an older version describes everything, and is best told what to leave out.
    _refuse_redefined(document, text)
    _refuse_problem(next(iter(_keywords().iter_errors(document)), None), text)
    try:
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        _refuse_problem(error, text)
    return dict(document)


def _refuse_problem(problem: "ValidationError | SchemaError | None", text: str) -> None:
    if problem is not None:
        path = list(problem.absolute_path)
        at = f"{FILE}:{line_at(text, path)}"
        raise KickoffError(
            f"{FILE}: {problem.message}", causes=[f"in {problem.json_path}"], at=at, hint=_REFERENCE
        ) from None


def _refuse_redefined(document: Any, text: str) -> None:  # noqa: ANN401 - any JSON
    """Refuse what the pipeline describes itself; a document of another form is left to its schema."""
    own = _pipeline()
    added: Mapping[str, Any] = document if isinstance(document, dict) else {}
    found = [
        (line_at(text, [part, name]), name)
        for part in ("properties", "x-runtime")
        if isinstance(named := added.get(part, {}), dict)
        for name in named
        if name in own[part]
    ]
    rules = {rule["x-rule"] for part in _JOINED for rule in own.get(part, [])}
    found += [
        (line_at(text, [part, index]), rule["x-rule"])
        for part in _JOINED
        if isinstance(listed := added.get(part, []), list)
        for index, rule in enumerate(listed)
        if isinstance(rule, dict) and rule.get("x-rule") in rules
    ]
    if found:
        raise KickoffError(
            f"{FILE} redefines what the pipeline describes itself",
            causes=[f"line {line}: {name}" for line, name in sorted(found)],
            at=f"{FILE}:{min(found)[0]}",
            hint="remove it there; a value that differs from its default stands in an environment's file",
        )


def _check_names(schema: Schema) -> None:
    for name in schema.keys:
        if name in _GIVEN:
            raise KickoffError(
                f"{FILE}: {name} is not accepted as a key: every process is given the {name} to listen on",
                at=f"{FILE}:{line_at(schema.text, ['properties', name])}",
                hint="remove it, or give it another name",
            )
        if not secret_detection.is_name(name):
            raise KickoffError(
                f"{FILE}: {name} is not accepted as a key",
                at=f"{FILE}:{line_at(schema.text, ['properties', name])}",
                hint="join words of up to 20 capital letters, or 12 with digits, by underscores",
            )
    own = len(_pipeline().get("x-compare", []))
    for index, rule in enumerate(schema.comparisons):
        for side in ("left", "right"):
            if rule[side] not in schema.keys:
                raise KickoffError(
                    f"{FILE}: {rule[side]} is named in a rule and is not a key",
                    at=f"{FILE}:{line_at(schema.text, ['x-compare', index - own, side])}",
                    hint="add it to `properties`, or correct the name",
                )


def _check_defaults(schema: Schema) -> None:
    for key in schema.keys.values():
        for text in _defaults(key):
            try:
                expansion.parse(text)
            except expansion.ExpansionError as error:
                raise KickoffError(
                    f"{FILE}: the default of {key.name}: {error}",
                    at=schema.described_at(key),
                    hint=error.fix,
                ) from None


def _defaults(key: Key) -> Iterable[str]:
    return [*key.rules.get("x-defaults", {}).values(), key.rules.get("default", "")]


@cache
def _pipeline() -> dict[str, Any]:
    document = json.loads(files("kickoff.environment").joinpath(PIPELINE).read_text("utf-8"))
    # The targets are registered in a room that imports this one, so it is only named here.
    registry = importlib.import_module("kickoff.release.targets")
    document["properties"][registry.KEY]["enum"] = list(registry.TARGETS)
    return dict(document)


@cache
def _keywords() -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - loaded where something is checked

    text = files("kickoff.environment").joinpath("keywords.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))
