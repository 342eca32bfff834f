"""Settings: read once from the environment, checked before anything starts."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SECRETS = Path("/run/secrets")
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
}


def seconds(value: object) -> object:
    """Turn ``250ms``, ``30s``, ``5m``, ``1h`` or ``1d`` into seconds; leave numbers alone."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value.strip())
    if match is None:
        raise ValueError("expected a duration such as 250ms, 30s or 5m")
    return float(match[1]) * _UNITS[match[2]]


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected a duration above zero")
    return value


Duration = Annotated[float, BeforeValidator(seconds), AfterValidator(_positive)]


class Settings(BaseSettings):
    """Everything that differs between environments; each field is the environment variable of that name.

    Durations are seconds here and text with a unit in the environment.
    """

    model_config = SettingsConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        # Where containers find their secrets, one file each; a variable comes before a file.
        secrets_dir=_SECRETS if _SECRETS.is_dir() else None,
    )

    app_env: str = "development"
    debug: bool = False
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    api_workers: int = Field(default=1, ge=1, le=64)
    database_url: SecretStr = SecretStr("sqlite+aiosqlite:///football.db")
    redis_url: SecretStr = SecretStr("")
    cache_ttl: Duration = 30.0
    api_key: SecretStr = SecretStr("")
    api_key_next: SecretStr = SecretStr("")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    otel_exporter_otlp_endpoint: str = ""
    otel_traces_sampler_arg: float = Field(default=1, ge=0, le=1)
    request_timeout: Duration = 10.0
    shutdown_grace: Duration = 15.0
    kickoff_release: str = Field(default="unreleased", pattern=r"^[!-~]{1,128}$")

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("kickoff_release", mode="before")
    @classmethod
    def _empty_is_unreleased(cls, value: object) -> object:
        return value or "unreleased"

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(origin.strip() for origin in value.split(",") if origin.strip())
        return value

    @field_validator("database_url")
    @classmethod
    def _async_driver(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except ArgumentError:
            raise ValueError("expected an address such as postgresql://user:password@host/name") from None
        driver = _DRIVERS.get(url.drivername, url.drivername)
        if driver not in _DRIVERS.values():
            raise ValueError(f"expected sqlite or postgresql, not {url.drivername}")
        return SecretStr(url.set(drivername=driver).render_as_string(hide_password=False))

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and not text.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("expected redis://, rediss:// or unix://, or nothing for memory alone")
        return value


def explain(error: ValidationError) -> str:
    """Return what is wrong with the environment, one line per key, without any value."""
    return "\n".join(
        f"error: {'.'.join(str(part) for part in problem['loc']).upper()}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_input=False, include_url=False)
    )
