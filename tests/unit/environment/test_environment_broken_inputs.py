"""Every way to break an environment file is refused with its place, its rule and exit code 2."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.environment.support import GIVEN, Loader, Project

CASES: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("broken_inputs.yml").read_text(encoding="utf-8")
)


def test_the_table_is_long_enough_and_has_no_name_twice() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names))
    assert len(names) >= 40


@pytest.mark.parametrize("case", CASES, ids=[case["name"].replace(" ", "-") for case in CASES])
def test_broken_input_is_refused(case: dict[str, Any], project: Project, loader: Loader) -> None:
    env, at = project.break_by(case)
    lines = project.path(f"{env}.env").read_text("utf-8").rstrip("\n").split("\n")
    outcome = loader("validate", "--env", env, "--format", "json")
    found = json.loads(outcome.out)["findings"]
    assert outcome.code == 2
    assert {finding["rule"] for finding in found} == set(case.get("rules", [case.get("rule")]))
    assert {finding["file"] for finding in found} == {f"configs/environments/{env}.env"}
    assert at in {finding["line"] for finding in found}
    assert all(1 <= finding["column"] <= len(lines[finding["line"] - 1]) + 1 for finding in found)
    assert all(finding["message"] and finding["fix"] for finding in found)


def test_file_that_is_not_utf8(project: Project, loader: Loader) -> None:
    path = project.path("production.env")
    path.write_bytes(path.read_bytes() + b"# caf\xe9\n")
    outcome = loader("validate", "--env", "production")
    line = path.read_bytes().count(b"\n")
    assert outcome.code == 2
    assert f"configs/environments/production.env:{line}:6: encoding" in outcome.out


def test_keys_in_a_circle(project: Project, loader: Loader) -> None:
    first = project.replace("production", "CANARY_HOLD", "CANARY_HOLD=${BAKE_TIME}")
    project.replace("production", "BAKE_TIME", "BAKE_TIME=${CANARY_HOLD}")
    outcome = loader("validate", "--env", "production")
    assert outcome.code == 2
    assert f"production.env:{first}:13: cycle: CANARY_HOLD" in outcome.out
    assert "CANARY_HOLD → BAKE_TIME → CANARY_HOLD" in outcome.out


def test_value_that_grows_without_measure(project: Project, loader: Loader) -> None:
    keys = ["PERF_SCENARIO", "LOG_LEVEL", "CACHE_TTL", "CANARY_HOLD", "BAKE_TIME"]
    for key, following in zip(keys, [*keys[1:], "RELEASE_STRATEGY"], strict=True):
        project.replace("production", key, f"{key}=" + f"${{{following}}}" * 50)
    outcome = loader("validate", "--env", "production")
    assert outcome.code == 2
    assert "grows beyond" in outcome.out


def test_production_rules_do_not_depend_on_what_app_env_says(project: Project, loader: Loader) -> None:
    project.replace("production", "APP_ENV", "APP_ENV=development")
    project.replace("production", "DEBUG", "DEBUG=true")
    outcome = loader("validate", "--env", "production")
    assert outcome.code == 2
    assert "name-mismatch" in outcome.out
    assert "production-debug" in outcome.out


@pytest.mark.parametrize(
    ("environ", "rule"),
    [
        ({}, "missing-secret"),
        ({"API_KEY": ""}, "missing-secret"),
        ({"API_KEY": "tallow-brine"}, "length"),
        ({"API_KEY": "tallow brine 91 mostly"}, "format"),
        ({"API_KEY": "changeme-changeme-changeme"}, "placeholder-secret"),
        ({"API_KEY": "passwordpassword"}, "placeholder-secret"),
        ({"API_KEY": "aaaaaaaaaaaaaaaaaaaa"}, "placeholder-secret"),
        ({"API_KEY": "1234567890123456"}, "placeholder-secret"),
        ({"API_KEY": "tallow-brine-91-mostly\n"}, "control-character"),
        ({"API_KEY": "tallow-brine-91-mostly", "API_KEY_FILE": "key"}, "secret-source"),
        ({"API_KEY_FILE": "no/such/file"}, "secret-source"),
        ({"API_KEY_FILE": "."}, "secret-source"),
        ({"DATABASE_URL": "mysql://db/app"}, "format"),
        ({"DATABASE_URL": "postgresql://postgres:postgres@db/app"}, "placeholder-secret"),
        ({"DATABASE_URL": "postgresql://app:password@db/app"}, "placeholder-secret"),
        ({"REDIS_URL": "http://cache"}, "format"),
    ],
)
def test_secret_that_cannot_be_used(environ: dict[str, str], rule: str, loader: Loader) -> None:
    given = GIVEN | environ
    if "API_KEY_FILE" in environ and "API_KEY" not in environ:
        del given["API_KEY"]
    if environ == {}:
        given = {}
    demand = "--with-secrets"
    for command in (["load", demand], ["export", demand], ["hash"], ["validate", demand]):
        outcome = loader(*command, "--env", "production", environ=given)
        assert outcome.code == 2
        assert rule in outcome.out + outcome.err
    assert loader("validate", "--env", "production", environ=given).code == 0
