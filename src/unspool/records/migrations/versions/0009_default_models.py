"""The default models that people chose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "default_models",
        sa.Column("flow", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(128), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("default_models")
