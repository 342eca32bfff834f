"""Changes of an interface: which break clients, and which do not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from kickoff.openapi import breaking, compare, major

Document = dict[str, Any]
OLD: Document = {
    "openapi": "3.1.0",
    "info": {"title": "shop", "version": "1.4.0"},
    "paths": {
        "/orders": {
            "parameters": [{"in": "header", "name": "X-Trace", "schema": {"type": "string"}}],
            "get": {
                "parameters": [
                    {
                        "in": "query",
                        "name": "limit",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 100},
                    }
                ],
                "responses": {
                    "200": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
                    }
                },
            },
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string", "maxLength": 64},
                                    "kind": {"enum": ["a", "b"]},
                                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                                    "tags": {"type": "array", "items": {"type": "string"}},
                                },
                                "required": ["name"],
                            }
                        }
                    }
                },
                "responses": {"201": {}, "422": {}},
            },
        }
    },
    "components": {
        "schemas": {
            "Order": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "state": {"enum": ["open", "sent"]},
                    "part": {"$ref": "#/components/schemas/Order"},
                },
                "required": ["id"],
            }
        }
    },
}
ORDERS = OLD["paths"]["/orders"]


def sent(document: Document) -> Document:
    """Return the schema that clients of ``POST /orders`` send."""
    content: Document = document["paths"]["/orders"]["post"]["requestBody"]["content"]
    schema: Document = content["application/json"]["schema"]
    return schema


def read(document: Document) -> Document:
    """Return the schema that clients of ``GET /orders`` read."""
    schema: Document = document["components"]["schemas"]["Order"]
    return schema


def put(path: Callable[[Document], Document], key: str, value: object) -> Callable[[Document], object]:
    """Return an edit that sets a key, or removes it for ``None``."""

    def edit(document: Document) -> None:
        if value is None:
            path(document).pop(key)
        else:
            path(document)[key] = value

    return edit


def orders(document: Document) -> Document:
    found: Document = document["paths"]["/orders"]
    return found


BREAKING: dict[str, Callable[[Document], object]] = {
    "operation gone": put(orders, "post", None),
    "path gone": put(lambda d: d["paths"], "/orders", None),
    "parameter gone": put(orders, "parameters", []),
    "parameter required": put(lambda d: orders(d)["parameters"][0], "required", True),
    "new required parameter": put(
        orders, "parameters", [*ORDERS["parameters"], {"in": "query", "name": "q", "required": True}]
    ),
    "smaller limit": put(lambda d: orders(d)["get"]["parameters"][0]["schema"], "maximum", 50),
    "larger minimum": put(lambda d: orders(d)["get"]["parameters"][0]["schema"], "minimum", 2),
    "body required": put(lambda d: orders(d)["post"]["requestBody"], "required", True),
    "sent field gone": put(lambda d: sent(d)["properties"], "kind", None),
    "sent field required": put(sent, "required", ["name", "kind"]),
    "new required field": lambda d: (
        put(lambda e: sent(e)["properties"], "size", {"type": "integer"})(d),
        put(sent, "required", ["name", "size"])(d),
    ),
    "sent type": put(lambda d: sent(d)["properties"]["name"], "type", "integer"),
    "new pattern": put(lambda d: sent(d)["properties"]["name"], "pattern", "^x"),
    "shorter": put(lambda d: sent(d)["properties"]["name"], "maxLength", 32),
    "sent value gone": put(lambda d: sent(d)["properties"]["kind"], "enum", ["a"]),
    "null refused": put(lambda d: sent(d)["properties"]["note"], "anyOf", [{"type": "string"}]),
    "items' type": put(lambda d: sent(d)["properties"]["tags"], "items", {"type": "integer"}),
    "answer gone": put(lambda d: orders(d)["post"]["responses"], "201", None),
    "read field gone": put(lambda d: read(d)["properties"], "id", None),
    "read field optional": put(read, "required", []),
    "read type": put(lambda d: read(d)["properties"]["id"], "type", "integer"),
    "read type dropped": put(lambda d: read(d)["properties"]["id"], "type", None),
    "new read value": put(lambda d: read(d)["properties"]["state"], "enum", ["open", "sent", "lost"]),
    "media type": put(lambda d: orders(d)["get"]["responses"]["200"], "content", {"text/plain": {}}),
    "credentials": put(lambda d: orders(d)["get"], "security", [{"key": []}]),
}
COMPATIBLE: dict[str, Callable[[Document], object]] = {
    "new operation": put(orders, "delete", {"responses": {"204": {}}}),
    "new optional parameter": put(
        orders, "parameters", [*ORDERS["parameters"], {"in": "query", "name": "q"}]
    ),
    "larger limit": put(lambda d: orders(d)["get"]["parameters"][0]["schema"], "maximum", 500),
    "new optional field": put(lambda d: sent(d)["properties"], "size", {"type": "integer"}),
    "field no longer required": put(sent, "required", []),
    "longer": put(lambda d: sent(d)["properties"]["name"], "maxLength", 128),
    "length free": put(lambda d: sent(d)["properties"]["name"], "maxLength", None),
    "new sent value": put(lambda d: sent(d)["properties"]["kind"], "enum", ["a", "b", "c"]),
    "read value gone": put(lambda d: read(d)["properties"]["state"], "enum", ["open"]),
    "new read field": put(lambda d: read(d)["properties"], "size", {"type": "integer"}),
    "new answer": put(lambda d: orders(d)["post"]["responses"], "409", {}),
    "error gone": put(lambda d: orders(d)["post"]["responses"], "422", None),
}


@pytest.mark.parametrize(
    ("edit", "breaks"),
    [*((edit, True) for edit in BREAKING.values()), *((edit, False) for edit in COMPATIBLE.values())],
    ids=[*BREAKING, *COMPATIBLE],
)
def test_changes_are_told_apart(edit: Callable[[Document], object], breaks: bool) -> None:
    new = copy.deepcopy(OLD)
    edit(new)
    changes = compare(OLD, new)
    assert changes
    assert any(change.breaking for change in changes) is breaks, [str(change) for change in changes]


def test_the_same_document_has_no_change_and_words_do_not_count() -> None:
    new = copy.deepcopy(OLD)
    read(new)["description"] = "An order."
    new["info"]["title"] = "store"
    assert compare(OLD, new) == []


def test_a_reference_that_leads_nowhere_is_an_error() -> None:
    new = copy.deepcopy(OLD)
    del new["components"]
    with pytest.raises(ValueError, match="#/components/schemas/Order leads nowhere"):
        compare(OLD, new)


@pytest.mark.parametrize("version", ["", "one", "v2.0"])
def test_a_version_is_needed(version: str) -> None:
    with pytest.raises(ValueError, match=r"info\.version"):
        major({"info": {"version": version}})


def test_a_break_is_allowed_with_a_new_major_version_alone() -> None:
    new = copy.deepcopy(OLD)
    BREAKING["read field gone"](new)
    assert str(breaking(OLD, new)[0]) == "breaking: GET /orders 200.id: the field is gone"
    new["info"]["version"] = "2.0.0"
    assert breaking(OLD, new) == []


def test_a_schema_that_holds_itself_many_times_is_walked_once() -> None:
    old = copy.deepcopy(OLD)
    names = [f"part{number}" for number in range(9)]
    read(old)["properties"] |= {name: {"$ref": "#/components/schemas/Order"} for name in names}
    new = copy.deepcopy(old)
    read(new)["properties"]["id"] = {"type": "integer"}
    assert str(compare(old, new)[0]).startswith("breaking: GET /orders 200.id: type was 'string'")
