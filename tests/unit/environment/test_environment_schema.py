"""A schema that cannot be used is refused with its place, never with a traceback."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from kickoff.environment import schema as schemas
from kickoff.errors import ExitCode, KickoffError
from tests.unit.environment.support import GIVEN, ROOT, Loader, Project

TEXT = (ROOT / schemas.FILE).read_text("utf-8")


def broken(change: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(TEXT)
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "schema.json:1:2"),
        ("[]", "is not of type 'object'"),
        ("[" * 100_000, "nested too deeply"),
        (broken(lambda d: d["properties"]["DEBUG"].pop("x-across")), "'x-across' is a required property"),
        (broken(lambda d: d["properties"]["DEBUG"].update({"x-acros": "same"})), "x-acros"),
        (broken(lambda d: d["properties"]["DEBUG"].update({"x-across": "maybe"})), "'maybe' is not one of"),
        (broken(lambda d: d["properties"]["DEBUG"].update({"type": "truth"})), "'truth' is not one of"),
        (broken(lambda d: d["properties"]["API_WORKERS"].update({"minimum": "one"})), "'one' is not of type"),
        (broken(lambda d: d["properties"].update({"small": d["properties"]["DEBUG"]})), "small"),
        (broken(lambda d: d.update({"required": []})), "'required' is not one of"),
        (
            broken(lambda d: d["properties"]["DEBUG"].update({"x-defaults": {"dr": "true"}})),
            "'dr' is not one of",
        ),
        (
            broken(lambda d: d["properties"]["CACHE_TTL"].update({"default": "$X"})),
            "a dollar sign stands alone",
        ),
        (broken(lambda d: d["properties"].update({"BAKE_TIME": d["properties"]["CACHE_TTL"]})), "BAKE_TIME"),
        (
            broken(lambda d: d["properties"].update({"PORT": d["properties"]["CACHE_TTL"]})),
            "PORT is not accepted as a key: every process is given the PORT to listen on",
        ),
        (
            broken(
                lambda d: d.update({"x-runtime": {"KICKOFF_TARGET": {"description": "", "default": "x"}}})
            ),
            "redefines what the pipeline describes itself",
        ),
        (broken(lambda d: d["x-compare"][0].update({"x-rule": "hook-outlives-lock"})), "hook-outlives-lock"),
        (
            broken(lambda d: d["x-compare"][0].update({"left": "NOPE"})),
            "NOPE is named in a rule and is not a key",
        ),
        (broken(lambda d: d["x-compare"][0].update({"operator": ">"})), "'>' is not one of"),
        (broken(lambda d: d["allOf"][0].pop("x-fix")), "'x-fix' is a required property"),
        (broken(lambda d: d.update({"additionalProperties": True})), "'additionalProperties' is not one of"),
    ],
)
def test_broken_schema(text: str, says: str) -> None:
    with pytest.raises(KickoffError) as caught:
        schemas.parse(text)
    assert caught.value.code == ExitCode.BAD_INPUT
    assert says in caught.value.render()
    assert "configs/environments/schema.json" in caught.value.render()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["properties"]["LOG_LEVEL"].update({"pattern": "("}),
        lambda d: d["properties"]["LOG_LEVEL"].update({"$ref": "#/nowhere"}),
        lambda d: d["properties"]["LOG_LEVEL"].update({"$ref": "#/properties/LOG_LEVEL"}),
    ],
)
def test_schema_that_cannot_be_applied(
    change: Callable[[dict[str, Any]], object], project: Project, loader: Loader
) -> None:
    project.path("schema.json").write_text(broken(change), "utf-8")
    outcome = loader("validate")
    assert outcome.code == 2
    assert "schema.json" in outcome.err


def test_every_key_has_what_the_reference_shows() -> None:
    schema = schemas.parse(TEXT)
    assert schema.keys["BAKE_TIME"].owner == "pipeline"
    assert schema.keys["CACHE_TTL"].owner == "service"
    for key in schema.keys.values():
        assert key.description.endswith(".")
        assert key.audience in ("service", "pipeline")
    assert schema.keys["CACHE_TTL"].kind == "duration"
    assert schema.keys["MEMORY_LIMIT"].kind == "size"
    assert schema.keys["ERROR_RATE_THRESHOLD"].kind == "percentage"
    assert schema.keys["API_WORKERS"].kind == "integer (processes)"
    assert schema.keys["CORS_ORIGINS"].kind == "list"


def test_the_missions_table() -> None:
    """Debug, log level, workers and cache time differ as the mission says; thresholds have its values."""
    from kickoff.environment import load

    key = GIVEN
    envs = [load(name, ROOT, key) for name in ("development", "staging", "production")]
    assert [env.boolean("DEBUG") for env in envs] == [True, False, False]
    assert [env.text("LOG_LEVEL") for env in envs] == ["debug", "info", "warning"]
    assert [env.integer("API_WORKERS") for env in envs] == [1, 2, 4]
    cache = [env.seconds("CACHE_TTL") for env in envs]
    assert cache == sorted(set(cache))
    limits = [env.bytes("MEMORY_LIMIT") for env in envs]
    assert limits == sorted(set(limits), reverse=True)
    for env in envs:
        assert env.text("ERROR_RATE_THRESHOLD") == "1%"
        assert env.text("RESPONSE_TIME_THRESHOLD") == "1000ms"
        assert env.text("MEMORY_USAGE_THRESHOLD") == "85%"
        assert env.text("CPU_USAGE_THRESHOLD") == "80%"


def test_a_rule_may_make_one_secret_need_another(project: Project, loader: Loader) -> None:
    """A replica without its primary: the form of rule that a service with a replica adds to its schema."""

    def add(document: dict[str, Any]) -> None:
        document["properties"]["REPLICA_URL"] = document["properties"]["REDIS_URL"]
        document["allOf"].append(
            {
                "x-rule": "replica-needs-primary",
                "x-message": "a replica has nothing to follow",
                "x-fix": "give REDIS_URL too",
                "if": {"required": ["REPLICA_URL"]},
                "then": {"required": ["REDIS_URL"]},
            }
        )

    project.path("schema.json").write_text(broken(add), "utf-8")
    project.replace("development", "API_KEY", "API_KEY=\nREPLICA_URL=${REPLICA_URL:-}")
    command = ("validate", "--env", "development", "--with-secrets", "--format", "json")
    assert loader(*command).code == 0
    replica = {"REPLICA_URL": "redis://quarry"}
    alone = json.loads(loader(*command, environ=replica).out)["findings"]
    assert [(one["rule"], one["key"]) for one in alone] == [("replica-needs-primary", "REDIS_URL")]
    assert loader(*command, environ={**replica, "REDIS_URL": "redis://lantern"}).code == 0
