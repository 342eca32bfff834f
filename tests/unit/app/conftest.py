"""The service in this process, on a SQLite file of its own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from shutil import copy

import pytest
from alembic import command
from alembic.config import Config
from httpx import AsyncClient

from app.main import Service, create_app
from app.settings import Settings
from tests.unit.app.support import PROXIES, RELEASE, ROOT, serving


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in (*Settings.model_fields, *PROXIES):
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that the migrations made; tests copy it."""
    path = tmp_path_factory.mktemp("schema") / "empty.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", f"sqlite:///{path}")
        command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
    return path


@pytest.fixture
def database_url(migrated: Path, tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{copy(migrated, tmp_path / 'app.db')}"


@pytest.fixture
def settings(database_url: str) -> Callable[..., Settings]:
    """Make settings that differ from the defaults only in what a test says."""

    def make(**changes: object) -> Settings:
        values = {"database_url": database_url, "kickoff_release": RELEASE, **changes}
        return Settings.model_validate(values)

    return make


@pytest.fixture
def app(settings: Callable[..., Settings]) -> Service:
    return create_app(settings())


@pytest.fixture
async def client(app: Service) -> AsyncIterator[AsyncClient]:
    async with serving(app) as client:
        yield client
