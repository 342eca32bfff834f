"""The tables. Migrations under ``migrations/`` lead here; a test compares the two."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is put back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuse a moment without time zone: the two databases would read it differently."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a stored moment needs a time zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# One row. Whoever settles a result locks it first, so that ratings change one result after the other.
league = sa.Table(
    "league",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("base", sa.Float(53), nullable=False),
    sa.Column("home_advantage", sa.Float(53), nullable=False),
    sa.Column("results", sa.Integer, nullable=False),
)

teams = sa.Table(
    "teams",
    metadata,
    # Folding the case can make a name longer.
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("attack", sa.Float(53), nullable=False),
    sa.Column("defence", sa.Float(53), nullable=False),
    sa.Column("played", sa.Integer, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

matches = sa.Table(
    "matches",
    metadata,
    sa.Column("tenant", sa.String(16), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("home_team", sa.String(64), nullable=False),
    sa.Column("away_team", sa.String(64), nullable=False),
    sa.Column("home_goals", sa.Integer, nullable=False),
    sa.Column("away_goals", sa.Integer, nullable=False),
    sa.Column("settled_at", UtcDateTime, nullable=False),
)

predictions = sa.Table(
    "predictions",
    metadata,
    # The order of insertion: pages stay stable while new rows arrive.
    sa.Column(
        "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("id", sa.Uuid, nullable=False, unique=True),
    sa.Column("tenant", sa.String(16), nullable=False),
    sa.Column("match_id", sa.String(64)),
    sa.Column("home_team", sa.String(64), nullable=False),
    sa.Column("away_team", sa.String(64), nullable=False),
    sa.Column("home", sa.Float(53), nullable=False),
    sa.Column("draw", sa.Float(53), nullable=False),
    sa.Column("away", sa.Float(53), nullable=False),
    sa.Column("home_goals", sa.Float(53), nullable=False),
    sa.Column("away_goals", sa.Float(53), nullable=False),
    sa.Column("likely_home", sa.Integer, nullable=False),
    sa.Column("likely_away", sa.Integer, nullable=False),
    sa.Column("model_version", sa.String(32), nullable=False),
    sa.Column("results_seen", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("outcome", sa.String(8)),
    sa.Column("log_loss", sa.Float(53)),
    sa.Column("rps", sa.Float(53)),
    sa.Index("ix_predictions_tenant_seq", "tenant", "seq"),
    sa.Index("ix_predictions_tenant_match_id_seq", "tenant", "match_id", "seq"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("scope", sa.String(255), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False, index=True),
)
