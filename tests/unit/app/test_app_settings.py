"""Settings: what is accepted, and what is said of the rest."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from app.settings import Settings, explain
from app.storage.engine import has_several_hosts

ROOT = Path(__file__).resolve().parents[3]


def test_defaults_start_a_service_on_a_laptop() -> None:
    found = Settings()
    assert found.database_url.get_secret_value() == "sqlite+aiosqlite:///football.db"
    assert found.kickoff_release == "unreleased"
    assert found.api_workers == 1
    assert found.cors_origins == ()


def test_everything_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "APP_ENV": "staging",
        "DEBUG": "true",
        "LOG_LEVEL": "WARNING",
        "API_WORKERS": "4",
        "DATABASE_URL": "postgresql://u:p%40ss@db:5433/football",
        "REDIS_URL": "redis://cache:6379/1",
        "CACHE_TTL": "5m",
        "API_KEY": "0123456789abcdef",
        "CORS_ORIGINS": "https://a.example, https://b.example,",
        "REQUEST_TIMEOUT": "250ms",
        "SHUTDOWN_GRACE": "1.5s",
        "KICKOFF_RELEASE": "abc-1",
        "SOMETHING_ELSE": "ignored",
    }.items():
        monkeypatch.setenv(name, value)
    found = Settings()
    assert (found.app_env, found.debug, found.log_level, found.api_workers) == ("staging", True, "warning", 4)
    assert found.database_url.get_secret_value() == "postgresql+psycopg://u:p%40ss@db:5433/football"
    assert found.cache_ttl == 300
    assert found.request_timeout == 0.25
    assert found.shutdown_grace == 1.5
    assert found.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CACHE_TTL", "5 minutes"),
        ("CACHE_TTL", "30"),
        ("REQUEST_TIMEOUT", "0s"),
        ("API_WORKERS", "0"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://db/x"),
        ("DATABASE_URL", "no address"),
        ("REDIS_URL", "http://cache"),
        ("KICKOFF_RELEASE", "two words"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert explain(caught.value).startswith(f"error: {name}: ")


def test_secrets_show_up_neither_in_errors_nor_in_representations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "very-secret-key-1")
    monkeypatch.setenv("DATABASE_URL", "mysql://user:very-secret-password@db/x")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "very-secret" not in explain(caught.value) + str(caught.value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:very-secret-password@db/x")
    assert "very-secret" not in repr(Settings())


@pytest.mark.parametrize("order", ["one:5432&host=two:5433", "two:5433&host=one:5432"])
def test_an_address_may_name_a_primary_and_its_replica(order: str) -> None:
    found = Settings.model_validate({"database_url": f"postgresql://u:p%40ss@/football?host={order}"})
    url = make_url(found.database_url.get_secret_value())
    assert has_several_hosts(url)
    assert (url.drivername, url.password) == ("postgresql+psycopg", "p@ss")
    assert set(url.query["host"]) == {"one:5432", "two:5433"}


def test_the_process_refuses_a_wrong_environment_in_one_line_per_key() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "--port", "1"],
        cwd=ROOT,
        env={"API_WORKERS": "many", "CACHE_TTL": "soon"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["API_WORKERS", "CACHE_TTL"]


def test_without_endpoints_neither_tracing_nor_redis_is_imported() -> None:
    code = (
        "import sys; from app.main import create_app; from app.settings import Settings\n"
        "create_app(Settings())\n"
        "print(sorted(name for name in sys.modules if name in"
        " {'opentelemetry.sdk', 'opentelemetry.exporter', 'redis', 'pybreaker', 'psycopg', 'alembic'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
