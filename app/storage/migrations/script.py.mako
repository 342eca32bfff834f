"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand only: see the package's documentation."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undo the expansion."""
    ${downgrades if downgrades else "pass"}
