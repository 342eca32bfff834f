"""The JSON schema of evidence: the document's own, and the facts of each stage from their types."""

import json
import types
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from kickoff.evidence import fields
from kickoff.evidence.stages import CHECK, STAGES

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


def document() -> dict[str, Any]:
    """Return the whole schema, with the catalogue's stages and the facts that each may hold."""
    schema: dict[str, Any] = json.loads(
        files("kickoff.evidence").joinpath("evidence.schema.json").read_text("utf-8")
    )
    names = [stage.name for stage in STAGES]
    schema["properties"]["stage"] = {"anyOf": [{"enum": names}, {"pattern": f"^{CHECK}[a-z0-9-]+$"}]}
    schema["allOf"] = [
        {
            "if": {"properties": {"stage": {"const": name}}},
            "then": {"properties": {"facts": of(fields.of(name))}},
        }
        for name in names
    ]
    schema["allOf"].append(
        {
            "if": {"properties": {"stage": {"pattern": f"^{CHECK}"}}},
            "then": {"properties": {"facts": of(fields.Tested)}},
        }
    )
    return schema


def of(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever an annotation may be
    """Return the schema of a type.

    Raises:
        TypeError: It is of a kind that facts do not need.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return of(arguments[0])
    if is_typeddict(kind):
        return {
            "type": "object",
            "additionalProperties": False,
            "required": sorted(kind.__required_keys__),
            "properties": {key: of(hint) for key, hint in get_type_hints(kind).items()},
        }
    if origin in (Union, types.UnionType):
        return {"anyOf": [of(one) for one in arguments]}
    if origin in (list, dict):
        inner = "items" if origin is list else "additionalProperties"
        return {"type": "array" if origin is list else "object", inner: of(arguments[-1])}
    if kind is not Any and kind not in _PLAIN:
        raise TypeError(f"facts cannot hold {kind!r}")
    return {} if kind is Any else {"type": _PLAIN[kind]}


@cache
def validator() -> "Draft202012Validator":
    """Return the validator of evidence."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - loaded where something is checked

    return Draft202012Validator(document())
