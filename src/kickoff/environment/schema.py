"""``configs/environments/schema.json``: the one description of every key."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from kickoff.environment import secret_detection
from kickoff.errors import KickoffError

FOLDER = Path("configs/environments")
FILE = FOLDER / "schema.json"
_REFERENCE = "docs/reference/environments.md explains every keyword"


@dataclass(frozen=True)
class Key:
    """One key of the environment files.

    Attributes:
        name: Its name.
        rules: Its JSON Schema with the ``x-`` keywords.
    """

    name: str
    rules: Mapping[str, Any]

    @property
    def description(self) -> str:
        """What the key is for."""
        return str(self.rules["description"])

    @property
    def secret(self) -> bool:
        """Whether its value is never shown and never stands in a file."""
        return bool(self.rules["x-across"] == "secret")

    @property
    def across(self) -> str:
        """``same``, ``differ``, ``may-differ`` or ``secret``: how environments relate."""
        return str(self.rules["x-across"])

    @property
    def audience(self) -> str:
        """``service`` or ``pipeline``: who reads it."""
        return str(self.rules["x-audience"])

    @property
    def may_be_empty(self) -> bool:
        """Whether an empty value has a meaning."""
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
        document: The JSON Schema.
    """

    document: Mapping[str, Any]

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """Every key by name, in the order of the file."""
        return {name: Key(name, rules) for name, rules in self.document["properties"].items()}

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Names of the keys whose values are never shown."""
        return frozenset(key.name for key in self.keys.values() if key.secret)

    @cached_property
    def validator(self) -> Draft202012Validator:
        """Checks typed values."""
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
        KickoffError: The file is missing, is not JSON, or is not a schema this loader understands.
    """
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise KickoffError(
            f"{FILE} is missing",
            at=str(path),
            hint="run this in the project's folder, or copy the schema there",
        ) from None
    except UnicodeDecodeError:
        raise KickoffError(f"{FILE} is not UTF-8", at=str(FILE), hint="save it as UTF-8") from None
    return parse(text)


@cache
def parse(text: str) -> Schema:
    """Check a schema given as JSON.

    Raises:
        KickoffError: It is not JSON, or not a schema this loader understands.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise KickoffError(
            f"{FILE} is not JSON: {error.msg}", at=f"{FILE}:{error.lineno}:{error.colno}", hint=_REFERENCE
        ) from None
    except RecursionError:
        raise KickoffError(f"{FILE} is nested too deeply", at=str(FILE), hint=_REFERENCE) from None
    problem = next(iter(_keywords().iter_errors(document)), None)
    if problem is not None:
        raise KickoffError(f"{FILE}: {problem.message}", at=f"{FILE} {problem.json_path}", hint=_REFERENCE)
    try:
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        raise KickoffError(
            f"{FILE}: {error.message}", at=f"{FILE} {error.json_path}", hint=_REFERENCE
        ) from None
    schema = Schema(document)
    _check_names(schema)
    return schema


def _check_names(schema: Schema) -> None:
    compared = {rule[side] for rule in schema.comparisons for side in ("left", "right")}
    for name in schema.keys:
        if not secret_detection.is_name(name):
            raise KickoffError(
                f"{FILE}: {name} is not accepted as a key",
                at=str(FILE),
                hint="join words of up to 20 capital letters, or 12 with digits, by underscores",
            )
    for name in sorted((set(schema.document["required"]) | compared) - set(schema.keys)):
        raise KickoffError(
            f"{FILE}: {name} is named in a rule and is no key", at=str(FILE), hint="add it to `properties`"
        )


@cache
def _keywords() -> Draft202012Validator:
    text = files("kickoff.environment").joinpath("keywords.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))
