"""How many answers a model gives at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("max_parallel", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("models", "max_parallel")
