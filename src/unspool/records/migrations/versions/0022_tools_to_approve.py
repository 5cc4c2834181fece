"""Tools whose calls a person must approve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    approve = sa.Column[bool]("approve", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("tools", approve)


def downgrade() -> None:
    op.drop_column("tools", "approve")
