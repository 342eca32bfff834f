"""Alembic's entry point: reads ``DATABASE_URL`` like the service does."""

import logging
import sys

import sqlalchemy as sa
from alembic import context
from pydantic import ValidationError

from app.settings import Settings, explain
from app.storage.engine import migration_engine
from app.storage.tables import metadata

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")

# PostgreSQL waits for a lock without limit by default, and every query of the live release queues behind it.
_LOCK_TIMEOUT = "5s"
# Two deployments that migrate at once take turns.
_MIGRATION_LOCK = 4_070_119


def _offline() -> None:
    context.configure(
        dialect_name=sa.engine.make_url(_url()).get_backend_name(),
        target_metadata=metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _online() -> None:
    engine = migration_engine(_url())
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_lock(_MIGRATION_LOCK)))
            connection.execute(sa.select(sa.func.set_config("lock_timeout", _LOCK_TIMEOUT, False)))
            connection.commit()
        # One transaction for all: a failing migration leaves the schema as it was, in SQLite too.
        context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _url() -> str:
    try:
        return Settings().database_url.get_secret_value()
    except ValidationError as error:
        raise SystemExit(explain(error)) from None


if context.is_offline_mode():
    _offline()
else:
    _online()
