"""Migrations: they lead to the tables of the code, and each one lets the release before it go on serving."""

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.storage.engine import migration_engine
from app.storage.tables import metadata
from tests.unit.app.support import ROOT, old_code_at_work

CONFIG = Config(str(ROOT / "alembic.ini"))
REVISIONS = [
    script.revision for script in reversed(list(ScriptDirectory.from_config(CONFIG).walk_revisions()))
]
# What takes something away from the code that still runs, or waits behind it and makes it wait.
CONTRACTIONS = ("DROP ", "RENAME", "SET NOT NULL", " TYPE ", "TRUNCATE", "DELETE FROM")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def test_the_head_is_what_the_code_expects(database: str) -> None:
    command.upgrade(CONFIG, "head")
    engine = migration_engine(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_there_is_one_head_and_the_history_is_a_line() -> None:
    scripts = ScriptDirectory.from_config(CONFIG)
    assert scripts.get_heads() == [REVISIONS[-1]]
    assert [scripts.get_revision(revision).down_revision for revision in REVISIONS] == [None, *REVISIONS[:-1]]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_migration_only_expands(
    revision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@nowhere/x")
    script = ScriptDirectory.from_config(CONFIG).get_revision(revision)
    command.upgrade(CONFIG, f"{script.down_revision or 'base'}:{revision}", sql=True)
    statements = capsys.readouterr().out
    assert f"'{revision}'" in statements
    assert [word for word in CONTRACTIONS if word in statements.upper()] == []
    for column in sa_added_columns(statements):
        assert "NOT NULL" not in column or "DEFAULT" in column


def sa_added_columns(statements: str) -> list[str]:
    """Return the statements that add a column to a table that exists."""
    return [one.upper() for one in statements.split(";") if "ADD COLUMN" in one.upper()]


@pytest.mark.parametrize(("before", "after"), list(pairwise(REVISIONS)))
def test_the_release_before_serves_while_a_migration_runs(database: str, before: str, after: str) -> None:
    command.upgrade(CONFIG, before)
    engine = migration_engine(database)
    old = sa.MetaData()
    old.reflect(engine)
    with old_code_at_work(engine, old) as served:
        command.upgrade(CONFIG, after)
    engine.dispose()
    assert len(served) > 1


def test_the_commands_of_the_pipeline_work_from_an_unpacked_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    shutil.copytree(ROOT / "app", bundle / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", bundle)

    def alembic(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=bundle,
            env={"DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    alembic("upgrade", "head")
    assert alembic("current") == alembic("heads") == f"{REVISIONS[-1]} (head)"


def test_a_failing_migration_leaves_the_schema_as_it_was(database: str) -> None:
    command.upgrade(CONFIG, REVISIONS[0])
    engine = migration_engine(database)
    with engine.begin() as connection:
        # The last migration will stumble over this one, after those between have run.
        connection.execute(sa.text("CREATE TABLE idempotency_keys (stray INTEGER)"))
    with pytest.raises(sa.exc.OperationalError, match="already exists"):
        command.upgrade(CONFIG, "head")
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == REVISIONS[0]
        assert "outcome" not in {
            column["name"] for column in sa.inspect(connection).get_columns("predictions")
        }
    engine.dispose()
