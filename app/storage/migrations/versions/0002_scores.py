"""How good each prediction was, once its match is settled."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add nullable columns, which the release before this one neither reads nor writes."""
    op.add_column("predictions", sa.Column("outcome", sa.String(8)))
    op.add_column("predictions", sa.Column("log_loss", sa.Float(53)))
    op.add_column("predictions", sa.Column("rps", sa.Float(53)))
    op.create_index("ix_predictions_tenant_match_id_seq", "predictions", ["tenant", "match_id", "seq"])


def downgrade() -> None:
    """Remove the scores."""
    op.drop_index("ix_predictions_tenant_match_id_seq", "predictions")
    for column in ("rps", "log_loss", "outcome"):
        op.drop_column("predictions", column)
