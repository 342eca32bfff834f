"""Defaults by class, keys of pipeline and service, and files that are read once."""

import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kickoff.environment import Environment, load, setting
from kickoff.environment import schema as schemas
from kickoff.environment.schema import PIPELINE
from kickoff.errors import KickoffError
from tests.unit.environment.support import FOLDER, GIVEN, ROOT, Loader, Project

OPENED: list[str] = []
KEY = {"description": "x.", "type": "string", "examples": ["x"], "x-across": "may-differ", "x-since": "1.0.0"}


def _opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        OPENED.append(str(arguments[0]))


sys.addaudithook(_opened)


def describe(project: Project, **keys: dict[str, Any]) -> None:
    """Give the project a service's schema with these keys alone."""
    project.path("schema.json").write_text(json.dumps({"properties": keys}, indent=1), "utf-8")


@pytest.fixture
def bare(project: Project) -> Project:
    """A project whose service adds no key: one file with one line."""
    shutil.rmtree(project.root / FOLDER)
    (project.root / FOLDER).mkdir()
    project.path("staging.env").write_text("PUBLIC_PORT=8100\n", "utf-8")
    return project


def test_a_service_without_keys_of_its_own_needs_no_schema(bare: Project, loader: Loader) -> None:
    environment = load("staging", bare.root, {})
    assert environment.seconds("BAKE_TIME") == 10
    assert environment.text("DEPLOY_TARGET") == "compose"
    assert environment.service_values() == {"APP_ENV": "staging", "SHUTDOWN_GRACE": "15s"}
    assert environment.secrets == frozenset()
    assert loader("validate").code == 0
    with bare.path("staging.env").open("a", encoding="utf-8") as file:
        file.write("GREETING=hello\n")
    refused = loader("validate")
    assert refused.code == 2
    says = "staging.env:2:1: unknown-key: GREETING is neither a key of the pipeline nor described in"
    assert says in refused.out
    assert "remove it, or describe it in configs/environments/schema.json" in refused.out


def test_what_one_release_may_cost_is_no_key_of_an_environment(bare: Project, loader: Loader) -> None:
    with bare.path("staging.env").open("a", encoding="utf-8") as file:
        file.write("PERF_ALLOW_ONCE='tracing costs 15 %'\n")
    refused = loader("validate")
    assert refused.code == 2
    assert "give it to one release: kickoff deploy --perf-allow-once 'WHY 15 %'" in refused.out


def test_each_class_has_its_defaults_and_the_file_comes_first(bare: Project) -> None:
    describe(bare, GREETING={**KEY, "default": "hello", "x-defaults": {"production": "good day"}})
    for name, text, expected in (
        ("production", "", "good day"),
        ("staging", "", "hello"),
        ("qa", "ENVIRONMENT_CLASS=development\n", "hello"),
        ("blue", "ENVIRONMENT_CLASS=production\n", "good day"),
        ("green", "ENVIRONMENT_CLASS=production\nGREETING=hi\n", "hi"),
    ):
        bare.path(f"{name}.env").write_text(f"PUBLIC_PORT=8100\n{text}", "utf-8")
        environment = load(name, bare.root, {})
        given = environment.service_values()
        assert given == {"APP_ENV": name, "SHUTDOWN_GRACE": "15s", "GREETING": expected}
    assert load("qa", bare.root, {}).seconds("BAKE_TIME") == 3
    assert setting("blue", "ENVIRONMENT_CLASS", bare.root) == "production"


def test_the_hash_is_of_the_values_and_not_of_where_they_stand(project: Project) -> None:
    before = load("dr", project.root, GIVEN)
    lines = [f"{key}={text}" for key, text in before.values.items() if key not in before.secrets]
    project.path("dr.env").write_text("\n".join(["ENVIRONMENT_CLASS=production", *lines]) + "\n", "utf-8")
    after = load("dr", project.root, GIVEN)
    assert (after.values, after.hash) == (before.values, before.hash)
    assert "ENVIRONMENT_CLASS" not in before.values


def test_a_default_that_breaks_a_rule_is_named_with_its_place(bare: Project, loader: Loader) -> None:
    describe(bare, WORKERS={**KEY, "type": "integer", "default": "many"})
    found = json.loads(loader("validate", "--format", "json").out)["findings"]
    assert [(one["rule"], one["key"], one["line"]) for one in found] == [("type", "WORKERS", 1)]
    assert 'is "many" by default (configs/environments/schema.json:3)' in found[0]["message"]


