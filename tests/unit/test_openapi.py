"""Breaking changes of an OpenAPI document: the table is data, and the script compares with the last tag."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kickoff.errors import KickoffError
from kickoff.openapi import compare, major

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "quality" / "openapi_changes.py"
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
    ("edit", "breaking"),
    [*((edit, True) for edit in BREAKING.values()), *((edit, False) for edit in COMPATIBLE.values())],
    ids=[*BREAKING, *COMPATIBLE],
)
def test_changes_are_told_apart(edit: Callable[[Document], object], breaking: bool) -> None:
    new = copy.deepcopy(OLD)
    edit(new)
    changes = compare(OLD, new)
    assert changes
    assert any(change.breaking for change in changes) is breaking, [str(change) for change in changes]


def test_the_same_document_has_no_change_and_words_do_not_count() -> None:
    new = copy.deepcopy(OLD)
    read(new)["description"] = "An order."
    new["info"]["title"] = "store"
    assert compare(OLD, new) == []


def test_a_reference_that_leads_nowhere_is_an_error() -> None:
    new = copy.deepcopy(OLD)
    del new["components"]
    with pytest.raises(KickoffError, match="#/components/schemas/Order leads nowhere"):
        compare(OLD, new)


@pytest.mark.parametrize("version", ["", "one", "v2.0"])
def test_a_version_is_needed(version: str) -> None:
    with pytest.raises(KickoffError, match=r"info\.version"):
        major({"info": {"version": version}})


def test_the_committed_document_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs" / "openapi.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Callable[[Document, str], None]:
    """Return what commits a document, with a tag or without."""

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def commit(document: Document, tag: str = "") -> None:
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message=A commit")
        if tag:
            git("tag", tag)

    git("init", "--quiet", "--initial-branch=main")
    return commit


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, "--document=openapi.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_script_compares_with_the_last_release(project: Callable[..., None], tmp_path: Path) -> None:
    project(OLD)
    assert "not applicable: no tag" in run(tmp_path).stdout
    project(OLD, "v1.4.0")
    assert run(tmp_path).stdout == "0 breaking and 0 compatible changes since v1.4.0\n"
    new = copy.deepcopy(OLD)
    BREAKING["read field gone"](new)
    project(new)
    refused = run(tmp_path)
    assert refused.returncode == 1
    assert "breaking: GET /orders 200.id: the field is gone" in refused.stdout
    assert "the major version is still 1" in refused.stderr
    assert "Traceback" not in refused.stderr
    new["info"]["version"] = "2.0.0"
    project(new)
    allowed = run(tmp_path)
    assert (allowed.returncode, "the major version is a new one" in allowed.stdout) == (0, True)
