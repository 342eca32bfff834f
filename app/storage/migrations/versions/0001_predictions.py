"""Ratings, matches and predictions."""

import math

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables, and the league's only row with the averages of professional football."""
    league = op.create_table(
        "league",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("base", sa.Float(53), nullable=False),
        sa.Column("home_advantage", sa.Float(53), nullable=False),
        sa.Column("results", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_league"),
    )
    op.bulk_insert(league, [{"id": 1, "base": math.log(1.2), "home_advantage": math.log(1.25), "results": 0}])
    op.create_table(
        "teams",
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("attack", sa.Float(53), nullable=False),
        sa.Column("defence", sa.Float(53), nullable=False),
        sa.Column("played", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_teams"),
    )
    op.create_table(
        "matches",
        sa.Column("tenant", sa.String(16), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("home_team", sa.String(64), nullable=False),
        sa.Column("away_team", sa.String(64), nullable=False),
        sa.Column("home_goals", sa.Integer, nullable=False),
        sa.Column("away_goals", sa.Integer, nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_matches"),
    )
    op.create_table(
        "predictions",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True
        ),
        sa.Column("id", sa.Uuid, nullable=False),
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
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_predictions"),
        sa.UniqueConstraint("id", name="uq_predictions_id"),
    )
    op.create_index("ix_predictions_tenant_seq", "predictions", ["tenant", "seq"])


def downgrade() -> None:
    """Drop everything."""
    for table in ("predictions", "matches", "teams", "league"):
        op.drop_table(table)