def test_a_secret_in_a_default_is_refused_and_not_shown(bare: Project, loader: Loader) -> None:
    describe(bare, TOKEN={**KEY, "x-across": "secret", "default": "tallow-brine-91-mostly"})
    refused = loader("validate")
    assert refused.code == 2
    assert "secret-in-file: TOKEN is a secret" in refused.out
    assert "tallow" not in refused.out + refused.err + loader("explain", "TOKEN").out


def test_a_schema_that_redefines_the_pipeline_names_each_line(bare: Project) -> None:
    describe(bare, GREETING=KEY, BAKE_TIME=KEY, LOCK_TTL=KEY)
    with pytest.raises(KickoffError) as caught:
        schemas.read(bare.root)
    assert caught.value.causes == ("line 12: BAKE_TIME", "line 21: LOCK_TTL")
    assert caught.value.at == "configs/environments/schema.json:12"
    assert "an environment's file" in str(caught.value.hint)


def test_a_broken_schema_is_named_with_its_line(bare: Project) -> None:
    describe(bare, GREETING=KEY, SECOND={**KEY, "x-across": "maybe"})
    with pytest.raises(KickoffError, match="'maybe' is not one of") as caught:
        schemas.read(bare.root)
    assert caught.value.at == "configs/environments/schema.json:18"


def test_the_pipelines_own_schema_keeps_the_rules_for_schemas() -> None:
    document = json.loads((ROOT / "src/kickoff/environment" / PIPELINE).read_text("utf-8"))
    for rules in document["properties"].values():
        rules.pop("x-weaker", "")  # what judges a release is the pipeline's alone
    assert list(schemas._keywords().iter_errors(document)) == []
    for kind in schemas.parse("").classes:
        missing = [key.name for key in schemas.parse("").keys.values() if key.default(kind) is None]
        assert missing == ["APP_ENV", "ENVIRONMENT_CLASS", "PUBLIC_PORT"]


@pytest.mark.parametrize("kind", schemas.parse("").classes)
def test_the_pipelines_defaults_are_valid_in_each_class(kind: str, bare: Project, loader: Loader) -> None:
    bare.path("x.env").write_text(f"ENVIRONMENT_CLASS={kind}\nPUBLIC_PORT=8101\n", "utf-8")
    assert loader("validate", "--env", "x").code == 0


@pytest.mark.parametrize(
    "command",
    [
        ["validate", "--all", "--with-secrets"],
        ["load", "--env", "staging"],
        ["export", "--env", "staging"],
        ["explain", "BAKE_TIME"],
        ["diff", "staging", "production"],
        ["secrets", "--env", "staging"],
        ["template", "--env", "qa"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_reads_each_file_once(command: list[str], project: Project, loader: Loader) -> None:
    project.path("staging.secrets.json").write_text('{"sops": {}}', "utf-8")
    OPENED.clear()
    assert loader(*command, environ=GIVEN).code == 0
    folder = f"{project.root / FOLDER}/"
    read = Counter(Path(path).name for path in OPENED if path.startswith(folder))
    assert read["schema.json"] == 1
    assert max(read.values()) == 1


def test_a_release_reads_each_file_once(project: Project) -> None:
    def asked() -> Environment:
        assert setting("staging", "DEPLOY_TARGET", project.root) == "compose"
        assert setting("staging", "PROMOTE_WAIT", project.root) == 0
        return load("staging", project.root, GIVEN)

    OPENED.clear()
    first = asked()
    folder = f"{project.root / FOLDER}/"
    assert Counter(path for path in OPENED if path.startswith(folder)).most_common(1)[0][1] == 1
    project.replace("staging", "MEMORY_LIMIT", "MEMORY_LIMIT=512MiB")  # … and again when it has changed
    assert asked().bytes("MEMORY_LIMIT") != first.bytes("MEMORY_LIMIT")


def test_the_pipeline_reads_its_own_keys_alone() -> None:
    """Otherwise a service that describes none of them could not be released."""
    reads = re.compile(
        r"""(?:environment|env)\.(?:text|integer|boolean|seconds|fraction|bytes|list)\(\s*"(\w+)"|"""
        r"""setting\([^")]*"(\w+)\""""
    )
    code = [path.read_text("utf-8") for path in sorted((ROOT / "src").rglob("*.py"))]
    read = {one or other for text in code for one, other in reads.findall(text)}
    assert {"LOCK_TTL", "SHUTDOWN_GRACE", "KEEP_RELEASES"} <= read
    assert read <= schemas.parse("").pipeline
