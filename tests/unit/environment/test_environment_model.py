"""Typed access and the hash."""

import pytest

from kickoff.environment import Environment, load
from kickoff.errors import ExitCode, KickoffError
from tests.unit.environment.support import GIVEN, Project

ENVIRON = GIVEN


def test_accessors(project: Project) -> None:
    env = load("staging", project.root, ENVIRON)
    assert env.name == "staging"
    assert env.text("LOG_LEVEL") == "info"
    assert env.integer("PUBLIC_PORT") == 8100
    assert env.boolean("DEBUG") is False
    assert env.seconds("RESPONSE_TIME_THRESHOLD") == 1.0
    assert env.fraction("ERROR_RATE_THRESHOLD") == 0.01
    assert env.bytes("MEMORY_LIMIT") == 1536 * 2**20
    assert env.list("CANARY_STEPS") == ["25", "50", "100"]
    assert env.secrets == {"API_KEY", "API_KEY_NEXT", "DATABASE_URL", "REDIS_URL"}


def test_an_accessor_that_does_not_fit_is_an_error(project: Project) -> None:
    env = load("staging", project.root, ENVIRON)
    for accessor, key in ((env.text, "NOPE"), (env.integer, "LOG_LEVEL"), (env.seconds, "API_WORKERS")):
        with pytest.raises(KickoffError) as caught:
            accessor(key)
        assert caught.value.code == ExitCode.BAD_INPUT
        assert key in str(caught.value)


def test_the_service_is_given_its_own_keys_only(project: Project) -> None:
    given = load("staging", project.root, ENVIRON).service_values()
    assert given["API_KEY"] == ENVIRON["API_KEY"]
    assert "CANARY_STEPS" not in given
    assert list(given)[:4] == ["APP_ENV", "SHUTDOWN_GRACE", "DEBUG", "LOG_LEVEL"]


def test_data_folder_comes_from_the_engine(project: Project) -> None:
    given = load("development", project.root, {"KICKOFF_DATA_DIR": "/srv/x"}).text("DATABASE_URL")
    assert given == "sqlite+aiosqlite:////srv/x/app.db"
    assert load("development", project.root, {}).text("DATABASE_URL").endswith(":///.kickoff/data/app.db")


def test_secret_from_a_file_loses_one_line_end(project: Project) -> None:
    held = project.root / "key"
    environ = {"API_KEY_FILE": str(held), "DATABASE_URL": ENVIRON["DATABASE_URL"]}
    for text in ("tallow-brine-91-mostly", "tallow-brine-91-mostly\n", "tallow-brine-91-mostly\r\n"):
        held.write_bytes(text.encode())
        assert load("production", project.root, environ).text("API_KEY") == ENVIRON["API_KEY"]
    held.write_bytes(b"\xff\xfe")
    with pytest.raises(KickoffError, match="cannot be loaded"):
        load("production", project.root, environ)


def test_hash_is_stable_and_changes_with_every_value(project: Project) -> None:
    first = load("production", project.root, ENVIRON)
    assert load("production", project.root, ENVIRON).hash == first.hash
    assert len(first.hash) == 64
    assert (
        load("production", project.root, {**ENVIRON, "API_KEY": "tallow-brine-92-mostly"}).hash != first.hash
    )
    seen = {first.hash}
    for key in ("LOG_LEVEL", "API_KEY", "PERF_MAX_RPS"):
        changed = Environment(first.name, {**first.values, key: "x"}, first.secrets, first.service)
        seen.add(changed.hash)
    seen.add(Environment("other", first.values, first.secrets, first.service).hash)
    assert len(seen) == 5


def test_hash_does_not_depend_on_the_order_of_keys(project: Project) -> None:
    env = load("development", project.root, {})
    turned = Environment(env.name, dict(reversed(list(env.values.items()))), env.secrets, env.service)
    assert turned.hash == env.hash


def test_every_finding_is_in_the_error_with_its_fix(project: Project) -> None:
    project.replace("production", "DEBUG", "DEBUG=true")
    with pytest.raises(KickoffError) as caught:
        load("production", project.root, {})
    text = caught.value.render()
    assert caught.value.code == ExitCode.BAD_INPUT
    assert "production-debug" in text
    assert "(fix: set DEBUG=false)" in text
    assert "missing-secret" in text
