"""Secrets and placeholders are recognised, and ordinary configuration is neither."""

import random
import secrets
import string
from collections.abc import Callable

import pytest

from kickoff.environment import secret_detection

RANDOM = random.Random(20)
ALPHANUMERIC = string.ascii_letters + string.digits


def token(length: int, alphabet: str = ALPHANUMERIC) -> str:
    return "".join(RANDOM.choice(alphabet) for _ in range(length))


KNOWN: dict[str, Callable[[], str]] = {
    "AWS access key": lambda: "AKIA" + token(16, string.ascii_uppercase + string.digits),
    "GitHub token": lambda: RANDOM.choice(["ghp_", "gho_", "ghs_", "github_pat_"]) + token(36),
    "GitLab token": lambda: "glpat-" + token(20),
    "Slack token": lambda: "xoxb-" + token(24),
    "Stripe key": lambda: "sk_live_" + token(24),
    "Google API key": lambda: "AIza" + token(35),
    "OpenAI or Anthropic key": lambda: RANDOM.choice(["sk-", "sk-proj-", "sk-ant-"]) + token(40),
    "npm token": lambda: "npm_" + token(36),
    "PyPI token": lambda: "pypi-" + token(40),
    "SendGrid key": lambda: f"SG.{token(22)}.{token(43)}",
    "DigitalOcean token": lambda: "dop_v1_" + token(64, "0123456789abcdef"),
    "Vault token": lambda: "hvs." + token(24),
    "Hugging Face token": lambda: "hf_" + token(34),
    "JSON web token": lambda: f"eyJ{token(20)}.eyJ{token(40)}.{token(43)}",
    "private key": lambda: "-----BEGIN EC PRIVATE KEY-----",
    "password in a URL": lambda: f"postgresql+psycopg://app:{token(8)}@db:5432/app",
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_secrets_are_found_and_named(name: str) -> None:
    for _ in range(30):
        found = secret_detection.secret_shape(f"KEY={KNOWN[name]()}")
        assert found is not None
        assert found[1] == name


@pytest.mark.parametrize(
    "make", [lambda: secrets.token_hex(24), lambda: secrets.token_urlsafe(32), lambda: token(32)]
)
def test_random_text_is_found(make: Callable[[], str]) -> None:
    found = sum(secret_detection.secret_shape(f"KEY={make()}") is not None for _ in range(500))
    assert found >= 495


@pytest.mark.parametrize(
    "text",
    [
        "sqlite+aiosqlite:///${KICKOFF_DATA_DIR}/app.db",
        "${DATABASE_URL:-sqlite+aiosqlite:///${KICKOFF_DATA_DIR}/app.db}",
        "postgresql+psycopg://app:${DB_PASSWORD}@db/app",
        "https://staging.football.example,https://www.staging.football.example",
        "http://opentelemetry-collector.observability.svc.cluster.local:4318/v1/traces",
        "/var/lib/kickoff/football/production/releases/current/data",
        "ghcr.io/organisation/football-prediction-service:2026.11.24",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "us-east-1a,us-east-1b,eu-central-1c",
        "a-very-long-name-of-a-scenario-that-somebody-wrote",
        "0,100,1000,10000,100000,1000000",
        "==============================",
        "# ---------------------------------------------------",
        "12345678901234567890123456789012",
        "mailto:somebody@football.example",
        "2026-11-24T06:30:00+00:00/2026-11-25T06:30:00+00:00",
    ],
)
def test_ordinary_values_are_no_secrets(text: str) -> None:
    assert secret_detection.secret_shape(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "changeme", "CHANGE_ME", "change-me-in-production", "your-api-key", "your_secret_here", "<api key>",
        "placeholder", "replace-me", "replace_with_real_key", "xxxxxxxxxxxxxxxx", "****************",
        "insert your key", "dummy-key-for-tests", "example-key-example", "TODO", "secret", "password",
        "Password1!", "admin123", "test", "my-secret-key", "supersecretkey", "letmein", "aaaaaaaaaaaaaaaa",
        "abababababababab", "1234567890", "abcdefghijklmnop", "api-key-for-production", "passwordpassword",
        "postgresql://postgres:postgres@db/app", "postgresql://app:password@db/app", "redis://:changeme@cache",
        "postgresql://app:<password>@db/app", "postgresql://App:app@db/app",
    ],
)  # fmt: skip
def test_placeholders_and_common_credentials(text: str) -> None:
    assert secret_detection.is_placeholder(text)


def test_real_secrets_are_no_placeholders() -> None:
    for _ in range(500):
        assert not secret_detection.is_placeholder(secrets.token_urlsafe(24))
        assert not secret_detection.is_placeholder(secrets.token_hex(16))
        assert not secret_detection.is_placeholder(f"postgresql://app:{secrets.token_urlsafe(12)}@db/app")
    assert not secret_detection.is_placeholder("60111438275031818a591734054a7a93")
    assert not secret_detection.is_placeholder("tallow-brine-91-mostly")
    assert not secret_detection.is_placeholder("sqlite+aiosqlite:////srv/data/app.db")
    assert not secret_detection.is_placeholder("")


def test_an_address_that_cannot_be_parsed_holds_no_credentials() -> None:
    assert secret_detection.credentials("http://[broken") == (None, None)
    assert not secret_detection.is_placeholder("http://[broken")
